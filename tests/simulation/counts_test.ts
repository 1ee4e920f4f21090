import assert from "node:assert/strict";
import { test } from "node:test";
import type { Conn, Oid, Tid } from "../../core/ids.ts";
import { toOid, ZERO_TID } from "../../core/ids.ts";
import type { PeerEvent } from "../../core/machine.ts";
import type { Commit } from "../../roles/client/calls.ts";
import { Cluster } from "./cluster.ts";
import type { SimClient } from "./cluster.ts";
import { SimRandom } from "./random.ts";
import { call, wait } from "./sessions.ts";
import type { Worker } from "./sessions.ts";
import { remainsOf } from "./watch.ts";

const WITHIN_MS = 30_000;
const NOTHING = new Uint8Array();
/** Clients of these ask no second copy (they don't hedge). */
const SEEDS = [1, 2, 3, 4, 6];

/** A cluster in which nothing goes wrong, and all that its nodes' machines were asked and told by others. */
class Counted {
  readonly cluster: Cluster;
  #counts = new Map<string, number>();
  #roles = new Map<string, Map<Conn, string>>(); // by node

  constructor(seed: number, storages: number) {
    const shape = {
      storages,
      replicas: 1,
      partitions: 4,
      masters: 1,
      spares: 0,
      clients: 2,
      late: false,
      lateMaster: false,
    };
    this.cluster = new Cluster(
      shape,
      new SimRandom(seed),
      300,
      (node) => assert.fail(`${node.name} has ended`),
    );
    this.cluster.trace.watch = ({ node, event }) => this.#see(node, event as PeerEvent<unknown>);
    this.cluster.start();
    this.run(this.#client("c1"), write(objects.map((oid) => ({ oid, base: ZERO_TID }))));
    this.run(this.#client("c2"), call("connect", {}, WITHIN_MS));
    this.#settle();
  }

  #see(node: string, event: PeerEvent<unknown>): void {
    const roles = this.#roles.get(node) ?? new Map<Conn, string>();
    this.#roles.set(node, roles);
    if (event.type === "identified") roles.set(event.conn, event.hello.role);
    if (event.type !== "asked" && event.type !== "told") return;
    const what = `${roles.get(event.conn)} > ${node}: ${event.message.name}`;
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1);
  }

  #client(name: string): SimClient {
    return this.cluster.clients.find((client) => client.name === name)!;
  }

  #settle(): void {
    const { world } = this.cluster;
    const isQuiet = () => remainsOf(this.cluster).length === 0;
    assert.ok(world.runUntil(isQuiet, world.nowMs + 60_000), remainsOf(this.cluster).join("; "));
    world.runUntil(() => false, world.nowMs + 100); // what was said last
  }

  /** Runs a worker to its end. */
  run<T>(client: SimClient, worker: Worker<T>): T {
    const { world } = this.cluster;
    const ended: T[] = [];
    const start = () => client.session!.run(noting(worker, ended));
    if (client.session === undefined) client.begin = start;
    else start();
    assert.ok(world.runUntil(() => ended.length > 0, world.nowMs + 60_000), "the worker ends");
    client.begin = () => {};
    return ended[0]!;
  }

  /** What was said, to whom, how often, from the beginning of workers at one moment until nothing is left of them. */
  count(name: string, ...workers: readonly Worker<unknown>[]): Record<string, number> {
    this.#counts.clear();
    const { world } = this.cluster;
    const ended: unknown[] = [];
    for (const worker of workers) this.#client(name).session!.run(noting(worker, ended));
    assert.ok(world.runUntil(() => ended.length === workers.length, world.nowMs + 60_000), "the workers end");
    this.#settle();
    return Object.fromEntries([...this.#counts].sort());
  }

  /** The newest tid, as the second client learns it. */
  newest(): Tid {
    const outcome = this.run(this.#client("c2"), call("sync", {}, WITHIN_MS));
    assert.ok(outcome.ok);
    return outcome.result.lastTid;
  }
}

function* noting<T>(worker: Worker<T>, ended: T[]): Worker {
  ended.push(yield* worker);
}

const objects = [0, 1, 2, 3, 4, 5].map((oid) => toOid(oid));

type Based = { readonly oid: Oid; readonly base: Tid };

function commit(writes: readonly Based[], checks: Commit["checks"]): ReturnType<typeof call<"commit">> {
  const note = { user: NOTHING, description: NOTHING, extension: NOTHING, status: " " };
  const data = new Uint8Array([1]);
  return call("commit", { writes: writes.map((one) => ({ ...one, data })), checks, ...note }, WITHIN_MS);
}

function* write(writes: readonly Based[], checks: Commit["checks"] = []): Worker {
  const outcome = yield* commit(writes, checks);
  assert.ok(outcome.ok);
}

function* all(...workers: readonly Worker<unknown>[]): Worker {
  for (const worker of workers) yield* worker;
}

/** Those that reached the primary. */
function atPrimary(counts: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).filter(([what]) => what.includes("> m1:")));
}

