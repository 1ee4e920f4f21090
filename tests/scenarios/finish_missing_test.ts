/**
 * A6, its last clause: a client whose `finish` is out doesn't give its locks up, as the primary may have accepted it. When it
 * is answered `missing`, the transaction isn't decided, and what storages have asked for meanwhile is done at once: else
 * an older one that waits for it, and for which it waits elsewhere, would wait for ever.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Conn, NodeIndex, Partition, Tid } from "../../core/ids.ts";
import type { Body } from "../../core/messages.ts";
import type { ObjectConflict } from "../../roles/client/resolving.ts";
import { HandPrimary } from "../hazards/hand_primary.ts";
import type { Move } from "../hazards/hand_primary.ts";
import { Stage } from "../hazards/kit.ts";
import { Puppet } from "../hazards/puppet.ts";
import type { Reply } from "../hazards/puppet.ts";
import { bytesOf, oidAt, storeOf, textOf, tidAt, ttidAt, voteOf } from "../hazards/words.ts";
import { timesHeard } from "./kit.ts";

const ELDER = ttidAt(2, 1);

/** An older transaction of another client, in the test's hand. */
class Elder {
  readonly #stage: Stage;
  readonly #primary: HandPrimary;
  readonly #puppet: Puppet;
  readonly #conns = new Map<string, Conn>();

  constructor(stage: Stage, primary: HandPrimary) {
    this.#stage = stage;
    this.#primary = primary;
    this.#puppet = new Puppet(stage, "c2", stage.hello("client", { name: "c2", session: 2, epoch: 1 }), []);
  }

