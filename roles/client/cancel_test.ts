import assert from "node:assert/strict";
import { test } from "node:test";
import { toOid, toTtid } from "../../core/ids.ts";
import type { Conn, Oid } from "../../core/ids.ts";
import type { WireError } from "../../core/messages.ts";
import {
  asksOf,
  asPartition,
  asTid,
  clientBench,
  follow,
  helloAs,
  only,
  storageHello,
  tableOf,
  welcomeOf,
} from "../../tests/machines.ts";
import { PRIMARY } from "../seeker.ts";
import type { CallName, Calls } from "./calls.ts";

type Effects = ReturnType<ReturnType<typeof clientBench>["give"]>;
type Ask = Extract<Effects[number], { do: "ask" }>;

/** A client machine, and how its calls end. */
class Hand {
  readonly bench = clientBench();
  /** Questions, oldest first. */
  readonly asks: Ask[] = [];
  /** How calls ended: a result, or the error's code. */
  readonly ends = new Map<number, unknown>();
  primary: Conn | undefined;
  #calls = 0;

  /** The cluster lets the client in. */
  follow(): this {
    this.primary = follow(this.bench, welcomeOf({ table: tableOf(), lastTid: asTid(100) }));
    return this;
  }

  call<N extends CallName>(name: N, request: Calls[N]["request"]): number {
    const call = ++this.#calls;
    this.takes(this.bench.give({ type: "call", call, name, request, withinMs: 60_000 } as never));
    return call;
  }

  cancel(call: number): void {
    this.takes(this.bench.give({ type: "cancel", call }));
  }

  takes(effects: Effects): void {
    this.asks.push(...only(effects, "ask"));
    for (const { output } of only(effects, "output")) {
      if (output.type === "settled") this.ends.set(output.call, output.result);
      else if (output.type === "failed") this.ends.set(output.call, output.error.code);
    }
    for (const { target, address } of only(effects, "connect")) {
      if (target === PRIMARY) continue;
      this.takes(this.bench.reached(target, storageHello(Number(/\d+/.exec(address)![0]))).effects);
    }
  }
}

const load = { oid: toOid(2), at: asTid(50) };
const revision = {
  tid: asTid(40),
  next: null,
  compression: 0,
  checksum: new Uint8Array(),
  data: null,
  link: null,
};
const notReadable: WireError = { code: "notReadable", message: "Cannot read the partition here" };

test("ClientMachine drops a cancelled call that waits for a session", () => {
  const hand = new Hand();
  hand.bench.give({ type: "opened" });
  const [first, second] = [hand.call("sync", {}), hand.call("sync", {})];
  hand.cancel(first);
  assert.deepEqual([...hand.ends], [[first, "aborted"]]);

  const { conn } = hand.bench.reached(PRIMARY, helloAs("master", { name: "m1" }));
  hand.takes(hand.bench.told(conn, "welcome", welcomeOf({ lastTid: asTid(7) })));
  const [sync] = asksOf(hand.asks, "sync");
  hand.takes(hand.bench.answered(sync!, { lastTid: asTid(7), wallMs: 5 }));
  assert.deepEqual([...hand.ends.keys()], [first, second]);
});

test("ClientMachine drops a commit that is cancelled before there is a session: nothing is sent (N1)", () => {
  const hand = new Hand();
  hand.bench.give({ type: "opened" });
  const note = {
    user: new Uint8Array(),
    description: new Uint8Array(),
    extension: new Uint8Array(),
    status: " ",
  };
  const write = { oid: toOid(1), base: asTid(0), data: Uint8Array.of(1) };
  const call = hand.call("commit", { writes: [write], checks: [], ...note });
  hand.cancel(call);
  hand.follow();
  assert.deepEqual([...hand.ends], [[call, "aborted"]]);
  assert.deepEqual(hand.asks, []);
});

