import assert from "node:assert/strict";
import { test } from "node:test";
import { AbortedError, ConflictError, UnreachableError } from "../core/errors.ts";
import { toOid } from "../core/ids.ts";
import { TRANSACT_ATTEMPTS_MAX } from "../core/limits.ts";
import type { Client } from "../roles/client/library.ts";
import type { Resolver } from "../roles/client/resolving.ts";
import type { Transaction } from "../roles/client/transaction.ts";
import { LocalCluster } from "./cluster.ts";

const [a, b] = [toOid(1), toOid(2)];
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

/** Adds one to an object within a transaction. */
async function raise(tx: Transaction, oid = a): Promise<number> {
  const value = ((await tx.load(oid))?.data[0] ?? 0) + 1;
  tx.store(oid, bytes(value));
  return value;
}

async function valueOf(client: Client, oid = a): Promise<number | undefined> {
  return (await (await client.snapshot()).load(oid))?.data[0];
}

test("Client.transact() gives the value, the tid, and how often it ran; another attempt sees what was faster (N1)", async () => {
  await using cluster = await new LocalCluster().start();
  const [client, other] = [await cluster.connect(), await cluster.connect()];
  const once = await client.transact((tx) => raise(tx));
  assert.deepEqual([once.value, once.attempts], [1, 1]);
  assert.equal(once.tid, await client.sync());

  let runs = 0;
  const twice = await client.transact(async (tx) => {
    const value = await raise(tx);
    if (++runs === 1) await other.transact((theirs) => raise(theirs));
    return value;
  });
  assert.deepEqual([twice.value, twice.attempts], [3, 2]);
});

test("Client.transact() keeps the age of its first attempt: later ones come first in no queue", async () => {
  await using cluster = await new LocalCluster().start();
  const [client, other] = [await cluster.connect(), await cluster.connect()];
  const ages: (number | undefined)[] = [];
  await client.transact(async (tx) => {
    ages.push(tx.ageMs);
    await raise(tx);
    if (ages.length < 3) await other.transact((theirs) => raise(theirs));
  });
  assert.equal(ages.length, 3);
  assert.deepEqual(new Set(ages), new Set([ages[0]]));
});

test("Client.transact() of many that add to one object at once: each is there, and nearly all run twice (N1)", async () => {
  await using cluster = await new LocalCluster().start();
  const client = await cluster.connect();
  let runs = 0;
  const many = 60;
  await Promise.all(Array.from({ length: many }, () =>
    client.transact((tx) => {
      runs += 1;
      return raise(tx);
    })));
  assert.equal(await valueOf(client), many);
  assert.ok(runs <= 3 * many, `${runs} runs`);
});

test("Client.transact() gives up after the attempts that it is given, with every conflict", async () => {
  await using cluster = await new LocalCluster().start();
  const [client, other] = [await cluster.connect(), await cluster.connect()];
  for (const attempts of [1, 3]) {
    let runs = 0;
    const losing = client.transact(async (tx) => {
      runs += 1;
      await raise(tx, a);
      await raise(tx, b);
      await other.transact(async (theirs) => {
        await raise(theirs, a);
        await raise(theirs, b);
      });
    }, { attempts });
    await assert.rejects(losing, (error) => {
      assert.ok(error instanceof ConflictError);
      assert.deepEqual(error.conflicts.map(({ oid }) => oid).sort(), [a, b]);
      return true;
    });
    assert.equal(runs, attempts);
  }
  for (const attempts of [0, 1.5, NaN]) {
    await assert.rejects(client.transact(() => {}, { attempts }), RangeError);
  }
  assert.ok(TRANSACT_ATTEMPTS_MAX > 3);
});

test("Client.transact() commits nothing when its function throws, aborts or only reads", async () => {
  await using cluster = await new LocalCluster().start();
  const client = await cluster.connect();
  const { tid } = await client.transact((tx) => raise(tx));
  const thrown = new Error("no");
  await assert.rejects(
    client.transact(async (tx) => {
      await raise(tx);
      throw thrown;
    }),
    thrown,
  );
  const aborted = await client.transact(async (tx) => {
    await raise(tx);
    tx.abort();
  });
  const read = await client.transact((tx) => tx.load(a));
  assert.deepEqual([aborted.tid, read.tid, read.value?.data, read.attempts], [tid, tid, bytes(1), 1]);
  assert.equal(await client.sync(), tid);
});

test("Client.transact() runs no more once its signal fires", async () => {
  await using cluster = await new LocalCluster().start();
  const client = await cluster.connect();
  const controller = new AbortController();
  let runs = 0;
  const stopped = client.transact(() => {
    runs += 1;
    controller.abort();
    throw new AbortedError("Cannot go on: a test");
  }, { signal: controller.signal });
  await assert.rejects(stopped, (error) => error === controller.signal.reason);
  assert.equal(runs, 1);
});

