import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "../../adapters/system.ts";
import { MAX_TID, toOid, toTid, toTtid, ZERO_TID } from "../../core/ids.ts";
import type { Tid } from "../../core/ids.ts";
import { COPY_KEYS_MAX, COPY_SLICES } from "../../core/limits.ts";
import type { AnswerMessage, AskMessage, TransactionInfo, WireError } from "../../core/messages.ts";
import { COMPRESSION_PARTS, encodeManifest } from "../../core/parts.ts";
import type {
  CopiedRevision,
  DatabaseAnswer,
  DatabaseQuery,
  DatabaseWrite,
  StoredData,
} from "../../core/ports.ts";
import {
  asPartition,
  errorsOf,
  only,
  serveStorage,
  storageBench,
  storageDisk,
  storageHello,
  tableOf,
} from "../../tests/machines.ts";
import { Copy } from "./copy.ts";
import type { CopyRange } from "./copy.ts";
import { Site } from "./site.ts";

const SHAPE = { storages: 2, partitions: 1, replicas: 1 };
const partition = asPartition(0);
const none = new Uint8Array();

function stored(text: string): StoredData {
  const data = new TextEncoder().encode(text);
  return { compression: 0, checksum: sha256(data), data };
}

function revision(oid: number, tid: number, text: string | null): CopiedRevision {
  return { oid: toOid(oid), tid: toTid(tid), link: null, stored: text === null ? null : stored(text) };
}

function transaction(tid: number, user = ""): TransactionInfo {
  const texts = { status: " ", user: new TextEncoder().encode(user), description: none, extension: none };
  return { tid: toTid(tid), ttid: toTtid(tid + 1_000_000), ...texts, oids: [] };
}

/** A storage that is copied from, a database that is copied to, and how often it was asked. */
class Pair {
  readonly asked: string[] = [];
  readonly errors: WireError[] = [];
  readonly target = storageDisk(2, 1).open();
  readonly site: Site;
  readonly #disk = storageDisk(1, 1);
  readonly #source = storageBench(this.#disk);
  readonly #conn;
  /** Rows that the target looks at at once, if others than usual. */
  lookRowsMax: number | undefined;
  /** What a wire makes of answers. */
  bend: (message: AnswerMessage) => AnswerMessage = (message) => message;

