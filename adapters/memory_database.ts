/** The rows of a storage's database as plain values. */
import { invariant, unreachable } from "../core/errors.ts";
import type { Oid, Partition, Tid, Ttid } from "../core/ids.ts";
import { partitionOf, ZERO_TID } from "../core/ids.ts";
import type { Note, TransactionInfo } from "../core/messages.ts";
import { COMPRESSION_PARTS } from "../core/parts.ts";
import type {
  DatabaseAnswer,
  DatabaseAnswers,
  DatabaseIdentity,
  DatabaseQuery,
  DatabaseState,
  DatabaseWrite,
  Digest,
  HeldTransaction,
  StoredData,
  StoredRevision,
} from "../core/ports.ts";
import { HeldTransactions } from "./held_transactions.ts";
import type { Tables } from "./memory_tables.ts";
import { RowDigest } from "./row_digest.ts";

type StoreWrite = Extract<DatabaseWrite, { op: "store" }>;
interface Vote {
  readonly home: Partition;
  readonly ageMs: number;
  readonly note: Note | null;
}
/** The parts of a value; none for one that is kept as a whole. */
interface InParts {
  readonly parts: readonly StoredData[];
}
type Kept = StoreWrite & InParts;
type Revision = Omit<StoredRevision, "next"> & InParts;
type Query<R extends DatabaseQuery["read"]> = Extract<DatabaseQuery, { read: R }>;

/** What a storage keeps in memory. */
export class DatabaseTables implements Tables<DatabaseWrite, DatabaseQuery, DatabaseAnswer, DatabaseState> {
  readonly #identity: DatabaseIdentity;
  readonly #digest: Digest;
  #epoch = 0;
  #image: Uint8Array | null = null;
  #held: HeldTransactions<Kept, Vote, StoredData[]>;
  /** Revisions of each object, by tid. */
  #objects = new Map<Oid, readonly Revision[]>();
  /** Transactions of each home partition, by tid. */
  #transactions = new Map<Partition, readonly TransactionInfo[]>();

  constructor(identity: DatabaseIdentity, digest: Digest) {
    this.#identity = identity;
    this.#digest = digest;
    this.#held = new HeldTransactions(identity.partitions);
  }

  open(): DatabaseState {
    for (const [ttid, held] of this.#held.entries()) {
      held.parts.clear();
      if (held.vote === null) this.#held.abort(ttid);
    }
    return { identity: this.#identity, epoch: this.#epoch, image: this.#image, held: this.#holding() };
  }

  copy(): DatabaseTables {
    const copy = new DatabaseTables(this.#identity, this.#digest);
    copy.#epoch = this.#epoch;
    copy.#image = this.#image;
    copy.#objects = new Map(this.#objects);
    copy.#transactions = new Map(this.#transactions);
    for (const [ttid, held] of this.#held.entries()) {
      for (const kept of held.objects.values()) copy.#held.store(kept, kept);
      for (const [oid, { kept }] of held.parts) {
        kept.forEach((stored, seq) => copy.#part({ op: "part", ttid, oid, seq, stored }));
      }
      if (held.vote !== null) copy.#held.vote(ttid, held.vote);
      if (held.tid !== null) copy.#held.lock(ttid, held.tid);
    }
    return copy;
  }

  apply(write: DatabaseWrite): void {
    switch (write.op) {
      case "epoch":
        this.#epoch = write.epoch;
        return;
      case "image":
        this.#image = write.image;
        return;
      case "part":
        this.#part(write);
        return;
      case "store": {
        const parts = this.#held.takeParts(write.ttid, write.oid) ?? [];
        this.#held.store(write, this.#keep(write, parts));
        return;
      }
      case "unstore":
        this.#held.takeParts(write.ttid, write.oid);
        this.#held.unstore(write.ttid, write.oid);
        return;
      case "vote":
        this.#held.vote(write.ttid, { home: write.home, ageMs: write.ageMs, note: write.note });
        return;
      case "unvote":
        this.#held.unvote(write.ttid);
        return;
      case "lock":
        this.#held.lock(write.ttid, write.tid);
        return;
      case "unlock":
        this.#unlock(write.ttid, write.tid);
        return;
      case "abort":
        this.#held.abort(write.ttid);
        return;
      default:
        unreachable(write);
    }
  }

  read(query: DatabaseQuery): DatabaseAnswer {
    switch (query.read) {
      case "latest":
        return { read: "latest", tid: this.#revisions(query.oid).at(-1)?.tid ?? ZERO_TID };
      case "load":
        return { read: "load", ...this.#load(query.oid, query.at) };
      case "loadExact":
        return { read: "loadExact", ...this.#loadExact(query) };
      case "loadPart": {
        const all = this.#revisions(query.oid);
        const part = all.find(({ tid }) => tid === query.tid)?.parts[query.seq] ?? null;
        return { read: "loadPart", known: all.length > 0, part };
      }
      case "loadMany":
        return this.#loadMany(query);
      case "transactions":
        return { read: "transactions", transactions: this.#page(query) };
      case "fate": {
        const all = [...this.#transactions.values()].flat();
        return { read: "fate", tid: all.find((info) => info.ttid === query.ttid)?.tid ?? null };
      }
      case "marks":
        return this.#marks();
      case "digest":
        return this.#digestOf(query);
      default:
        return unreachable(query);
    }
  }

  #holding(): HeldTransaction[] {
    return this.#held.entries().flatMap(([ttid, { objects, vote, tid }]) => {
      if (vote === null) return [];
      const kept = [...objects.values()].sort((a, b) => (a.oid < b.oid ? -1 : 1));
      return [{
        ttid,
        home: vote.home,
        ageMs: vote.ageMs,
        tid,
        noted: vote.note !== null,
        objects: kept.map(({ oid, partition, base, mode, lockless, stored }) => {
          return { oid, partition, base, mode, lockless, checksum: stored?.checksum ?? null };
        }),
      }];
    });
  }

  #part({ ttid, oid, seq, stored }: Extract<DatabaseWrite, { op: "part" }>): void {
    if (seq === 0) this.#held.takeParts(ttid, oid);
    this.#held.part({ ttid, oid, seq }, () => []).push(stored);
  }

  #keep(write: StoreWrite, parts: readonly StoredData[]): Kept {
    const { link, stored } = write;
    if (write.mode === "check") return { ...write, stored: null, parts: [] };
    const linked = link === null ? undefined : this.#revisions(write.oid).find(({ tid }) => tid === link);
    if (linked !== undefined) return { ...write, stored: linked.stored, parts: linked.parts };
    return { ...write, stored, parts: stored?.compression === COMPRESSION_PARTS ? parts : [] };
  }

  #unlock(ttid: Ttid, tid: Tid): void {
    const held = this.#held.unlock(ttid, tid);
    if (held === undefined) return;
    for (const { oid, mode, stored, link, parts } of held.objects.values()) {
      if (mode === "check") continue;
      this.#objects.set(oid, inserted(this.#revisions(oid), { tid, stored, link, parts }));
    }
    const { home, note } = held.vote;
    if (note === null) return;
    const transactions = this.#transactions.get(home) ?? [];
    this.#transactions.set(home, inserted(transactions, { tid, ttid, ...note }));
  }

  #revisions(oid: Oid): readonly Revision[] {
    return this.#objects.get(oid) ?? [];
  }

  #load(oid: Oid, at: Tid): { known: boolean; revision: StoredRevision | null } {
    const all = this.#revisions(oid);
    const found = all.findLast(({ tid }) => tid <= at);
    return { known: all.length > 0, revision: found === undefined ? null : followed(all, found) };
  }

