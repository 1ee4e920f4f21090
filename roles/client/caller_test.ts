import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { AbortedError, UnreachableError } from "../../core/errors.ts";
import { toOid, toTid, toTtid } from "../../core/ids.ts";
import { asPartition, asTid } from "../../tests/machines.ts";
import { Caller } from "./caller.ts";
import type { CallOptions } from "./caller.ts";
import type { ClientCall, ClientWord } from "./calls.ts";
import { Client } from "./library.ts";
import { Transaction } from "./transaction.ts";

type Posted = ClientCall | ClientWord;

/** A machine that answers by hand, but gives a call up as soon as it is told to. */
class Hand {
  readonly posted: Posted[] = [];
  /** What becomes of a call that is cancelled. */
  onCancel: (call: number) => void = (call) =>
    this.caller.take({ type: "failed", call, error: new AbortedError("Cannot go on: it was cancelled") });
  readonly caller = new Caller((event) => {
    this.posted.push(event);
    if (event.type === "cancel") this.onCancel(event.call);
  });
  readonly client = new Client(this.caller, () => Promise.resolve());

  get names(): string[] {
    return this.posted.map((event) => event.type === "call" ? event.name : event.type);
  }

  settle(result: unknown): void {
    this.caller.take({ type: "settled", call: this.posted.at(-1)!.call, result });
  }
}

const reason = new Error("enough");
const isReason = (error: unknown): boolean => error === reason;
const listenersOf = (signal: AbortSignal): number => getEventListeners(signal, "abort").length;

test("Caller bounds a call that doesn't say how long by what its machine says, then by what the call says (T51)", async () => {
  const posted: unknown[] = [];
  const machine = { callTimeoutMs: 700 };
  const caller: Caller = new Caller((event) => {
    posted.push(event.type === "call" ? event.withinMs : event.type);
    caller.take({ type: "settled", call: event.call, result: undefined });
  }, machine);
  await caller.call("connect", {});
  machine.callTimeoutMs = 900;
  await caller.call("connect", {});
  await caller.call("connect", {}, { withinMs: 5 });
  assert.deepEqual(posted, [700, 900, 5]);
});

test("Caller cancels a call whose signal fires, which rejects with the signal's reason", async () => {
  const hand = new Hand();
  const controller = new AbortController();
  const { signal } = controller;
  const call = hand.caller.call("sync", {}, { signal });
  controller.abort(reason);

  await assert.rejects(call, isReason);
  assert.deepEqual(hand.names, ["sync", "cancel"]);
  assert.deepEqual(hand.posted[1], { type: "cancel", call: hand.posted[0]!.call });
});

test("Caller posts nothing for a signal that has fired already", async () => {
  const hand = new Hand();
  await assert.rejects(hand.caller.call("sync", {}, { signal: AbortSignal.abort(reason) }), isReason);
  await assert.rejects(hand.caller.call("sync", {}, { signal: AbortSignal.abort() }), {
    name: "AbortError",
  });
  assert.deepEqual(hand.posted, []);
});

test("Caller doesn't listen to the signal of a call that is over, however it ended", async () => {
  const hand = new Hand();
  const controller = new AbortController();
  const { signal } = controller;
  const sync = () => hand.caller.call("sync", {}, { signal });
  const calls = [sync(), sync(), sync()];
  assert.equal(listenersOf(signal), 3);

  hand.settle({ lastTid: asTid(1), ageMs: 0 });
  assert.equal(listenersOf(signal), 2, "settled");
  hand.caller.take({
    type: "failed",
    call: hand.posted[0]!.call,
    error: new UnreachableError("Cannot sync in time"),
  });
  assert.equal(listenersOf(signal), 1, "failed");
  hand.caller.end(new UnreachableError("Cannot go on: this client is closed", { code: "lost" }));
  assert.equal(listenersOf(signal), 0, "the client has ended");

  const results = await Promise.allSettled(calls);
  assert.deepEqual(results.map(({ status }) => status), ["rejected", "rejected", "fulfilled"]);
  controller.abort(reason);
  assert.deepEqual(hand.names, ["sync", "sync", "sync"]);
});

test("Caller gives a commit's outcome, whatever its signal says, once that can't be changed", async () => {
  const hand = new Hand();
  const commit = { writes: [], checks: [], status: " " };
  const note = { user: new Uint8Array(), description: new Uint8Array(), extension: new Uint8Array() };
  hand.onCancel = () => {};
  const run = (): { done: Promise<unknown> } => {
    const controller = new AbortController();
    const done = hand.caller.call("commit", { ...commit, ...note }, { signal: controller.signal });
    done.catch(() => {}); // it is looked at later
    controller.abort(reason);
    return { done };
  };
  const { done: committed } = run();
  hand.settle({ tid: asTid(7), ttid: toTtid(1) });
  assert.deepEqual(await committed, { tid: 7n, ttid: 1n });

  const late = new UnreachableError("Cannot commit in time: nothing of it is stored");
  const { done: lost } = run();
  hand.caller.take({ type: "failed", call: hand.posted.at(-1)!.call, error: late });
  await assert.rejects(lost, (error) => error === late);
});

test("Caller leaves errors alone that no signal has caused", async () => {
  const hand = new Hand();
  const { signal } = new AbortController();
  const call = hand.caller.call("sync", {}, { signal });
  const error = new AbortedError("Cannot commit: a partition has no copy that locked it");
  hand.caller.take({ type: "failed", call: hand.posted[0]!.call, error });
  await assert.rejects(call, (thrown) => thrown === error);
});

