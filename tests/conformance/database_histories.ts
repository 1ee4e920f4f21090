/** Random histories of a storage's database, and every question about the small world in which they happen. */
import fc from "fast-check";
import type { Oid, Partition, Tid, Ttid } from "../../core/ids.ts";
import { MAX_TID, partitionOf } from "../../core/ids.ts";
import type { DatabaseQuery, DatabaseWrite, RowPlace } from "../../core/ports.ts";
import { dataOf, homeOf, noteOf, oidOf, PARTITIONS, sha256, tidAt, ttidOf } from "./database_kit.ts";

type CopyWrite = Extract<DatabaseWrite, { op: "copy" }>;

const OIDS = 6;
const SLOTS = 2;
const TIDS = 9;

/** `advance` is what comes next for a transaction: vote, lock, unlock. */
const ops = [
  ...["store", "part", "advance", "unstore", "vote", "unvote", "abort", "image"] as const,
  ...["copy", "copyPart", "uncopy", "resume", "erase", "truncate", "pack"] as const,
];
const weights = [8, 8, 8, 1, 1, 1, 1, 1, 8, 6, 2, 1, 1, 0.2, 1].map((weight) => 5 * weight);

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
  /** Of copied rows. */
  tid: fc.integer({ min: 1, max: TIDS }),
  more: fc.array(fc.tuple(fc.nat(OIDS - 1), fc.integer({ min: 1, max: TIDS })), { maxLength: 3 }),
}, { noNullPrototype: true });
type Step = typeof anyStep extends fc.Arbitrary<infer S> ? S : never;

/** Rounds of steps, and what happens after each. */
export const anyHistory = fc.array(
  fc.record({
    steps: fc.array(anyStep, { maxLength: 15, size: "max" }),
    durable: fc.boolean(),
    then: fc.constantFrom("go on", "go on", "restart", "crash"),
  }),
  { maxLength: 10, size: "max" },
);