const reads: { [N in "load" | "loadExact" | "loadMany" | "transactions"]: Calls[N]["request"] } = {
  load,
  loadExact: { oid: toOid(2), tid: asTid(40) },
  loadMany: { oids: [toOid(1), toOid(2)] as Oid[], at: asTid(50) },
  transactions: { after: asTid(1), upTo: asTid(50), count: 10 },
};
for (const name of Object.keys(reads) as (keyof typeof reads)[]) {
  test(`ClientMachine drops a cancelled ${name}, whatever its storages say or fail to say`, () => {
    const hand = new Hand().follow();
    const call = hand.call(name, reads[name]);
    const asks = hand.asks.splice(0);
    assert.ok(asks.length > 0);
    hand.cancel(call);
    assert.deepEqual([...hand.ends], [[call, "aborted"]]);

    for (const ask of asks) hand.takes(hand.bench.failed(ask, notReadable));
    hand.cancel(call);
    assert.deepEqual([hand.ends.size, hand.asks.length], [1, 0], "nobody is asked in their place");
    assert.equal(hand.bench.machine.due(), undefined, "nothing is left to wait for");
  });
}

test("ClientMachine drops a cancelled read whose connection is still to be made", () => {
  const hand = new Hand().follow();
  const effects = hand.bench.give({ type: "call", call: 1, name: "load", request: load, withinMs: 9_000 });
  const [wanted] = only(effects, "connect");
  hand.cancel(1);
  const { effects: reached } = hand.bench.reached(
    wanted!.target,
    storageHello(Number(/\d+/.exec(wanted!.address)![0])),
  );
  assert.deepEqual(only(reached, "ask"), []);
  assert.deepEqual([...hand.ends], [[1, "aborted"]]);
});

test("ClientMachine drops a cancelled read that waits to start over", () => {
  const hand = new Hand().follow();
  const call = hand.call("load", load);
  for (let ask = hand.asks.shift(); ask; ask = hand.asks.shift()) {
    hand.takes(hand.bench.failed(ask, notReadable));
  }
  assert.notEqual(hand.bench.machine.due(), undefined, "it will start over");
  hand.cancel(call);
  assert.equal(hand.bench.machine.due(), undefined);
  assert.deepEqual([...hand.ends], [[call, "aborted"]]);
});

test("ClientMachine drops a cancelled sync, and answers those that share its question", () => {
  const hand = new Hand().follow();
  const [first, second] = [hand.call("sync", {}), hand.call("sync", {})];
  hand.cancel(first);
  for (let ask = hand.asks.shift(); ask; ask = hand.asks.shift()) {
    hand.takes(hand.bench.answered(ask, { lastTid: asTid(200), wallMs: 5 }));
  }
  assert.equal(hand.ends.get(first), "aborted");
  assert.deepEqual(hand.ends.get(second), { lastTid: 200n, ageMs: 5 });
  assert.equal(hand.bench.machine.due(), undefined);
});

test("ClientMachine drops what is cancelled of the rest, and takes their answers for nobody's", () => {
  const hand = new Hand().follow();
  const calls = [
    hand.call("newOids", { count: 5 }),
    hand.call("status", {}),
    hand.call("outcome", { ttid: toTtid(1), home: asPartition(0) }),
    hand.call("digests", { partition: asPartition(0), upTo: asTid(50) }),
  ];
  const asks = hand.asks.splice(0);
  for (const call of calls) hand.cancel(call);
  assert.deepEqual([...hand.ends], calls.map((call) => [call, "aborted"]));

  const answers = {
    newOids: { first: toOid(1), count: 100 },
    status: {},
    outcome: { tid: asTid(9) },
    digest: { count: 1, digest: new Uint8Array(32) },
  };
  for (const ask of asks) {
    const answer = answers[ask.message.name as keyof typeof answers];
    hand.takes(hand.bench.answered(ask, answer as never));
  }
  assert.equal(hand.ends.size, calls.length);
});

test("ClientMachine takes a cancel that comes too late for nothing", () => {
  const hand = new Hand().follow();
  const call = hand.call("loadExact", { oid: toOid(2), tid: asTid(40) });
  hand.takes(hand.bench.answered(hand.asks.shift()!, { revision }));
  hand.ends.clear();
  hand.cancel(call);
  hand.cancel(99);
  assert.equal(hand.ends.size, 0);
});