test("T53 a load asks the primary nothing: not the first one of a client, nor any other kind of read", () => {
  for (const seed of SEEDS) {
    const counted = new Counted(seed, 2);
    const at = counted.newest();
    const [a, b, c] = objects as [Oid, Oid, Oid];

    const one = counted.count("c2", call("load", { oid: a, at }, WITHIN_MS));
    assert.deepEqual(atPrimary(one), {});
    assert.deepEqual(Object.values(one), [1], "one storage is asked, once");

    const more = counted.count(
      "c2",
      all(
        call("loadMany", { oids: [b, c], at }, WITHIN_MS),
        call("loadExact", { oid: objects[3]!, tid: at }, WITHIN_MS),
        call("transactions", { after: ZERO_TID, upTo: at, count: 10 }, WITHIN_MS),
      ),
    );
    assert.deepEqual(atPrimary(more), {});
    assert.ok(Object.keys(more).some((what) => what.endsWith("loadMany")));
  }
});

test("T53 a commit says one thing to the primary, its finish, and the storages say nothing to it unasked", () => {
  for (const seed of SEEDS) {
    const counted = new Counted(seed, 2);
    const base = counted.newest();
    const [a, b, c, d] = objects.map((oid) => ({ oid, base }));

    const counts = counted.count("c2", write([a!, b!, c!], [d!]));

    assert.deepEqual(counts, {
      "client > m1: finish": 1,
      "client > s1: check": 1,
      "client > s1: store": 3,
      "client > s1: vote": 1,
      "client > s2: check": 1,
      "client > s2: store": 3,
      "client > s2: vote": 1,
      "master > c1: invalidate": 1,
      "master > s1: lock": 1,
      "master > s1: unlock": 1,
      "master > s2: lock": 1,
      "master > s2: unlock": 1,
    });
  }
});

test("T53 a transaction with its begin costs the primary a sync and a finish, whatever it reads and writes", () => {
  const counted = new Counted(3, 3);
  function* transaction(): Worker {
    const begun = yield* call("sync", {}, WITHIN_MS);
    assert.ok(begun.ok);
    const found = yield* call("loadMany", { oids: objects, at: begun.result.lastTid }, WITHIN_MS);
    assert.ok(found.ok);
    yield* write(objects.map((oid, i) => ({ oid, base: found.result[i]!.tid })));
  }

  const counts = counted.count("c2", all(transaction(), transaction(), transaction()));

  assert.deepEqual(atPrimary(counts), { "client > m1: finish": 3, "client > m1: sync": 3 });
});

test("T53 a conflict asks the primary nothing: it is told of the end", () => {
  const counted = new Counted(4, 2);
  function* conflicting(): Worker {
    const outcome = yield* commit([{ oid: objects[0]!, base: ZERO_TID }], []);
    assert.ok(!outcome.ok && outcome.error.code === "conflict");
  }

  const counts = counted.count("c2", conflicting());

  assert.deepEqual(atPrimary(counts), { "client > m1: abort": 1 });
});

test("T53 begins that wait at the same moment share one sync", () => {
  const counted = new Counted(5, 2);
  const begins = (count: number, apartMs: number) =>
    Array.from({ length: count }, function*(): Worker {
      yield* wait(apartMs);
      const outcome = yield* call("sync", {}, WITHIN_MS);
      assert.ok(outcome.ok);
    });

  // What came first is on its way when the others come; these share the next one.
  assert.deepEqual(counted.count("c2", ...begins(50, 0)), { "client > m1: sync": 2 });
  assert.deepEqual(counted.count("c2", ...begins(1, 0)), { "client > m1: sync": 1 });
  assert.deepEqual(counted.count("c2", all(...begins(5, 10))), { "client > m1: sync": 5 });
});
