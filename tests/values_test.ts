import assert from "node:assert/strict";
import { test } from "node:test";
import { AbortedError } from "../core/errors.ts";
import { toOid } from "../core/ids.ts";
import { OBJECT_BYTES_MAX, PART_BYTES_MAX } from "../core/limits.ts";
import type { Client } from "../roles/client/library.ts";
import { LocalCluster } from "./cluster.ts";

const oid = toOid(7);

/** Bytes that differ from place to place, and don't become smaller. */
function bytesOf(size: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(size / 4));
  let word = 1;
  for (let i = 0; i < words.length; i++) words[i] = word = (Math.imul(word, 1_664_525) + 1_013_904_223) >>> 0;
  return new Uint8Array(words.buffer, 0, size);
}

/** The same bytes in pieces that fit nothing. */
function* inPieces(bytes: Uint8Array, length = 70_001): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

async function streamed(client: Client): Promise<{ size: number; data: Uint8Array } | undefined> {
  const value = await (await client.snapshot()).loadStream(oid);
  if (!value) return undefined;
  const data = new Uint8Array(value.size);
  let at = 0;
  for await (const part of value.body) {
    data.set(part, at);
    at += part.length;
  }
  assert.equal(at, value.size);
  return { size: value.size, data };
}

function isSame(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && a.length === b.length && a.every((byte, i) => byte === b[i]);
}

for (
  const size of [0, 1, PART_BYTES_MAX, PART_BYTES_MAX + 1, 3 * PART_BYTES_MAX, 3 * PART_BYTES_MAX + 12_345]
) {
  test(`T19 a value of ${size} bytes is the same as it went in, by store or storeStream, load or loadStream`, async () => {
    await using cluster = await new LocalCluster().start();
    const [writer, reader] = [await cluster.connect(), await cluster.connect()];
    const value = bytesOf(size);
    const sources = [
      () => inPieces(value),
      () => new Blob([value as Uint8Array<ArrayBuffer>]).stream(),
      undefined,
    ];
    for (const source of sources) {
      await writer.transact(async (tx) => {
        await tx.load(oid);
        if (source) await tx.storeStream(oid, source());
        else tx.store(oid, value);
      });
      for (const client of [writer, reader]) {
        const found = await (await client.snapshot()).load(oid);
        assert.ok(isSame(found?.data, value));
        assert.ok(isSame((await streamed(client))?.data, value));
        assert.ok(isSame((await client.loadExact(oid, found!.tid))?.data ?? undefined, value));
        assert.ok(isSame((await (await client.snapshot()).loadMany([oid]))[0]?.data, value));
      }
    }
  });
}

test("T19 a value that is too large for memory is only streamed, and says so", async () => {
  await using cluster = await new LocalCluster({ storages: 1, replicas: 0 }).start();
  const client = await cluster.connect();
  const block = new Uint8Array(1024 * 1024);
  function* blocks(): Generator<Uint8Array> {
    for (let i = 0; i <= OBJECT_BYTES_MAX / block.length; i++) yield block;
  }
  await client.transact((tx) => tx.storeStream(oid, blocks()));
  const snapshot = await client.snapshot();
  await assert.rejects(snapshot.load(oid), { code: "tooLarge", message: /loadStream/ });
  assert.equal((await streamed(client))?.size, OBJECT_BYTES_MAX + block.length);
});

test("T19 a stream that fails, or isn't one, aborts its transaction; nothing of it is stored or kept", async () => {
  await using cluster = await new LocalCluster().start();
  const client = await cluster.connect();
  const broken = new Error("the source is gone");
  function* failing(): Generator<Uint8Array> {
    yield bytesOf(2 * PART_BYTES_MAX + 5);
    throw broken;
  }
  const wrong: [unknown, unknown][] = [[failing(), broken], [["text"], TypeError], [5, TypeError]];
  for (const [source, error] of wrong) {
    const tx = await client.begin();
    await assert.rejects(tx.storeStream(oid, source as never), error as never);
    await assert.rejects(tx.commit(), AbortedError);
  }
  assert.equal(await streamed(client), undefined);
  await client.transact((tx) => tx.store(oid, bytesOf(3))); // its lock is free, too
});

