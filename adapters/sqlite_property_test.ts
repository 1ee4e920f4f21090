/** Any history gives the same answers on SQLite as in memory, over restarts and crashes too. */
import fc from "fast-check";
import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import type { Tid, Ttid } from "../core/ids.ts";
import { MAX_TID, partitionOf } from "../core/ids.ts";
import type { Database, DatabaseQuery, DatabaseWrite } from "../core/ports.ts";
import {
  dataOf,
  homeOf,
  IDENTITY,
  noteOf,
  oidOf,
  PARTITIONS,
  sha256,
  tidAt,
  ttidOf,
} from "../tests/conformance/database_kit.ts";
import { memoryDatabase } from "./memory.ts";
import { createDatabase, openDatabase } from "./sqlite.ts";

const OIDS = 6;
const SLOTS = 2;

/** `advance` is what comes next for a transaction: vote, lock, unlock. */
const ops = ["store", "part", "advance", "unstore", "vote", "unvote", "abort", "image"] as const;
const weights = [8, 8, 8, 1, 1, 1, 1, 1];

const anyStep = fc.record({
  op: fc.oneof(...ops.map((op, index) => ({ arbitrary: fc.constant(op), weight: weights[index]! }))),
  /** Which of the transactions that are under way. */
  slot: fc.nat(SLOTS - 1),
  oid: fc.nat(OIDS - 1),
  text: fc.option(fc.string({ maxLength: 5 })),
  /** 2: takes along what parts there are. */
  compression: fc.nat(2),
  /** The first part of a value, not the next one. */
  first: fc.boolean(),
  link: fc.option(fc.nat(9)),
  check: fc.boolean(),
  lockless: fc.boolean(),
  home: fc.nat(PARTITIONS - 1),
  noted: fc.boolean(),
}, { noNullPrototype: true });
type Step = typeof anyStep extends fc.Arbitrary<infer S> ? S : never;

const anyHistory = fc.array(
  fc.record({
    steps: fc.array(anyStep, { maxLength: 15, size: "max" }),
    durable: fc.boolean(),
    then: fc.constantFrom("go on", "go on", "restart", "crash"),
  }),
  { maxLength: 10, size: "max" },
);

