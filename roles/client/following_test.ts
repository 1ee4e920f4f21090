import assert from "node:assert/strict";
import { test } from "node:test";
import { DatabaseError } from "../../core/errors.ts";
import { toTid, ZERO_TID } from "../../core/ids.ts";
import type { NodeIndex, Oid, Tid, Ttid } from "../../core/ids.ts";
import { PartitionTable } from "../../core/partition_table.ts";
import type { CallName, Calls } from "./calls.ts";
import { follow } from "./following.ts";
import type { FollowProgress, Own, Source } from "./following.ts";

const nothing = new Uint8Array();

type Answers = { [N in CallName]?: (request: Calls[N]["request"]) => Calls[N]["result"] };

/** A client whose calls are answered by hand; what isn't answered fails. */
function answering(answers: Answers): Own {
  return {
    draft: () => 1,
    discard: () => undefined,
    call: <N extends CallName>(name: N, request: Calls[N]["request"]) => {
      const answer = answers[name];
      if (answer === undefined) return Promise.reject(new DatabaseError("denied", `no ${name}`));
      return Promise.resolve().then(() => answer(request));
    },
  };
}

function viewOf(clusterId: string, lastTid: Tid, truncations: number): Calls["view"]["result"] {
  const table = PartitionTable.deal({ partitions: 1, replicas: 0, nodes: [2 as NodeIndex] });
  return { table, nodes: [], lastTid, clusterId, truncations, packBound: ZERO_TID };
}

/** Runs a follower until the round is told of in which `enough` says so. */
async function followed(
  own: Answers,
  source: Answers,
  enough: (progress: FollowProgress) => boolean,
): Promise<FollowProgress[]> {
  const end = new AbortController();
  const told: FollowProgress[] = [];
  const waiting = (): Record<never, never> => {
    if (told.length > 20) throw new RangeError("it goes on and on");
    return {};
  };
  const here = answering({
    followed: () => ({}),
    elapse: waiting,
    view: () => viewOf("here", ZERO_TID, 0),
    ...own,
  });
  const there: Source = { ...answering(source), onPublish: () => () => undefined, openSnapshots: new Set() };
  const onProgress = (progress: FollowProgress): void => {
    told.push(progress);
    if (enough(progress)) end.abort(new Error("enough"));
  };
  await assert.rejects(follow(here, there, { of: "shop", signal: end.signal, onProgress }), /enough/);
  return told;
}

test("a page that was read while the source was truncated isn't copied: its end may be of another history (N5)", async () => {
  let truncations = 0;
  let pages = 0;
  let last = toTid(5n);
  const copied: Tid[] = [];
  const info = (tid: Tid) => ({
    tid,
    ttid: 1n as Ttid,
    status: " ",
    user: nothing,
    description: nothing,
    extension: nothing,
    oids: [],
  });
  await followed(
    {
      follow: () => ({ lastTid: last, of: "shop" }),
      commit: ({ restoreTid }) => {
        copied.push(restoreTid!);
        last = restoreTid!;
        return { tid: restoreTid!, ttid: 1n as Ttid };
      },
    },
    {
      view: () => viewOf("there", toTid(9n), truncations),
      sync: () => ({ lastTid: toTid(9n), ageMs: 0 }),
      transactions: () => {
        pages += 1;
        if (pages > 20) throw new RangeError("it goes on and on");
        if (pages > 1) return { transactions: [info(toTid(5n)), info(toTid(9n))], upTo: toTid(9n) };
        truncations = 1; // 7 is gone by now
        return { transactions: [info(toTid(5n)), info(toTid(7n)), info(toTid(9n))], upTo: toTid(9n) };
      },
    },
    ({ lastTid }) => lastTid === 9n,
  );
  assert.deepEqual(copied, [9n]);
  assert.equal(pages, 2);
});

test("whatever a round fails with is told, and the next one begins with what the backup has (N5)", async () => {
  let rounds = 0;
  const told = await followed(
    { follow: () => ({ lastTid: toTid(BigInt(++rounds)), of: "shop" }) },
    {
      view: () => viewOf("there", toTid(3n), 0),
      sync: () => {
        if (rounds < 3) throw new DatabaseError("timedOut", `no answer in round ${rounds}`);
        return { lastTid: toTid(3n), ageMs: 0 };
      },
    },
    ({ problem }) => problem === "",
  );
  assert.deepEqual(told.map(({ problem }) => problem), [
    "Cannot follow: the source doesn't answer (no answer in round 1)",
    "Cannot follow: the source doesn't answer (no answer in round 2)",
    "",
  ]);
});

test("a follower ends when one of its clients is closed, and when it fails by itself (N5)", async () => {
  for (
    const [error, message] of [[new DatabaseError("lost", "closed"), /closed/], [
      new RangeError("a mistake"),
      /a mistake/,
    ]] as const
  ) {
    const own = answering({
      follow: () => {
        throw error;
      },
    });
    const source: Source = { ...answering({}), onPublish: () => () => undefined, openSnapshots: new Set() };
    await assert.rejects(follow(own, source, { of: "shop", signal: new AbortController().signal }), message);
  }
});

test("transactions of other objects are on their way together, in order; one that shares an object waits (N5)", async () => {
  const oids: Record<string, Oid[]> = {
    "1": [1n as Oid, 2n as Oid],
    "2": [3n as Oid],
    "3": [2n as Oid],
    "4": [4n as Oid],
  };
  const called: string[] = [];
  const ends: (() => void)[] = [];
  let last = ZERO_TID;
  const commit = ({ restoreTid, behind }: Calls["commit"]["request"]): Calls["commit"]["result"] => {
    called.push(`${restoreTid} behind ${behind}`);
    const settled = new Promise((resolve) => ends.push(() => resolve({ tid: restoreTid, ttid: 1n })));
    last = restoreTid!;
    return settled as never;
  };
  const done = followed(
    { follow: () => ({ lastTid: last, of: "shop" }), commit },
    {
      view: () => viewOf("there", toTid(4n), 0),
      sync: () => ({ lastTid: toTid(4n), ageMs: 0 }),
      transactions: () => ({
        transactions: [1n, 2n, 3n, 4n].map((tid) => ({
          tid: toTid(tid),
          ttid: 1n as Ttid,
          status: " ",
          user: nothing,
          description: nothing,
          extension: nothing,
          oids: oids[`${tid}`]!,
        })),
        upTo: toTid(4n),
      }),
      loadMany: ({ oids, at }) => oids.map(() => ({ tid: at, next: null, data: nothing, link: null })),
    },
    ({ lastTid }) => lastTid === 4n,
  );
  const turns = async (): Promise<void> => {
    for (let turn = 0; turn < 100; turn++) await Promise.resolve();
  };
  await turns();
  assert.deepEqual(called, ["1 behind 0", "2 behind 1"], "3 writes what 1 does");
  ends[1]!();
  await turns();
  assert.equal(called.length, 2);
  ends[0]!();
  await turns();
  assert.deepEqual(called.slice(2), ["3 behind 2", "4 behind 3"]);
  for (const end of ends) end();
  await done;
});