/** Makes steps into writes that a storage may ask for. A slot whose transaction ends gets the next ttid. */
export class Author {
  #slots = Array.from(
    { length: SLOTS },
    (_, slot) => ({ ttid: ttidOf(slot + 1), voted: false, tid: null as Tid | null }),
  );
  #ttids = SLOTS;
  #tids = 0;
  /** Parts that wait, by transaction and object, or by the revision that is copied. */
  #parts = new Map<string, number>();
  #truncations = 0;

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
      case "copy":
        return this.#copies(step);
      case "copyPart":
        return [this.#copyPart(step)];
      case "uncopy":
        return this.#copies(step).map(({ partition, transactions, revisions }) => {
          return { op: "uncopy", partition, transactions: transactions.map(({ tid }) => tid), revisions };
        });
      case "resume":
        return [{ op: "resume", partition: homeOf(step.home), since: step.oid, tid: tidAt(step.tid) }];
      case "pack": {
        const revisions = this.#copies(step).flatMap((one) => one.revisions);
        const after = step.first ? null : { oid: oidOf(step.oid), tid: tidAt(step.tid) };
        const bound = tidAt(step.tid);
        return [{ op: "packBound", tid: bound }, { op: "pack", bound, after, revisions }];
      }
      case "erase":
        this.#forgetParts((oid) => oid % PARTITIONS === step.home);
        return [{ op: "erase", partition: homeOf(step.home), rowsMax: step.oid }];
      case "truncate":
        this.#forgetParts((_, tid) => tid > step.tid);
        return [{ op: "truncate", number: ++this.#truncations, tid: tidAt(step.tid) }];
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

  /** One object's revision with its transaction, and some more of the same partition. */
  #copies({ oid, tid, text, compression, link, noted, more }: Step): CopyWrite[] {
    const partition = homeOf(oid % PARTITIONS);
    const keys = [[oid, tid] as const, ...more.filter(([other]) => other % PARTITIONS === partition)];
    for (const [one, at] of keys) this.#parts.delete(`copied ${one} ${at}`);
    const stored = text === null ? null : dataOf(text, compression);
    const linked = link === null ? null : tidAt(link);
    const revisions = keys.map(([one, at]) => ({ oid: oidOf(one), tid: tidAt(at), stored, link: linked }));
    const ttid = ttidOf(1_000 + TIDS * partition + tid);
    const info = { tid: tidAt(tid), ttid, ...noteOf(text ?? "", [oidOf(oid)]) };
    return [{ op: "copy", partition, transactions: noted ? [info] : [], revisions }];
  }

  #copyPart({ oid, tid, first, text, compression }: Step): DatabaseWrite {
    const key = `copied ${oid} ${tid}`;
    const seq = first ? 0 : this.#parts.get(key) ?? 0;
    this.#parts.set(key, seq + 1);
    const stored = dataOf(text ?? "", compression);
    return { op: "copyPart", oid: oidOf(oid), tid: tidAt(tid), seq, stored };
  }

  #forgetParts(which: (oid: number, tid: number) => boolean): void {
    for (const key of this.#parts.keys()) {
      const [kind, oid, tid] = key.split(" ");
      if (kind === "copied" && which(Number(oid), Number(tid))) this.#parts.delete(key);
    }
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
export function questions(author: Author): DatabaseQuery[] {
  const oids = Array.from({ length: OIDS }, (_, oid) => oidOf(oid));
  const tids = Array.from({ length: Math.max(author.lastTid, TIDS) + 2 }, (_, tid) => tidAt(tid));
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
    ...partitions.flatMap((partition) =>
      tids.flatMap((upTo) => [
        { read: "digest", partition, upTo } as const,
        { read: "digest", partition, upTo: MAX_TID, bound: upTo } as const,
      ])
    ),
    ...partitions.flatMap((partition) => replicaQuestions(partition, { oids, tids })),
    { read: "stocked" },
    ...tids.map((bound, rowsMax) =>
      ({ read: "packable", bound, after: { oid: oidOf(1), tid: tidAt(2) }, rowsMax: rowsMax + 1 }) as const
    ),
  ];
}

function place(tid: number): RowPlace {
  return { tid: tidAt(tid), oid: null };
}

/** What another copy of a partition asks. */
function replicaQuestions(
  partition: Partition,
  { oids, tids }: { readonly oids: readonly Oid[]; readonly tids: readonly Tid[] },
): DatabaseQuery[] {
  const range = { partition, upTo: MAX_TID } as const;
  const revisions = oids.flatMap((oid) => tids.map((tid) => ({ oid, tid })));
  const places = [...tids.map((tid) => ({ tid, oid: null })), ...revisions];
  return [
    ...tids.flatMap((after, index) => [
      { read: "slices", ...range, after, count: index + 1, rowsMax: 3 * index } as const,
      { read: "slices", ...range, after: tidAt(0), upTo: after, count: 3, rowsMax: 1_000 } as const,
      { read: "keys", ...range, after, rowsMax: index } as const,
      { read: "keys", ...range, after: tidAt(0), upTo: after, rowsMax: 4 } as const,
      { read: "slices", ...range, after: tidAt(1), count: 3, rowsMax: 5, bound: after } as const,
      { read: "keys", ...range, after: tidAt(1), rowsMax: 5, bound: after } as const,
      { read: "rows", ...range, after: place(1), rowsMax: 9, bytesMax: 1_000, bound: after } as const,
      { read: "pick", partition, transactions: tids, revisions, bytesMax: 40 * index } as const,
    ]),
    ...places.map((after, index) => {
      return { read: "rows", ...range, after, rowsMax: index % 7, bytesMax: 20 * (index % 11) } as const;
    }),
    ...places.map((after, index) =>
      ({ read: "scrub", partition, after, bytesMax: 100 * (index % 11) }) as const
    ),
  ];
}
