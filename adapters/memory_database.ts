/** The rows of a storage's database as plain values. */
import type { Oid, Partition, Tid, Ttid } from "../core/ids.ts";
import { ZERO_TID } from "../core/ids.ts";
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
import { MemoryCopies } from "./memory_copies.ts";
import { digestOf, replyTo } from "./memory_replies.ts";
import { FinalRows, type InParts, type Revision } from "./memory_rows.ts";
import type { Tables } from "./memory_tables.ts";

type StoreWrite = Extract<DatabaseWrite, { op: "store" }>;
interface Vote {
  readonly home: Partition;
  readonly ageMs: number;
  readonly note: Note | null;
}
type Kept = StoreWrite & InParts;
/** In front of all rows. */
const BEGINNING = { tid: ZERO_TID, oid: null };

type Query<R extends DatabaseQuery["read"]> = Extract<DatabaseQuery, { read: R }>;

/** What a storage keeps in memory. */
export class DatabaseTables implements Tables<DatabaseWrite, DatabaseQuery, DatabaseAnswer, DatabaseState> {
  readonly #identity: DatabaseIdentity;
  readonly #digest: Digest;
  #epoch = 0;
  #image: Uint8Array | null = null;
  #registry: Uint8Array | null = null;
  #held: HeldTransactions<Kept, Vote, StoredData[]>;
  #final: FinalRows;
  #copies: MemoryCopies;

  constructor(identity: DatabaseIdentity, digest: Digest) {
    this.#identity = identity;
    this.#digest = digest;
    this.#held = new HeldTransactions(identity.partitions);
    this.#final = new FinalRows(identity.partitions);
    this.#copies = new MemoryCopies(this.#final);
  }

  open(): DatabaseState {
    for (const [ttid, held] of this.#held.entries()) {
      held.parts.clear();
      if (held.vote === null) this.#held.abort(ttid);
    }
    this.#copies.forgetParts();
    return {
      identity: this.#identity,
      epoch: this.#epoch,
      image: this.#image,
      registry: this.#registry,
      held: this.#holding(),
      resumes: this.#copies.resumes(),
      newest: this.#final.newest(),
      truncations: this.#copies.truncations,
      packBound: this.#copies.packBound,
      packed: this.#copies.packed,
    };
  }

  copy(): DatabaseTables {
    const copy = new DatabaseTables(this.#identity, this.#digest);
    copy.#epoch = this.#epoch;
    copy.#image = this.#image;
    copy.#registry = this.#registry;
    copy.#final = this.#final.copy();
    copy.#copies = this.#copies.copy(copy.#final);
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
      case "registry":
        this.#registry = write.state;
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
        this.#copies.apply(write);
    }
  }

  read(query: DatabaseQuery): DatabaseAnswer {
    switch (query.read) {
      case "latest":
        return { read: "latest", tid: this.#final.revisions(query.oid).at(-1)?.tid ?? ZERO_TID };
      case "load":
        return { read: "load", ...this.#load(query.oid, query.at) };
      case "loadExact":
        return { read: "loadExact", ...this.#loadExact(query) };
      case "loadPart": {
        const all = this.#final.revisions(query.oid);
        const part = all.find(({ tid }) => tid === query.tid)?.parts[query.seq] ?? null;
        return { read: "loadPart", known: all.length > 0, part };
      }
      case "loadMany":
        return this.#loadMany(query);
      case "transactions":
        return { read: "transactions", transactions: this.#page(query) };
      case "fate":
        return { read: "fate", tid: this.#final.fate(query.ttid) ?? null };
      case "size":
        return { read: "size", ...this.#final.size(), days: [], fileBytes: null, reusableBytes: null };
      case "marks":
        return this.#marks();
      case "digest": {
        const rows = this.#final.rows(query.partition, BEGINNING, query.upTo, query.bound);
        return { read: "digest", ...digestOf(rows, this.#digest) };
      }
      default:
        return replyTo(query, this.#final, this.#digest);
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
    const linked = link === null
      ? undefined
      : this.#final.revisions(write.oid).find(({ tid }) => tid === link);
    if (linked !== undefined) return { ...write, stored: linked.stored, parts: linked.parts };
    return { ...write, stored, parts: stored?.compression === COMPRESSION_PARTS ? parts : [] };
  }

  #unlock(ttid: Ttid, tid: Tid): void {
    const held = this.#held.unlock(ttid, tid);
    if (held === undefined) return;
    for (const { oid, mode, stored, link, parts } of held.objects.values()) {
      if (mode === "check") continue;
      this.#final.addRevision(oid, { tid, stored, link, parts });
    }
    const { home, note } = held.vote;
    if (note === null) return;
    this.#final.addTransaction(home, { tid, ttid, ...note });
  }

  #load(oid: Oid, at: Tid): { known: boolean; revision: StoredRevision | null } {
    const all = this.#final.revisions(oid);
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
      .flatMap((partition) => this.#final.transactions(partition))
      .filter(({ tid }) => after < tid && tid <= upTo)
      .sort((a, b) => (a.tid < b.tid ? -1 : 1))
      .slice(0, count);
  }

  #marks(): DatabaseAnswer {
    const held = this.#held.entries().flatMap(([, { objects }]) => [...objects.values()]);
    const oids = [
      ...this.#final.oids(),
      ...held.filter(({ mode }) => mode === "store").map(({ oid }) => oid),
    ];
    const lastOid = oids.reduce<Oid | null>((most, oid) => (most === null || oid > most ? oid : most), null);
    const voted = this.#held.entries().flatMap(([ttid, { vote }]) => (vote === null ? [] : [ttid]));
    const lastTtid = [...this.#final.ttids(), ...voted].reduce<Ttid | null>(
      (most, ttid) => (most === null || ttid > most ? ttid : most),
      null,
    );
    return { read: "marks", lastTids: this.#final.lastTids(), lastOid, lastTtid };
  }
}

function followed(all: readonly Revision[], { tid, stored, link }: Revision): StoredRevision {
  return { tid, next: all.find((later) => later.tid > tid)?.tid ?? null, stored, link };
}