test("Caller tells conflicts to the call that resolves them, and says for others that nobody does", async () => {
  const hand = new Hand();
  const conflicts = [{ oid: toOid(1), base: asTid(1), saved: asTid(2) }];
  const resolutions = [{ oid: toOid(1), data: Uint8Array.of(1) }];
  const heard: unknown[] = [];
  const options = {
    onConflict: (found: unknown, resolve: (made: typeof resolutions) => void) => {
      heard.push(found);
      resolve(resolutions);
    },
  };
  void hand.caller.call("view", {}, options);
  void hand.caller.call("view", {});
  const [first, second] = hand.posted.map(({ call }) => call);
  hand.caller.take({ type: "conflict", call: first!, round: 3, conflicts });
  hand.caller.take({ type: "conflict", call: second!, round: 4, conflicts });

  assert.deepEqual(heard, [conflicts]);
  assert.deepEqual(hand.posted.slice(2), [
    { type: "resolve", call: first, round: 3, resolutions },
    { type: "resolve", call: second, round: 4, resolutions: undefined },
  ]);
  await Promise.resolve();
});

test("Caller tells listeners once that it has ended, late ones at once", () => {
  const hand = new Hand();
  const heard: string[] = [];
  const listen = (name: string) =>
    hand.caller.listen({ published: () => heard.push(`${name} news`), ended: () => heard.push(name) });
  listen("first");
  listen("second")();
  hand.caller.end(new Error("closed"));
  hand.caller.end(new Error("closed again"));
  listen("late");
  hand.caller.take({ type: "published", tid: asTid(1), oids: [] });
  assert.deepEqual(heard, ["first", "late"]);
});

const oid = toOid(1);
const transaction = ({ caller }: Hand): Transaction => new Transaction(caller, { at: asTid(9), ageMs: 0 });
const methods: { name: string; call: string; run: (hand: Hand, options: CallOptions) => Promise<unknown> }[] =
  [
    { name: "Client.sync", call: "sync", run: ({ client }, options) => client.sync(options) },
    { name: "Client.lastTid", call: "view", run: ({ client }, options) => client.lastTid(options) },
    { name: "Client.view", call: "view", run: ({ client }, options) => client.view(options) },
    { name: "Client.snapshot", call: "sync", run: ({ client }, options) => client.snapshot(options) },
    {
      name: "Client.snapshot without sync",
      call: "view",
      run: ({ client }, options) => client.snapshot({ ...options, sync: false }),
    },
    { name: "Client.begin", call: "sync", run: ({ client }, options) => client.begin(options) },
    { name: "Client.newOid", call: "newOids", run: ({ client }, options) => client.newOid(options) },
    { name: "Client.newOids", call: "newOids", run: ({ client }, options) => client.newOids(2, options) },
    {
      name: "Client.loadExact",
      call: "loadExact",
      run: ({ client }, options) => client.loadExact(oid, asTid(1), options),
    },
    {
      name: "Client.outcome",
      call: "outcome",
      run: ({ client }, options) => client.outcome({ ttid: toTtid(1), home: asPartition(0) }, options),
    },
    { name: "Client.call", call: "status", run: ({ client }, options) => client.call("status", {}, options) },
    {
      name: "Client.changes",
      call: "sync",
      run: ({ client }, { signal }) => client.changes(signal ? { signal } : {}).next(),
    },
    {
      name: "Client.transactions",
      call: "sync",
      run: ({ client }, options) => client.transactions(options).next(),
    },
    {
      name: "Client.records",
      call: "transactions",
      run: ({ client }, options) => client.records({ ...options, upTo: asTid(5) }).next(),
    },
    {
      name: "Client.copyTransactionsFrom",
      call: "stage",
      run: ({ client }, options) => client.copyTransactionsFrom([], { ...options, origin: "FS30" }),
    },
    { name: "Transaction.load", call: "load", run: (hand, options) => transaction(hand).load(oid, options) },
    {
      name: "Transaction.loadMany",
      call: "loadMany",
      run: (hand, options) => transaction(hand).loadMany([oid], options),
    },
    { name: "Transaction.commit", call: "commit", run: (hand, options) => transaction(hand).commit(options) },
  ];
for (const { name, call, run } of methods) {
  test(`${name}() takes a time and a signal, which gives it up`, async () => {
    const hand = new Hand();
    const controller = new AbortController();
    const { signal } = controller;
    const running = run(hand, { signal, withinMs: 77 });
    running.catch(() => {}); // it is looked at below
    await Promise.resolve();
    await Promise.resolve();
    const [posted] = hand.posted;
    assert.deepEqual(hand.names, [call]);
    if (name !== "Client.changes") assert.equal((posted as ClientCall).withinMs, 77);
    controller.abort(reason);

    await assert.rejects(running, isReason);
    assert.equal(hand.names[1], "cancel");
    assert.equal(listenersOf(signal), 0);
    await assert.rejects(run(hand, { signal }), isReason);
    assert.deepEqual(hand.names, [call, "cancel"], "a signal that has fired costs nothing");
  });
}

test("Client.records() gives up between two pages too", async () => {
  const hand = new Hand();
  const controller = new AbortController();
  const note = {
    status: " ",
    user: new Uint8Array(),
    description: new Uint8Array(),
    extension: new Uint8Array(),
  };
  const records = hand.client.records({ upTo: toTid(9n), signal: controller.signal });
  const first = records.next();
  await Promise.resolve();
  hand.settle({ transactions: [{ tid: asTid(3), ttid: toTtid(1), ...note, oids: [] }], upTo: asTid(3) });
  assert.equal((await first).value?.tid, 3n);
  controller.abort(reason);
  await assert.rejects(records.next(), isReason);
  assert.deepEqual(hand.names, ["transactions"]);
});
