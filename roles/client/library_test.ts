import assert from "node:assert/strict";
import { test } from "node:test";
import { AbortedError, ConflictError, UnreachableError } from "../../core/errors.ts";
import { toOid, toTtid, ZERO_TID } from "../../core/ids.ts";
import type { Oid, Tid } from "../../core/ids.ts";
import { NOTE_BYTES_MAX, OBJECT_BYTES_MAX, OID_BLOCK, REQUEST_TIMEOUT_MS } from "../../core/limits.ts";
import { tidOfDate } from "../../core/tid.ts";
import { asksOf, asTid, clientBench, follow, only, tableOf, welcomeOf } from "../../tests/machines.ts";
import { Caller } from "./caller.ts";
import type { CallName, Calls, Commit, LoadedRevision } from "./calls.ts";
import { Client } from "./library.ts";

type Request = {
  readonly call: number;
  readonly name: CallName;
  readonly request: unknown;
  readonly withinMs: number;
};

/** A client whose machine is a table of answers; calls without one wait. */
class Hand {
  readonly requests: Request[] = [];
  readonly caller = new Caller((call) => {
    if (call.type !== "call") return;
    this.requests.push(call);
    const answer = this.answers[call.name];
    if (answer === undefined) return;
    const result = answer(call.request as never);
    if (result instanceof Error) {
      this.caller.take({ type: "failed", call: call.call, error: result as never });
    } else this.caller.take({ type: "settled", call: call.call, result });
  });
  closed = 0;
  readonly client = new Client(this.caller, () => {
    this.closed += 1;
    return Promise.resolve();
  });
  lastTid = asTid(100);
  readonly objects = new Map<Oid, LoadedRevision>();
  answers: { [N in CallName]?: (request: Calls[N]["request"]) => Calls[N]["result"] | Error } = {
    sync: () => ({ lastTid: this.lastTid, ageMs: 77 }),
    view: () => ({
      table: tableOf(),
      nodes: [],
      lastTid: this.lastTid,
      clusterId: "c-1",
      truncations: 0,
      packBound: ZERO_TID,
    }),
    load: ({ oid }) => this.objects.get(oid),
    loadMany: ({ oids }) => oids.map((oid) => this.objects.get(oid)),
    commit: () => ({ tid: asTid(101), ttid: toTtid(1) }),
  };

  /** The last request of a name. */
  last<N extends CallName>(name: N): Calls[N]["request"] {
    return this.requests.findLast((request) => request.name === name)?.request as Calls[N]["request"];
  }

