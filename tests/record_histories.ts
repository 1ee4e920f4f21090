/** What tests of record files share: generated histories, files in memory, and the folders of real and small files. */
import fc from "fast-check";
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { ID_MAX, type Oid, type Tid, toOid, toTid } from "../core/ids.ts";
import type { ByteSink, ObjectRecord, TransactionRecord } from "../core/records.ts";

/** Gathers a file in memory. */
export class MemorySink implements ByteSink {
  #parts: Uint8Array[] = [];

  write(bytes: Uint8Array): void {
    this.#parts.push(bytes);
  }

  /** The file so far. */
  get bytes(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.#parts));
  }
}

/** Runs a writer into memory. */
export async function written(write: (sink: ByteSink) => Promise<unknown>): Promise<Uint8Array> {
  const sink = new MemorySink();
  await write(sink);
  return sink.bytes;
}

/** A small file of `tests/vectors`. */
export function vector(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`./vectors/${name}`, import.meta.url)));
}

/** The folder with real databases; `undefined`: this machine has none. */
const dataFolder = process.env["NEO_TEST_DATA"];

/** What a test's title ends with and its options hold, so that a run without real databases says what it left out. */
export const realData = dataFolder === undefined
  ? {
    suffix: " (skipped: NEO_TEST_DATA names no folder)",
    options: { skip: "NEO_TEST_DATA names no folder" },
  }
  : { suffix: "", options: {} };

/** The path of a real database. */
export function realPath(name: string): string {
  return join(dataFolder ?? "", name);
}

/** Few enough for long histories, and at both ends of what an oid can be. */
const OIDS: readonly Oid[] = [0n, 1n, 2n, 1n << 40n, ID_MAX].map(toOid);

const recordPlan = fc.record({
  oid: fc.constantFrom(...OIDS),
  kind: fc.constantFrom("data", "data", "link", "link", "deletion"),
  data: fc.uint8Array({ minLength: 1, maxLength: 40 }),
  pick: fc.nat(),
});

const note = fc.uint8Array({ maxLength: 20 });

const transactionPlan = fc.record({
  step: fc.bigInt(1n, 1n << 40n),
  status: fc.constantFrom<" " | "p">(" ", "p"),
  user: note,
  description: note,
  extension: note,
  records: fc.array(recordPlan, { maxLength: 6 }),
});

type TransactionPlan = typeof transactionPlan extends fc.Arbitrary<infer Plan> ? Plan : never;

/** Histories with links to data, to links and to deletions, and with objects that a transaction names twice. */
export const histories: fc.Arbitrary<TransactionRecord[]> = fc.array(transactionPlan, { maxLength: 15 }).map(
  historyOf,
);

function historyOf(plans: TransactionPlan[]): TransactionRecord[] {
  let tid = 0n;
  const revisions = new Map<Oid, Map<Tid, Uint8Array | null>>();
  return plans.map(({ step, records: recordPlans, ...rest }) => {
    tid += step;
    const records = recordPlans.map(({ oid, kind, data, pick }): ObjectRecord => {
      const earlier = [...revisions.get(oid) ?? []];
      const target = earlier[pick % Math.max(earlier.length, 1)];
      if (kind === "deletion") return { oid, data: null };
      if (kind === "data" || target === undefined) return { oid, data };
      return { oid, data: target[1], from: target[0] };
    });
    for (const { oid, data } of records) {
      revisions.set(
        oid,
        (revisions.get(oid) ?? new Map<Tid, Uint8Array | null>()).set(toTid(tid), data ?? null),
      );
    }
    return { ...rest, tid: toTid(tid), records };
  });
}