/** Makes steps into writes that a storage may ask for. A slot whose transaction ends gets the next ttid. */
class Author {
  #slots = Array.from(
    { length: SLOTS },
    (_, slot) => ({ ttid: ttidOf(slot + 1), voted: false, tid: null as Tid | null }),
  );
  #ttids = SLOTS;
  #tids = 0;
  /** Parts that wait, by transaction and object. */
  #parts = new Map<string, number>();

  get ttids(): readonly Ttid[] {
    return Array.from({ length: this.#ttids }, (_, index) => ttidOf(index + 1));
  }

  get lastTid(): number {
    return this.#tids;
  }

  writes(step: Step): DatabaseWrite[] {
    const slot = this.#slots[step.slot]!;
    const { ttid, tid } = slot;
    const locked = tid !== null;
    switch (step.op) {
      case "store":
        if (!locked) this.#parts.delete(`${ttid} ${step.oid}`);
        return locked ? [] : [storeOf(ttid, step)];
      case "part":
        return locked ? [] : [this.#part(ttid, step)];
      case "unstore":
        if (!locked) this.#parts.delete(`${ttid} ${step.oid}`);
        return locked ? [] : [{ op: "unstore", ttid, oid: oidOf(step.oid) }];
      case "vote":
        return locked ? [] : [this.#vote(step)];
      case "unvote":
        if (locked) return [];
        slot.voted = false;
        return [{ op: "unvote", ttid }];
      case "advance":
        return this.#advance(step);
      case "abort":
        this.#renew(step.slot);
        return [{ op: "abort", ttid }];
      default:
        return [{ op: "image", image: sha256() }, { op: "epoch", epoch: step.oid }];
    }
  }

  #part(ttid: Ttid, { oid, first, text, compression }: Step): DatabaseWrite {
    const key = `${ttid} ${oid}`;
    const seq = first ? 0 : this.#parts.get(key) ?? 0;
    this.#parts.set(key, seq + 1);
    return { op: "part", ttid, oid: oidOf(oid), seq, stored: dataOf(text ?? "", compression) };
  }

  #advance(step: Step): DatabaseWrite[] {
    const slot = this.#slots[step.slot]!;
    const { ttid, tid, voted } = slot;
    if (!voted) return [this.#vote(step)];
    if (tid === null) {
      slot.tid = tidAt(++this.#tids);
      return [{ op: "lock", ttid, tid: slot.tid }];
    }
    this.#renew(step.slot);
    return [{ op: "unlock", ttid, tid }, { op: "unlock", ttid, tid }];
  }

  #vote({ slot, text, oid, home, noted }: Step): DatabaseWrite {
    this.#slots[slot]!.voted = true;
    const note = noted ? noteOf(text ?? "", [oidOf(oid), oidOf(0)]) : null;
    return { op: "vote", ttid: this.#slots[slot]!.ttid, home: homeOf(home), ageMs: oid, note };
  }

  /** What opening forgets. */
  reopened(): void {
    this.#parts.clear();
    for (const [index, { voted }] of this.#slots.entries()) {
      if (!voted) this.#renew(index);
    }
  }

  #renew(slot: number): void {
    this.#slots[slot] = { ttid: ttidOf(++this.#ttids), voted: false, tid: null };
  }
}

function storeOf(ttid: Ttid, { oid, text, compression, link, check, lockless }: Step): DatabaseWrite {
  return {
    op: "store",
    ttid,
    oid: oidOf(oid),
    partition: partitionOf(oidOf(oid), PARTITIONS),
    base: tidAt(link ?? 0),
    mode: check ? "check" : "store",
    lockless,
    stored: text === null ? null : dataOf(text, compression),
    link: link === null ? null : tidAt(link),
  };
}

/** Every question about a small world. */
function questions(author: Author): DatabaseQuery[] {
  const oids = Array.from({ length: OIDS }, (_, oid) => oidOf(oid));
  const tids = Array.from({ length: author.lastTid + 2 }, (_, tid) => tidAt(tid));
  const partitions = Array.from({ length: PARTITIONS }, (_, partition) => homeOf(partition));
  const page = { read: "transactions", partitions, upTo: MAX_TID } as const;
  return [
    { read: "marks" },
    ...oids.map((oid) => ({ read: "latest", oid }) as const),
    ...oids.flatMap((oid) => tids.map((at) => ({ read: "load", oid, at }) as const)),
    ...oids.flatMap((oid) => tids.map((tid) => ({ read: "loadExact", oid, tid }) as const)),
    ...oids.flatMap((oid) =>
      tids.flatMap((tid) => [0, 1, 2].map((seq) => ({ read: "loadPart", oid, tid, seq }) as const))
    ),
    ...tids.map((at) => ({ read: "loadMany", oids, at, bytesMax: Number(at) }) as const),
    ...tids.map((after, index) => ({ ...page, after, count: index }) as const),
    ...author.ttids.map((ttid) => ({ read: "fate", ttid }) as const),
    ...partitions.flatMap((partition) => tids.map((upTo) => ({ read: "digest", partition, upTo }) as const)),
  ];
}

/** A SQLite database that lives through restarts, and through crashes that lose no byte. */
class Files {
  readonly #folder = mkdtempSync(join(tmpdir(), "neo-property-"));
  #life = 0;
  database: Database;

  constructor() {
    createDatabase(this.#path, IDENTITY);
    this.database = openDatabase(this.#path);
  }

  get #path(): string {
    return join(this.#folder, `${this.#life}.db`);
  }

  async restart(how: "restart" | "crash"): Promise<void> {
    const before = this.#path;
    if (how === "crash") {
      this.#life++;
      for (const suffix of ["", "-wal"]) {
        if (existsSync(before + suffix)) copyFileSync(before + suffix, this.#path + suffix);
      }
    }
    await this.database.close();
    this.database = openDatabase(this.#path);
  }

  /** Ends. Each row must have its data, and all data a row; parts belong to a manifest, or wait for one. */
  async end(): Promise<void> {
    await this.database.close();
    const connection = new DatabaseSync(this.#path);
    const rows = connection.prepare(
      `WITH used AS (
          SELECT data_id FROM obj WHERE data_id IS NOT NULL UNION SELECT data_id FROM tobj WHERE data_id IS NOT NULL
        )
        SELECT (SELECT count(*) FROM data WHERE id NOT IN (SELECT data_id FROM used)) AS orphans,
          (SELECT count(*) FROM used WHERE data_id NOT IN (SELECT id FROM data)) AS dangling,
          (SELECT count(*) FROM part WHERE data_id NOT IN
            (SELECT id FROM data WHERE compression = 2 UNION SELECT data_id FROM tpart)) AS lostParts,
          (SELECT count(*) FROM tpart WHERE data_id NOT IN (SELECT data_id FROM part)
            OR data_id IN (SELECT id FROM data)) AS oddWaits`,
    ).get();
    assert.deepEqual({ ...rows }, { orphans: 0, dangling: 0, lostParts: 0, oddWaits: 0 });
    assert.equal(connection.prepare("PRAGMA integrity_check").get()?.["integrity_check"], "ok");
    connection.close();
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true });
  }
}

test("SQLite and memory answer every question alike after any history (T26)", async () => {
  await fc.assert(
    fc.asyncProperty(anyHistory, async (rounds) => {
      const disk = memoryDatabase(IDENTITY, sha256);
      let memory = disk.open();
      const files = new Files();
      try {
        const author = new Author();
        const compare = async () => {
          for (const query of questions(author)) {
            assert.deepEqual(
              await files.database.read(query),
              memory.read(query),
              JSON.stringify(query, spelled),
            );
          }
        };
        for (const { steps, durable, then } of rounds) {
          const writes = steps.flatMap((step) => author.writes(step));
          memory.apply(writes, { durable });
          await files.database.apply(writes, { durable });
          if (then === "go on") continue;
          await compare();
          if (then === "restart") memory.close();
          else disk.crash(disk.unflushed);
          memory = disk.open();
          await files.restart(then);
          author.reopened();
          assert.deepEqual(files.database.state, memory.state);
        }
        await compare();
        await files.end();
      } finally {
        files.remove();
      }
    }),
    { numRuns: 100 },
  );
});

function spelled(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