  count(name: CallName): number {
    return this.requests.filter((request) => request.name === name).length;
  }
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const revision = (text: string | null, tid: number): LoadedRevision => ({
  tid: asTid(tid),
  next: null,
  data: text === null ? null : bytes(text),
  link: null,
});
const [a, b, c] = [toOid(1), toOid(2), toOid(3)];

test("Client.snapshot() syncs first, and shows one tid from then on", async () => {
  const hand = new Hand();
  const snapshot = await hand.client.snapshot();
  hand.lastTid = asTid(200);
  hand.objects.set(a, revision("x", 40));

  assert.equal(snapshot.at, 100n);
  assert.deepEqual((await snapshot.load(a))?.data, bytes("x"));
  assert.deepEqual(hand.last("load"), { oid: a, at: 100n });
  assert.equal(hand.count("sync"), 1);
});

test("Client.snapshot() with sync: false asks nobody, and takes the newest tid that is known", async () => {
  const hand = new Hand();
  assert.equal((await hand.client.snapshot({ sync: false })).at, 100n);
  assert.equal(hand.count("sync"), 0);
});

const [past, now] = [tidOfDate(Date.UTC(2019, 0)), tidOfDate(Date.UTC(2020, 0))];
const bounds: { what: string; at: Tid | Date; sync: boolean; shows: Tid; syncs: number }[] = [
  { what: "an earlier tid", at: asTid(40), sync: false, shows: asTid(40), syncs: 0 },
  { what: "a tid that isn't known here yet", at: past, sync: false, shows: past, syncs: 1 },
  { what: "a date in the past", at: new Date("2019-01-01"), sync: true, shows: past, syncs: 1 },
  { what: "a date in the future", at: new Date("2090-01-01"), sync: true, shows: now, syncs: 1 },
];
for (const { what, at, sync, shows, syncs } of bounds) {
  test(`Client.snapshot() at ${what} shows what was there then, after ${syncs} questions`, async () => {
    const hand = new Hand();
    hand.answers.sync = () => ({ lastTid: now, ageMs: 77 });
    const snapshot = await hand.client.snapshot({ at, sync });
    assert.equal(snapshot.at, shows);
    assert.equal(hand.count("sync"), syncs);
  });
}

test("Client.snapshot() at a tid beyond the newest one is a mistake", async () => {
  const hand = new Hand();
  const message = /^Cannot show tid .*65: the newest one is .*64$/;
  await assert.rejects(hand.client.snapshot({ at: asTid(0x65) }), { name: "RangeError", message });
});

test("Snapshot gives undefined for what isn't there and for what is deleted", async () => {
  const hand = new Hand();
  hand.objects.set(a, revision(null, 40));
  hand.objects.set(b, revision("y", 50));
  const snapshot = await hand.client.snapshot();
  assert.equal(await snapshot.load(a), undefined);
  const found = await snapshot.loadMany([a, b, c]);
  assert.deepEqual(found.map((one) => one && one.tid), [undefined, 50n, undefined]);
});

test("Transaction takes what it loaded as the base of what it writes", async () => {
  const hand = new Hand();
  hand.objects.set(a, revision("x", 40));
  hand.objects.set(b, revision(null, 50));
  const tx = await hand.client.begin();
  await tx.load(a);
  await tx.loadMany([b, c]);
  tx.store(a, bytes("1"));
  tx.store(b, bytes("2"));
  tx.store(c, bytes("3"));
  tx.store(toOid(4), bytes("4"), { base: asTid(9) });
  tx.delete(toOid(5), { base: asTid(8) });

  assert.equal(await tx.commit(), 101n);

  const { writes, checks, ageMs } = hand.last("commit") as Commit;
  assert.deepEqual(writes.map(({ oid, base, data }) => [oid, base, data && new TextDecoder().decode(data)]), [
    [1n, 40n, "1"],
    [2n, 50n, "2"],
    [3n, 0n, "3"],
    [4n, 9n, "4"],
    [5n, 8n, null],
  ]);
  assert.deepEqual(checks, []);
  assert.equal(ageMs, 77, "its age is the primary's time at its begin");
});

test("Transaction shows its own writes, and keeps their base when it writes again", async () => {
  const hand = new Hand();
  hand.objects.set(a, revision("x", 40));
  hand.objects.set(b, revision("y", 50));
  const tx = await hand.client.begin();
  await tx.load(a);
  tx.store(a, bytes("1"));
  tx.store(a, bytes("2"));
  tx.delete(b);

  assert.deepEqual((await tx.load(a))?.data, bytes("2"));
  assert.equal(await tx.load(b), undefined);
  assert.deepEqual((await tx.loadMany([b, a])).map((one) => one?.data), [undefined, bytes("2")]);
  await tx.commit();

  const { writes } = hand.last("commit") as Commit;
  assert.deepEqual(writes.map(({ base, data }) => [base, data]), [[40n, bytes("2")], [0n, null]]);
});

test("Transaction.check() names what it read as to be unchanged, unless it writes that anyway", async () => {
  const hand = new Hand();
  hand.objects.set(a, revision("x", 40));
  const tx = await hand.client.begin();
  await tx.load(a);
  tx.check(a);
  tx.check(b, { base: asTid(7) });
  tx.check(c);
  tx.store(c, bytes("3"));
  await tx.commit();
  assert.deepEqual((hand.last("commit") as Commit).checks, [{ oid: 1n, base: 40n }, { oid: 2n, base: 7n }]);
});

test("Transaction that begins without asking has no age: it isn't older than all others", async () => {
  const hand = new Hand();
  const tx = await hand.client.begin({ sync: false });
  await tx.commit();
  assert.equal((hand.last("commit") as Commit).ageMs, undefined);
});

test("Transaction.note() says who commits what, as bytes, later notes over earlier ones", async () => {
  const hand = new Hand();
  const tx = await hand.client.begin();
  tx.note({ user: "eva", description: "first" });
  tx.note({ description: "größer", extension: Uint8Array.of(1) });
  await tx.commit();
  const { user, description, extension } = hand.last("commit") as Commit;
  assert.deepEqual([user, description, extension], [bytes("eva"), bytes("größer"), Uint8Array.of(1)]);
});

test("Transaction refuses what is too large where it is said, and goes on", async () => {
  const hand = new Hand();
  const tx = await hand.client.begin();
  assert.throws(() => tx.store(a, new Uint8Array(OBJECT_BYTES_MAX + 1)), {
    name: "RangeError",
    message: /67108864/,
  });
  tx.note({ user: "x".repeat(NOTE_BYTES_MAX + 1) });
  await assert.rejects(tx.commit(), {
    name: "RangeError",
    message: /user has 65536 bytes, 65535 are allowed/,
  });
  tx.note({ user: "x" });
  assert.equal(await tx.commit(), 101n);
});

test("Transaction that is over takes nothing more, and says what became of it", async () => {
  const hand = new Hand();
  const committed = await hand.client.begin();
  await committed.commit();
  committed.abort();
  assert.throws(() => committed.store(a, bytes("x")), {
    name: "RangeError",
    message: /is committed; begin another/,
  });
  await assert.rejects(committed.commit(), RangeError);

  const aborted = await hand.client.begin();
  aborted.abort();
  assert.throws(() => aborted.delete(a), { name: "AbortedError", message: /is aborted; begin another/ });
  assert.throws(() => aborted.check(a), AbortedError);
  assert.throws(() => aborted.note({}), AbortedError);
  await assert.rejects(aborted.commit(), AbortedError);
  assert.equal(hand.count("commit"), 1);
});

test("Transaction whose commit fails gives the error as it is, and is over", async () => {
  const hand = new Hand();
  const error = new ConflictError([{ oid: a, base: ZERO_TID, saved: asTid(60) }]);
  hand.answers.commit = () => error;
  const tx = await hand.client.begin();
  tx.store(a, bytes("x"));
  await assert.rejects(tx.commit(), (thrown) => thrown === error);
  assert.throws(() => tx.store(a, bytes("x")), AbortedError);
});

test("Transaction is aborted by the end of its scope, unless it is committed", async () => {
  const hand = new Hand();
  const [first, second] = [await hand.client.begin(), await hand.client.begin()];
  first[Symbol.dispose]();
  await second[Symbol.asyncDispose]();
  for (const tx of [first, second]) await assert.rejects(tx.commit(), AbortedError);
});

test("Caller gives each result to its call, in whatever order they come", async () => {
  const hand = new Hand();
  hand.answers = {};
  const calls = [hand.client.sync(), hand.client.sync(), hand.client.newOids(2)];
  const [first, second, third] = hand.requests;
  hand.caller.take({ type: "settled", call: third!.call, result: [7n, 8n] });
  hand.caller.take({ type: "settled", call: second!.call, result: { lastTid: 5n, ageMs: 0 } });
  hand.caller.take({ type: "failed", call: first!.call, error: new UnreachableError("Cannot sync in time") });
  hand.caller.take({ type: "settled", call: 999, result: undefined });

  const results = await Promise.allSettled(calls);

  assert.deepEqual(results.map((result) => result.status), ["rejected", "fulfilled", "fulfilled"]);
  assert.deepEqual(results[1], { status: "fulfilled", value: 5n });
  assert.deepEqual(results[2], { status: "fulfilled", value: [7n, 8n] });
});

test("Caller bounds each call, by the caller's word or the default", async () => {
  const hand = new Hand();
  await hand.client.sync({ withinMs: 5 });
  await hand.client.sync();
  assert.deepEqual(hand.requests.map(({ withinMs }) => withinMs), [5, REQUEST_TIMEOUT_MS]);
});

test("Caller tells listeners of each transaction in order, until they have heard enough", () => {
  const hand = new Hand();
  const heard: string[] = [];
  const end = hand.client.onPublish((tid, oids) => heard.push(`${tid} ${oids}`));
  const publish = (tid: number, oids: readonly Oid[] | null) =>
    hand.caller.take({ type: "published", tid: asTid(tid), oids });
  publish(5, [a, b]);
  publish(9, null);
  end();
  publish(12, [c]);
  assert.deepEqual(heard, ["5 1,2", "9 null"]);
});

test("Caller that has ended fails what is open and what comes later with the reason", async () => {
  const hand = new Hand();
  hand.answers = {};
  const open = hand.client.sync();
  const reason = new UnreachableError("Cannot go on: this client is closed", { code: "lost" });
  hand.caller.end(reason);
  await assert.rejects(open, (thrown) => thrown === reason);
  await assert.rejects(hand.client.newOid(), (thrown) => thrown === reason);
  assert.equal(hand.requests.length, 1);
});

test("Client closes once it is asked to, or its scope ends", async () => {
  const hand = new Hand();
  await hand.client.close();
  await hand.client[Symbol.asyncDispose]();
  assert.equal(hand.closed, 2);
});

/** A client machine with its primary, and the oids that calls for new ones brought. */
function oidBench() {
  const bench = clientBench();
  const primary = follow(bench, welcomeOf());
  let nextOid = 1n;
  const results: (readonly Oid[])[] = [];
  const counts: number[] = [];
  const takes = (effects: ReturnType<typeof bench.give>): void => {
    for (const { output } of only(effects, "output")) {
      if (output.type === "settled") results.push(output.result as readonly Oid[]);
    }
    for (const question of asksOf(effects, "newOids")) {
      assert.equal(question.conn, primary);
      counts.push(question.message.body.count);
      const count = Math.min(question.message.body.count, OID_BLOCK);
      const first = toOid(nextOid);
      nextOid += BigInt(count);
      takes(bench.answered(question, { first, count }));
    }
  };
  let call = 0;
  const wants = (count: number): void =>
    takes(bench.give({ type: "call", call: ++call, name: "newOids", request: { count }, withinMs: 9_000 }));
  return { wants, results, counts };
}

test("ClientMachine fetches oids in batches, and gives none twice", () => {
  const { wants, results, counts } = oidBench();
  for (let i = 0; i < 25; i++) wants(10);
  assert.deepEqual(counts, [100, 100, 100]);
  assert.deepEqual(results.flat().map(Number), Array.from({ length: 250 }, (_, at) => at + 1));
});

test("ClientMachine gives as many oids as were asked for, though one answer grants a block at most", () => {
  const { wants, results } = oidBench();
  const count = 2 * OID_BLOCK + 5;
  wants(count);
  assert.equal(results[0]?.length, count);
  assert.equal(new Set(results[0]).size, count);
});