  /** Stores an object at some storages. */
  async store(body: Body<"store">, ...names: readonly string[]): Promise<Reply<"store">[]> {
    for (const name of names) {
      if (this.#conns.has(name)) continue;
      this.#primary.tell(this.#primary.connOf(name), "sessionOpened", { epoch: 1, session: 2 });
      this.#conns.set(name, (await this.#puppet.dial(`${name}:1`)).conn);
    }
    const replies = names.map((name) => this.#puppet.ask(this.#conns.get(name)!, "store", body));
    await this.#stage.run();
    return replies;
  }

  /** Votes everywhere, and commits under this tid. */
  async commit(body: Body<"store">, tid: Tid): Promise<void> {
    const votes = [...this.#conns.values()].map((conn) => this.#puppet.ask(conn, "vote", voteOf([body])));
    await this.#stage.run();
    for (const vote of votes) assert.ok(vote.answer, vote.error?.message);
    const conns = [...this.#conns.keys()].map((name) => this.#primary.connOf(name));
    for (const conn of conns) this.#primary.ask(conn, "lock", { epoch: 1, ttid: ELDER, tid });
    await this.#stage.run();
    this.#primary.tell(this.#primary.connOf("c1"), "invalidate", { tid, oids: [body.oid] });
    for (const conn of conns) this.#primary.tell(conn, "unlock", { epoch: 1, ttid: ELDER, tid });
    await this.#stage.run();
  }
}

interface Out {
  readonly stage: Stage;
  readonly primary: HandPrimary;
  readonly elder: Elder;
  readonly conflicts: readonly ObjectConflict[];
  readonly commit: Promise<Tid>;
}

/** c1 has asked to finish a transaction over these objects. */
async function finishing(
  shape: { partitions: number; inTable: number },
  oids: readonly number[],
): Promise<Out> {
  const stage = new Stage({ storages: 3, partitions: shape.partitions });
  const { primary, client } = await HandPrimary.open(stage, shape.inTable);
  const conflicts: ObjectConflict[] = [];
  const resolve = (conflict: ObjectConflict): Uint8Array => {
    conflicts.push(conflict);
    return bytesOf(`${textOf(conflict.saved)} and ${textOf(conflict.mine)}`);
  };
  const tx = await stage.finish(client.begin({ resolve }));
  for (const oid of oids) tx.store(oidAt(oid), bytesOf("younger"));
  const commit = tx.commit();
  commit.catch(() => undefined); // the test looks at it when it is over
  await stage.run();
  return { stage, primary, elder: new Elder(stage, primary), conflicts, commit };
}

const relocks = (stage: Stage): number[] => stage.names.map((name) => timesHeard(stage, name, "told relock"));
const NEW_COPY: readonly Move[] = [[0, 3, "outOfDate"], [0, 3, "upToDate"]];

test("A6: a finish that is answered missing frees what an older one asked for while it was out", async () => {
  const { stage, primary, elder, conflicts, commit } = await finishing({ partitions: 1, inTable: 2 }, [4]);
  const body = storeOf({ ttid: ELDER, oid: 4, text: "elder" });
  const first = await elder.store(body, "s1", "s2");
  assert.equal(timesHeard(stage, "c1", "told deadlock"), 2);
  assert.deepEqual([relocks(stage), first], [[0, 0, 0], [{}, {}]], "its finish is out: it keeps its locks");
  for (const move of NEW_COPY) primary.change(move);
  const finish = primary.question("finish");
  primary.missing(finish, [0, 3]);
  await stage.run();
  assert.deepEqual(relocks(stage).slice(0, 2), [1, 1], "it obeys now");
  assert.deepEqual(first.map(({ answer }) => answer), [{ lockless: false }, { lockless: false }]);
  assert.ok(
    !primary.questions.some(({ name }) => name === "finish"),
    "its votes there are void: it waits for new ones",
  );
  const third = await elder.store({ ...body, version: primary.table.version }, "s3");
  assert.deepEqual(third[0]?.answer, { lockless: false });
  await elder.commit(body, tidAt(50));
  assert.deepEqual(conflicts.map(({ savedTid }) => savedTid), [tidAt(50)], "one conflict");
  await primary.commit(primary.question("finish"), 100);
  assert.equal(await stage.finish(commit), 100n);
});

test("A6: a finish that is accepted after all keeps its locks until it is unlocked", async () => {
  const { stage, primary, elder, conflicts, commit } = await finishing({ partitions: 1, inTable: 2 }, [4]);
  const replies = await elder.store(storeOf({ ttid: ELDER, oid: 4 }), "s1", "s2");
  await primary.commit(primary.question("finish"), 100);
  assert.equal(await stage.finish(commit), 100n);
  assert.deepEqual(relocks(stage), [0, 0, 0]);
  assert.deepEqual(
    replies.map(({ error }) => error?.code),
    ["conflict", "conflict"],
    "the older one was too late",
  );
  assert.deepEqual(conflicts, []);
});

/** Object 3 is in two storages; one of them gets a copy of object 4's partition while the finish is out. */
async function lacking(): Promise<Out & { readonly holders: readonly string[]; readonly at: number }> {
  const out = await finishing({ partitions: 3, inTable: 3 }, [3, 4]);
  const { stage, primary } = out;
  const has = (partition: number, at: number): boolean =>
    primary.table.cell(partition as Partition, (at + 2) as NodeIndex) !== undefined;
  const holders = stage.names.filter((_, at) => has(0, at));
  const at = stage.names.findIndex((_, at) => has(0, at) && !has(1, at));
  assert.ok(holders.length === 2 && at >= 0);
  return { ...out, holders, at };
}

/** The older one has all its locks, commits, and c1 comes behind it. */
async function elderFirst(
  { stage, primary, elder, conflicts, commit }: Out,
  replies: readonly Reply<"store">[],
) {
  assert.deepEqual(
    replies.map(({ answer }) => answer),
    replies.map(() => ({ lockless: false })),
    "it has its locks",
  );
  await elder.commit(ELDER_STORE, tidAt(51));
  assert.deepEqual(conflicts.map(({ savedTid }) => savedTid), [tidAt(51)]);
  await primary.commit(primary.question("finish"), 100);
  assert.equal(await stage.finish(commit), 100n);
}

const ELDER_STORE = storeOf({ ttid: ELDER, oid: 3, text: "elder" });

test("A6: a finish that is answered missing frees it also at the storage that lacks something else", async () => {
  const out = await lacking();
  const { stage, primary, elder, holders, at } = out;
  const replies = await elder.store(ELDER_STORE, ...holders);
  assert.equal(timesHeard(stage, "c1", "told deadlock"), 2);
  for (const state of ["outOfDate", "upToDate"] as const) primary.change([1, at + 1, state]);
  primary.missing(primary.question("finish"), [1, at + 1]);
  await stage.run();
  await elderFirst(out, replies);
});

test("A6: a notice that comes behind `missing`, while its client asks for the newest table, is obeyed as well", async () => {
  const out = await lacking();
  const { stage, primary, elder, holders, at } = out;
  stage.wires.hold(stage.names[at]!, "c1");
  const replies = await elder.store(ELDER_STORE, ...holders);
  for (const state of ["outOfDate", "upToDate"] as const) primary.change([1, at + 1, state]);
  primary.auto.delete("sync");
  primary.missing(primary.question("finish"), [1, at + 1]);
  await stage.run();
  stage.wires.free(stage.names[at]!, "c1");
  await stage.run();
  assert.equal(timesHeard(stage, "c1", "told deadlock"), 2);
  primary.answer(primary.question("sync"), "sync", { lastTid: tidAt(0), wallMs: stage.time.wallMs });
  await stage.run();
  await elderFirst(out, replies);
});