  #loadExact({ oid, tid }: Query<"loadExact">): { known: boolean; revision: StoredRevision | null } {
    const { known, revision } = this.#load(oid, tid);
    return { known, revision: revision?.tid === tid ? revision : null };
  }

  #loadMany({ oids, at, bytesMax }: Query<"loadMany">): DatabaseAnswer {
    const objects: DatabaseAnswers["loadMany"]["objects"][number][] = [];
    let bytes = 0;
    for (const oid of oids) {
      const loaded = this.#load(oid, at);
      bytes += loaded.revision?.stored?.data.length ?? 0;
      if (bytes > bytesMax && objects.length > 0) break;
      objects.push({ oid, ...loaded });
    }
    return { read: "loadMany", objects };
  }

  #page({ partitions, after, upTo, count }: Query<"transactions">): readonly TransactionInfo[] {
    return [...new Set(partitions)]
      .flatMap((partition) => this.#transactions.get(partition) ?? [])
      .filter(({ tid }) => after < tid && tid <= upTo)
      .sort((a, b) => (a.tid < b.tid ? -1 : 1))
      .slice(0, count);
  }

  #marks(): DatabaseAnswer {
    const lastTids = [...this.#transactions]
      .sort(([a], [b]) => a - b)
      .map(([partition, transactions]) => ({ partition, tid: transactions.at(-1)?.tid ?? ZERO_TID }));
    const held = this.#held.entries().flatMap(([, { objects }]) => [...objects.values()]);
    const oids = [
      ...this.#objects.keys(),
      ...held.filter(({ mode }) => mode === "store").map(({ oid }) => oid),
    ];
    const lastOid = oids.reduce<Oid | null>((most, oid) => (most === null || oid > most ? oid : most), null);
    return { read: "marks", lastTids, lastOid };
  }

  #digestOf({ partition, upTo }: Query<"digest">): DatabaseAnswer {
    const rows = new RowDigest(this.#digest);
    for (const info of this.#transactions.get(partition) ?? []) {
      if (info.tid <= upTo) rows.transaction(info);
    }
    const revisions = [...this.#objects]
      .filter(([oid]) => partitionOf(oid, this.#identity.partitions) === partition)
      .flatMap(([oid, all]) => all.map((revision) => ({ oid, ...revision })))
      .filter(({ tid }) => tid <= upTo)
      .sort((a, b) => (a.tid === b.tid ? (a.oid < b.oid ? -1 : 1) : a.tid < b.tid ? -1 : 1));
    for (const { tid, oid, stored, link } of revisions) {
      rows.revision({ tid, oid, checksum: stored?.checksum ?? null, link });
    }
    return { read: "digest", ...rows.end() };
  }
}

/** Rows by tid with one more, which mostly is the last. */
function inserted<R extends { readonly tid: Tid }>(rows: readonly R[], row: R): readonly R[] {
  const place = rows.findLastIndex(({ tid }) => tid <= row.tid);
  invariant(rows[place]?.tid !== row.tid, "a tid becomes final once");
  return rows.toSpliced(place + 1, 0, row);
}

function followed(all: readonly Revision[], { tid, stored, link }: Revision): StoredRevision {
  return { tid, next: all.find((later) => later.tid > tid)?.tid ?? null, stored, link };
}