  constructor() {
    const table = tableOf(SHAPE);
    serveStorage(this.#source, { table });
    this.#conn = this.#source.comes(storageHello(2, { epoch: 1 })).conn;
    this.site = new Site({ digest: sha256, epoch: 1, image: table.toImage() });
  }

  /** Puts rows on one side. */
  fill(side: "source" | "target", ...writes: readonly DatabaseWrite[]): void {
    const store = side === "target" ? this.target : this.#source.store!;
    store.apply(writes, { durable: true });
  }

  /** Runs a copy to its end; false: the source was of no use. */
  run(range: Partial<CopyRange> = {}): boolean {
    let isDone = false;
    const asks: AskMessage[] = [];
    const copy: Copy = new Copy({
      partition,
      after: ZERO_TID,
      upTo: toTid(1_000_000n),
      settled: true,
      bound: ZERO_TID,
      ...range,
    }, {
      site: this.site,
      ask: (name, body) => asks.push({ name, body } as never),
      read: (query) => {
        const { lookRowsMax: rowsMax } = this;
        const bounded = query.read === "slices" && rowsMax !== undefined ? { ...query, rowsMax } : query;
        this.site.emit({ do: "read", query: bounded, context: { for: "copy", job: 1 } });
      },
      packedTo: (bound) => this.errors.push({ code: "denied", message: `packed to ${bound}` }),
      done: () => (isDone = true),
      failed: (error) => this.errors.push(error),
    });
    copy.begin();
    while (!isDone && this.errors.length === 0) {
      const effects = this.site.taken();
      this.target.apply(only(effects, "save").map(({ write }) => write), { durable: false });
      for (const { query } of only(effects, "read")) copy.read(this.target.read(query));
      const ask = asks.shift();
      if (ask) copy.answered(this.#answer(ask));
    }
    this.target.apply(only(this.site.taken(), "save").map(({ write }) => write), { durable: true });
    return isDone;
  }

  digests(upTo: Tid = MAX_TID): string[] {
    const query = { read: "digest", partition, upTo } as const;
    return [this.target.read(query), this.read(query)].map((answer) => {
      assert.ok(answer.read === "digest");
      return `${answer.count} ${answer.digest.join(" ")}`;
    });
  }

  /** What the source's database says. */
  read(query: DatabaseQuery): DatabaseAnswer {
    return this.#source.store!.read(query) as DatabaseAnswer;
  }

  #answer({ name, body }: AskMessage): AnswerMessage {
    this.asked.push(name);
    const effects = this.#source.asked(this.#conn, name, body as never);
    const [answer] = only(effects, "answer");
    assert.ok(answer, `${name}: ${errorsOf(effects)[0]?.message}`);
    return this.bend(answer.message);
  }
}

/** Revisions 1 to `count`, each in a transaction of its own. */
function rowsOf(count: number, text: (tid: number) => string = (tid) => `revision ${tid}`): DatabaseWrite {
  const tids = Array.from({ length: count }, (_, at) => at + 1);
  return {
    op: "copy",
    partition,
    transactions: tids.map((tid) => transaction(tid)),
    revisions: tids.map((tid) => revision(tid % 50, tid, text(tid))),
  };
}

test("Copy brings all rows to where none are, in pages", () => {
  const pair = new Pair();
  pair.fill("source", rowsOf(3_000));
  assert.equal(pair.run(), true);
  const [target, source] = pair.digests();
  assert.equal(target, source);
  assert.equal(pair.asked.every((name) => name === "rows"), true);
  assert.ok(pair.asked.length >= 6, "pages are bounded");
});

test("Copy asks one question about a range that is equal, however long it is (T35, N4)", () => {
  for (const count of [10, 1_000, 5_000]) {
    const pair = new Pair();
    for (const side of ["source", "target"] as const) pair.fill(side, rowsOf(count));
    assert.equal(pair.run(), true);
    assert.deepEqual(pair.asked, ["slices"]);
  }
});

test("Copy finds one row among n with O(log n) questions, and brings only that (T35, N4)", () => {
  const pair = new Pair();
  pair.fill("source", rowsOf(5_000));
  pair.fill("target", rowsOf(5_000));
  const [key] = [{ oid: toOid(2_345 % 50), tid: toTid(2_345) }];
  pair.fill("target", { op: "uncopy", partition, transactions: [], revisions: [key!] });
  const [before, source] = pair.digests();
  assert.notEqual(before, source);
  assert.equal(pair.run(), true);
  const [after] = pair.digests();
  assert.equal(after, source);
  const levels = Math.ceil(Math.log(10_000 / COPY_KEYS_MAX) / Math.log(COPY_SLICES));
  assert.deepEqual(pair.asked, [...Array(levels).fill("slices"), "keys", "pick"]);
});

test("Copy compares long ranges piece by piece, so that nobody waits for a whole partition (T35)", () => {
  const pair = new Pair();
  pair.lookRowsMax = 700;
  const count = 2_000;
  pair.fill("source", rowsOf(count));
  pair.fill("target", rowsOf(count, (tid) => (tid === count ? "something else" : `revision ${tid}`)));
  assert.equal(pair.run(), true);
  const [target, source] = pair.digests();
  assert.equal(target, source);
  assert.ok(pair.asked.length >= 6 && pair.asked.length < 12, String(pair.asked));
});

test("Copy replaces values that differ, not only keys (N8, X5)", () => {
  const pair = new Pair();
  pair.fill("source", rowsOf(300));
  pair.fill("target", rowsOf(300, (tid) => (tid === 77 ? "something else" : `revision ${tid}`)));
  assert.equal(pair.run(), true);
  const [target, source] = pair.digests();
  assert.equal(target, source);
});

test("Copy deletes rows that a settled source hasn't, and leaves them while it isn't settled", () => {
  for (const settled of [true, false]) {
    const pair = new Pair();
    pair.fill("source", rowsOf(20));
    pair.fill("target", rowsOf(25));
    assert.equal(pair.run({ settled }), true);
    const [target, source] = pair.digests();
    assert.equal(target === source, settled);
  }
});

test("Copy touches nothing outside its range", () => {
  const pair = new Pair();
  pair.fill("source", rowsOf(100));
  assert.equal(pair.run({ after: toTid(10), upTo: toTid(90) }), true);
  const keys = pair.target.read({ read: "keys", partition, after: ZERO_TID, upTo: MAX_TID, rowsMax: 1_000 });
  assert.ok(keys.read === "keys");
  assert.deepEqual(
    keys.transactions.map(({ tid }) => Number(tid)),
    Array.from({ length: 80 }, (_, at) => at + 11),
  );
});

test("Copy brings the parts of large values before their manifest (P1)", () => {
  const pair = new Pair();
  const parts = ["first", "second", "third"].map((text) => stored(text.padEnd(6)));
  const manifest = encodeManifest({
    size: 18,
    partBytes: 6,
    checksums: parts.map(({ checksum }) => checksum),
  });
  const value = { compression: COMPRESSION_PARTS, checksum: sha256(manifest), data: manifest };
  const [oid, tid] = [toOid(3), toTid(7)];
  pair.fill(
    "source",
    ...parts.map((part, seq) => ({ op: "copyPart", oid, tid, seq, stored: part } as const)),
    { op: "copy", partition, transactions: [], revisions: [{ oid, tid, link: null, stored: value }] },
  );
  assert.equal(pair.run(), true);
  assert.deepEqual(pair.asked, ["rows", "loadPart", "loadPart", "loadPart"]);
  const found = pair.target.read({ read: "loadPart", oid, tid, seq: 2 });
  assert.ok(found.read === "loadPart");
  assert.deepEqual(found.part, parts[2]);
});

test("Copy takes no data that doesn't match its checksum, but all other rows of its page (X5)", () => {
  const pair = new Pair();
  pair.fill("source", rowsOf(10));
  pair.bend = (message) => {
    if (message.name !== "rows") return message;
    const [first, ...rest] = message.body.revisions;
    const data = Uint8Array.from(first!.data!, (byte, at) => (at === 0 ? byte ^ 1 : byte));
    return { name: "rows", body: { ...message.body, revisions: [{ ...first!, data }, ...rest] } };
  };
  assert.equal(pair.run(), false);
  assert.equal(pair.errors[0]?.code, "badChecksum");
  const [target] = pair.digests();
  assert.match(target!, /^19 /);
  pair.bend = (message) => message;
  pair.errors.length = 0;
  assert.equal(pair.run(), true);
  const [equal, source] = pair.digests();
  assert.equal(equal, source);
});

const anyRow = fc.record({
  oid: fc.integer({ min: 0, max: 3 }),
  tid: fc.integer({ min: 1, max: 40 }),
  text: fc.constantFrom("a", "b", null),
});
const anyRows = fc.uniqueArray(anyRow, { maxLength: 60, selector: ({ oid, tid }) => `${oid} ${tid}` });
const anyTransactions = fc.uniqueArray(
  fc.record({ tid: fc.integer({ min: 1, max: 40 }), user: fc.constantFrom("x", "y") }),
  {
    selector: ({ tid }) => tid,
  },
);

test("Copy makes any range equal to that of its source, whatever stood there", () => {
  const side = fc.record({ rows: anyRows, transactions: anyTransactions });
  fc.assert(
    fc.property(side, side, fc.integer({ min: 0, max: 40 }), (ours, theirs, after) => {
      const pair = new Pair();
      const write = ({ rows, transactions }: typeof ours): DatabaseWrite => ({
        op: "copy",
        partition,
        transactions: transactions.map(({ tid, user }) => transaction(tid, user)),
        revisions: rows.map(({ oid, tid, text }) => revision(oid, tid, text)),
      });
      pair.fill("target", write(ours));
      pair.fill("source", write(theirs));
      assert.equal(pair.run({ after: toTid(after), upTo: toTid(30) }), true);
      if (after >= 30) return;
      const query = {
        read: "slices",
        partition,
        after: toTid(after),
        upTo: toTid(30),
        count: 1,
        rowsMax: 1_000,
      } as const;
      const [mine, other] = [pair.target.read(query), pair.read(query)];
      assert.deepEqual(mine, other);
    }),
    { numRuns: 150 },
  );
});