test("Client.transact() has one time for all of it: attempts, pauses, and what its function waits for", async () => {
  await using cluster = await new LocalCluster().start();
  const [client, other] = [await cluster.connect(), await cluster.connect()];
  let runs = 0;
  const losing = client.transact(async (tx) => {
    runs += 1;
    await raise(tx);
    await other.transact((theirs) => raise(theirs));
  }, { withinMs: 1_000, attempts: 1_000_000 });
  await assert.rejects(losing, (error) => {
    assert.ok(error instanceof UnreachableError);
    assert.match(error.message, /^Cannot transact in time: 1000 ms are over, in attempt \d+$/);
    assert.ok(error.cause instanceof ConflictError, "what stood in the way");
    return true;
  });
  assert.ok(runs > 1);
  assert.equal(await valueOf(client), runs, "only the others' are there");

  let begun: Transaction | undefined;
  const hanging = client.transact((tx) => {
    begun = tx;
    return new Promise<void>(() => {});
  }, { withinMs: 50 });
  await assert.rejects(hanging, UnreachableError);
  assert.equal(begun?.isOpen, false, "what its function does later is too late");
  await assert.rejects(begun!.load(a), AbortedError);
});

test("Client.transact() gives its time and signal to what its function loads, and no load outlasts it", async () => {
  await using cluster = await new LocalCluster().start();
  const client = await cluster.connect();
  await client.transact((tx) => raise(tx));
  const fresh = await cluster.connect(); // it has nothing cached
  let load: Promise<unknown> | undefined;
  const hanging = fresh.transact(async (tx) => {
    await cluster.killStorage(0);
    await cluster.killStorage(1);
    load = tx.load(a, { withinMs: 60_000 });
    await load;
  }, { withinMs: 300 });
  await assert.rejects(hanging, /Cannot transact in time/);
  await assert.rejects(load!, /Cannot transact in time/);
});

test("Client.transact() leaves no listener at the signal that it is given", async () => {
  await using cluster = await new LocalCluster().start();
  const client = await cluster.connect();
  const { signal } = new AbortController();
  const kept = new Set<unknown>();
  const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
  signal.addEventListener = ((...args: Parameters<typeof add>) => (kept.add(args[1]), add(...args))) as never;
  signal.removeEventListener =
    ((...args: Parameters<typeof add>) => (kept.delete(args[1]), remove(...args))) as never;
  await client.transact((tx) => raise(tx), { signal });
  assert.equal(kept.size, 0);
});

test("Wrong arguments of plain JavaScript are refused in our words, where they are given", async () => {
  await using cluster = await new LocalCluster().start();
  const client = await cluster.connect();
  const wrong = <T>(value: unknown): T => value as T;
  await assert.rejects(client.transact(wrong(7)), {
    name: "TypeError",
    message: "Cannot transact: expected a function, got number",
  });
  await assert.rejects(client.transact(() => {}, { signal: wrong("soon") }), {
    name: "TypeError",
    message: "Cannot transact: expected an AbortSignal as its signal",
  });
  await assert.rejects(client.sync({ signal: wrong({}) }), {
    name: "TypeError",
    message: /^Cannot sync: expected an/,
  });
  await assert.rejects(client.begin({ resolve: wrong("mine") }), {
    name: "TypeError",
    message: "Cannot resolve conflicts: expected a function, got string",
  });
  const tx = await client.begin();
  for (
    const [note, message] of [
      ["eva", 'Cannot note string: expected an object, such as { user: "eva" }'],
      [null, 'Cannot note null: expected an object, such as { user: "eva" }'],
      [{ user: 7 }, "Cannot note this user: expected a string or a Uint8Array, got number"],
      [
        { description: ["a"] },
        "Cannot note this description: expected a string or a Uint8Array, got an array",
      ],
      [{ extension: "text" }, "Cannot note this extension: expected a Uint8Array, got string"],
    ] as const
  ) assert.throws(() => tx.note(wrong(note)), { name: "TypeError", message });
  const message = "Cannot use bigint as ids: expected an array of bigints, such as [1n, 2n]";
  await assert.rejects(tx.loadMany(wrong(1n)), { name: "TypeError", message });
  await assert.rejects(tx.prefetch(wrong(1n)), { name: "TypeError", message });
  await assert.rejects(tx.loadMany([wrong(1)]), { name: "TypeError", message: /^Cannot use 1 as an id/ });
  await assert.rejects(tx.storeStream(a, [], { signal: wrong(1) }), {
    name: "TypeError",
    message: /^Cannot store a stream/,
  });
  await raise(tx);
  assert.ok(await tx.commit() > 0n, "it goes on");
});

test("A transaction that has ended is read no more: neither its writes nor its snapshot are what is there now", async () => {
  await using cluster = await new LocalCluster().start();
  const client = await cluster.connect();
  const [committed, aborted] = [await client.begin(), await client.begin()];
  for (const tx of [committed, aborted]) tx.store(a, bytes(7));
  await committed.commit();
  aborted.abort();
  for (
    const read of [
      (tx: Transaction) => tx.load(a),
      (tx: Transaction) => tx.loadMany([a]),
      (tx: Transaction) => tx.loadStream(a),
    ]
  ) {
    await assert.rejects(read(committed), {
      name: "RangeError",
      message: "Cannot load: the transaction is committed; begin another",
    });
    await assert.rejects(read(aborted), {
      name: "AbortedError",
      message: "Cannot load: the transaction is aborted; begin another",
    });
  }
  assert.equal(await valueOf(client), 7);
});