test("T19 a transaction that streams sees its signal, and an object has one stream", async () => {
  await using cluster = await new LocalCluster().start();
  const client = await cluster.connect();
  const controller = new AbortController();
  function* endless(): Generator<Uint8Array> {
    for (let i = 0;; i++) {
      if (i === 20) controller.abort();
      yield bytesOf(PART_BYTES_MAX);
    }
  }
  const tx = await client.begin();
  await assert.rejects(tx.storeStream(oid, endless(), { signal: controller.signal }), { name: "AbortError" });

  const twice = await client.begin();
  await twice.storeStream(oid, inPieces(bytesOf(PART_BYTES_MAX + 1)));
  await assert.rejects(twice.storeStream(oid, [new Uint8Array(1)]), RangeError);
  await assert.rejects(twice.load(oid), RangeError);
});

test("T19 parts that are lost with their storage end the transaction, and another attempt stores all of it", async () => {
  await using cluster = await new LocalCluster().start();
  const client = await cluster.connect();
  await client.transact((tx) => tx.store(toOid(8), bytesOf(1))); // both storages are connected
  const value = bytesOf(4 * PART_BYTES_MAX);
  let runs = 0;
  async function* source(): AsyncGenerator<Uint8Array> {
    yield value.subarray(0, 3 * PART_BYTES_MAX);
    if (++runs === 1) {
      await cluster.killStorage(0);
      await cluster.startStorage(0);
    }
    yield value.subarray(3 * PART_BYTES_MAX);
  }
  const { attempts } = await client.transact((tx) => tx.storeStream(oid, source()));
  assert.ok(attempts >= 2);
  assert.ok(isSame((await streamed(client))?.data, value));
});

test("T19 a newer value in parts replaces an older one, and old snapshots still show that", async () => {
  await using cluster = await new LocalCluster().start();
  const client = await cluster.connect();
  const sizes = [PART_BYTES_MAX + 5, 20, 2 * PART_BYTES_MAX];
  const tids: bigint[] = [];
  for (const size of sizes) {
    const { tid } = await client.transact(async (tx) => {
      await tx.load(oid);
      await tx.storeStream(oid, inPieces(bytesOf(size)));
    });
    tids.push(tid);
  }
  for (const [i, at] of tids.entries()) {
    const found = await (await client.snapshot({ at: at as never })).load(oid);
    assert.ok(isSame(found?.data, bytesOf(sizes[i]!)));
  }
});

test("T19 a source that was read before isn't taken for an empty value", async () => {
  await using cluster = await new LocalCluster().start();
  const [client, other] = [await cluster.connect(), await cluster.connect()];
  const body = new Blob([bytesOf(1_000) as Uint8Array<ArrayBuffer>]).stream();
  let runs = 0;
  const again = client.transact(async (tx) => {
    await tx.load(oid);
    await tx.storeStream(oid, body);
    if (++runs === 1) await other.transact((theirs) => theirs.store(oid, bytesOf(1)));
  });
  await assert.rejects(again, { name: "RangeError", message: /read already/ });
  assert.equal((await streamed(client))?.size, 1);
  const pieces = inPieces(bytesOf(10));
  await client.transact((tx) => tx.storeStream(toOid(8), pieces));
  await assert.rejects(client.transact((tx) => tx.storeStream(toOid(9), pieces)), RangeError);
  await assert.rejects(
    client.transact((tx) => tx.storeStream(toOid(9), new Uint8Array(3) as never)),
    TypeError,
  );
});

test("T19 a silent source doesn't outlast its signal, and a stream that isn't awaited isn't lost without a word", async () => {
  await using cluster = await new LocalCluster().start();
  const client = await cluster.connect();
  const controller = new AbortController();
  const silent = new ReadableStream<Uint8Array>({ pull: () => new Promise(() => {}) });
  const tx = await client.begin();
  const storing = tx.storeStream(oid, silent, { signal: controller.signal });
  controller.abort();
  await assert.rejects(storing, { name: "AbortError" });

  let forgotten: Promise<void> | undefined;
  const hasty = client.transact((tx) => {
    forgotten = tx.storeStream(oid, inPieces(bytesOf(3 * PART_BYTES_MAX)));
    forgotten.catch(() => undefined);
  });
  await assert.rejects(hasty, { name: "RangeError", message: /await storeStream/ });
  await assert.rejects(forgotten!, AbortedError);
});