test("Snapshot.prefetch() brings objects into the cache: loading them then asks nobody", async () => {
  await using cluster = await new LocalCluster().start();
  const [writer, client] = [await cluster.connect(), await cluster.connect()];
  await writer.transact(async (tx) => {
    await raise(tx, a);
    await raise(tx, b);
  });
  const snapshot = await client.snapshot();
  await snapshot.prefetch([a, b, toOid(99)]);
  await cluster.killStorage(0);
  await cluster.killStorage(1);
  assert.deepEqual((await snapshot.load(a))?.data, bytes(1));
  assert.deepEqual((await snapshot.loadMany([a, b])).map((found) => found?.data), [bytes(1), bytes(1)]);
  await assert.rejects(snapshot.load(toOid(98), { withinMs: 50 }), UnreachableError);
});

/** A transaction that began before another one changed what it writes. */
async function late(client: Client, other: Client, resolve: Resolver): Promise<Transaction> {
  const tx = await client.begin({ resolve });
  await raise(tx, a);
  await raise(tx, b);
  await other.transact(async (theirs) => {
    await raise(theirs, a);
    await raise(theirs, b);
  });
  return tx;
}

test("A resolver hears of every conflict, and what it gives is stored on top (N1)", async () => {
  await using cluster = await new LocalCluster().start();
  const [client, other] = [await cluster.connect(), await cluster.connect()];
  const heard: unknown[] = [];
  const tx = await late(client, other, ({ oid, base, saved, mine, baseTid, savedTid }) => {
    heard.push([oid, base, saved, mine]);
    assert.ok(savedTid > baseTid);
    return bytes(saved[0]! + mine[0]!);
  });
  const tid = await tx.commit();
  assert.deepEqual(heard.toSorted(), [[a, undefined, bytes(1), bytes(1)], [
    b,
    undefined,
    bytes(1),
    bytes(1),
  ]]);
  assert.equal(tx.tid, tid);
  assert.deepEqual([await valueOf(other, a), await valueOf(other, b)], [2, 2]);
});

test("A resolver that gives nothing fails the commit with its conflicts; what it throws, or gives wrongly, too", async () => {
  await using cluster = await new LocalCluster().start();
  const [client, other] = [await cluster.connect(), await cluster.connect()];
  const thrown = new Error("can't");
  const resolvers: [Resolver, unknown][] = [
    [() => undefined, ConflictError],
    [() => Promise.reject(thrown), thrown],
    [() => "text" as never, TypeError],
    [() => null as never, TypeError],
  ];
  for (const [resolve, expected] of resolvers) {
    await assert.rejects((await late(client, other, resolve)).commit(), expected as never);
  }
  assert.equal(await valueOf(client, a), resolvers.length, "theirs only");
});

test("Deletions and checks aren't resolved: their conflicts fail the commit", async () => {
  await using cluster = await new LocalCluster().start();
  const [client, other] = [await cluster.connect(), await cluster.connect()];
  await client.transact((tx) => raise(tx, a));
  const resolve: Resolver = () => assert.fail("nobody is asked");
  for (const what of ["delete", "check"] as const) {
    const tx = await client.begin({ resolve });
    await tx.load(a);
    tx[what](a);
    tx.store(b, bytes(9), { base: (await tx.load(b))?.tid ?? (0n as never) });
    await other.transact((theirs) => raise(theirs, a));
    await assert.rejects(tx.commit(), ConflictError);
  }
});

test("Client.transact() doesn't run again what can't succeed: an object that was written without having been loaded", async () => {
  await using cluster = await new LocalCluster().start();
  const client = await cluster.connect();
  await client.transact((tx) => raise(tx));
  let runs = 0;
  const blind = client.transact((tx) => {
    runs += 1;
    tx.store(a, bytes(9));
  });
  await assert.rejects(blind, ConflictError);
  assert.equal(runs, 1);
});

test("Ids that can't be are refused where they are given, and the client goes on", async () => {
  await using cluster = await new LocalCluster().start();
  const client = await cluster.connect();
  const tx = await client.begin();
  for (const id of [-1n, 2n ** 63n, 2n ** 70n] as never[]) {
    await assert.rejects(tx.load(id), RangeError);
    await assert.rejects(tx.loadMany([id]), RangeError);
    await assert.rejects(client.loadExact(id, a as never), RangeError);
    await assert.rejects(client.snapshot({ at: id }), RangeError);
    assert.throws(() => tx.store(id, bytes(1)), RangeError);
    assert.throws(() => tx.check(id), RangeError);
    assert.throws(() => tx.store(a, bytes(1), { base: id }), RangeError);
  }
  assert.throws(() => tx.check(5 as never), TypeError);
  for (const count of [-1, 1.5, "a"] as never[]) await assert.rejects(client.newOids(count), RangeError);
  assert.equal((await client.transact((theirs) => raise(theirs))).value, 1);
});
