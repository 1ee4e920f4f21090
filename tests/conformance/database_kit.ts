/** What the suites of databases share: where a database stands, and short words for what is written and asked. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import type { Oid, Partition, Tid, Ttid } from "../../core/ids.ts";
import { MAX_TID, partitionOf, toOid, toTid, toTtid } from "../../core/ids.ts";
import type { Note } from "../../core/messages.ts";
import { type Manifest, manifestData } from "../../core/parts.ts";
import type {
  Database,
  DatabaseAnswers,
  DatabaseIdentity,
  DatabaseQuery,
  DatabaseWrite,
  Digest,
  RevisionKey,
  RowPlace,
  Slice,
  StoredData,
} from "../../core/ports.ts";

/** A place for one database. */
export interface DatabaseKit {
  /** Opens what stands there: the first time, an empty database. */
  open(): Database | Promise<Database>;
  /** The process that has it open dies. What was durable is there again at the next `open()`. */
  crash(): void | Promise<void>;
  /** Closes what is open and takes everything away. */
  end(): void | Promise<void>;
}

/** Makes a place for a database of that identity. */
export type MakeDatabase = (identity: DatabaseIdentity) => DatabaseKit;

/** Partitions of the databases in the suites. */
export const PARTITIONS = 3;
/** The identity that they have. */
export const IDENTITY: DatabaseIdentity = {
  clusterId: "cluster-1",
  cluster: "main",
  name: "s1",
  diskId: "disk-1",
  partitions: PARTITIONS,
};

/** In front of all rows of a partition. */
export const BEGINNING: RowPlace = { tid: toTid(0), oid: null };

/** SHA-256. */
export const sha256: Digest = (...parts) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
};

/** Runs `body` with a place of its own. */
export function testWith(title: string, make: MakeDatabase, body: (kit: DatabaseKit) => Promise<void>): void {
  test(title, async () => {
    const kit = make(IDENTITY);
    try {
      await body(kit);
    } finally {
      await kit.end();
    }
  });
}

export const oidOf = (value: number): Oid => toOid(value);
export const tidAt = (value: number): Tid => toTid(value);
export const ttidOf = (value: number): Ttid => toTtid(value);
export const homeOf = (value: number): Partition => value as Partition;
export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Data as an object has it. */
export function dataOf(text: string, compression = 0): StoredData {
  const data = bytesOf(text);
  return { compression, checksum: sha256(data), data };
}

/** A note with texts of its own. */
export function noteOf(title: string, oids: readonly Oid[] = []): Note {
  return {
    status: " ",
    user: bytesOf(`user of ${title}`),
    description: bytesOf(`about ${title}`),
    extension: bytesOf(`extension of ${title}`),
    oids,
  };
}

type StoreWrite = Extract<DatabaseWrite, { op: "store" }>;

/** Stores a text, or a deletion when it is null. */
export function store(ttid: Ttid, oid: Oid, text: string | null, more: Partial<StoreWrite> = {}): StoreWrite {
  return {
    op: "store",
    ttid,
    oid,
    partition: partitionOf(oid, PARTITIONS),
    base: tidAt(0),
    mode: "store",
    lockless: false,
    stored: text === null ? null : dataOf(text),
    link: null,
    ...more,
  };
}

/** One part of a value. */
export function part(ttid: Ttid, oid: Oid, seq: number, text: string, compression = 0): DatabaseWrite {
  return { op: "part", ttid, oid, seq, stored: dataOf(text, compression) };
}

/** The manifest of a value in parts of these texts. */
export function manifestOf(texts: readonly string[]): StoredData {
  const partBytes = Math.max(...texts.map((text) => bytesOf(text).length));
  const size = partBytes * (texts.length - 1) + bytesOf(texts.at(-1)!).length;
  const manifest: Manifest = { size, partBytes, checksums: texts.map((text) => dataOf(text).checksum) };
  return manifestData(manifest, sha256);
}

/** All writes of a value in parts: the parts, then the store of their manifest. */
export function storeParts(
  ttid: Ttid,
  oid: Oid,
  texts: readonly string[],
  more: Partial<StoreWrite> = {},
): DatabaseWrite[] {
  const parts = texts.map((text, seq) => part(ttid, oid, seq, text));
  return [...parts, store(ttid, oid, null, { stored: manifestOf(texts), ...more })];
}

/** A vote of a node with a home cell, or, with note null, of one without. */
export function vote(ttid: Ttid, note: Note | null, home = 0, ageMs = 7): DatabaseWrite {
  return { op: "vote", ttid, home: homeOf(home), ageMs, note };
}

/** Locks a voted transaction and makes it final. */
export function finish(ttid: Ttid, tid: number): DatabaseWrite[] {
  return [{ op: "lock", ttid, tid: tidAt(tid) }, { op: "unlock", ttid, tid: tidAt(tid) }];
}

/** All steps of one transaction. Its home is partition `tid` mod PARTITIONS. */
export function committed(tid: number, stores: readonly StoreWrite[]): DatabaseWrite[] {
  const ttid = stores[0]?.ttid ?? ttidOf(1_000_000 + tid);
  const note = noteOf(`transaction ${tid}`, stores.map(({ oid }) => oid));
  return [...stores, vote(ttid, note, tid % PARTITIONS), ...finish(ttid, tid)];
}

/** One transaction that stores texts: [oid, text]. */
export function commit(
  tid: number,
  texts: readonly (readonly [oid: number, text: string | null])[],
): DatabaseWrite[] {
  return committed(tid, texts.map(([oid, text]) => store(ttidOf(1_000_000 + tid), oidOf(oid), text)));
}

/** A database in short words. */
export class Driver {
  readonly database: Database;

  constructor(database: Database) {
    this.database = database;
  }

  static async open(kit: DatabaseKit): Promise<Driver> {
    return new Driver(await kit.open());
  }

  /** A durable round. */
  async save(...writes: readonly DatabaseWrite[]): Promise<void> {
    await this.database.apply(writes, { durable: true });
  }

  /** A round that may wait for a flush. */
  async saveLazily(...writes: readonly DatabaseWrite[]): Promise<void> {
    await this.database.apply(writes, { durable: false });
  }

  async ask<R extends DatabaseQuery["read"]>(
    query: Extract<DatabaseQuery, { read: R }>,
  ): Promise<DatabaseAnswers[R]> {
    const answer = await this.database.read(query);
    assert.equal(answer.read, query.read);
    return answer as DatabaseAnswers[R];
  }

  async load(oid: number, at: Tid = MAX_TID): Promise<DatabaseAnswers["load"]> {
    return await this.ask<"load">({ read: "load", oid: oidOf(oid), at });
  }

  async loadExact(oid: number, tid: number): Promise<DatabaseAnswers["loadExact"]> {
    return await this.ask<"loadExact">({ read: "loadExact", oid: oidOf(oid), tid: tidAt(tid) });
  }

  /** The text of an object: undefined when there is none at that time, null when it is deleted. */
  async text(oid: number, at: Tid = MAX_TID): Promise<string | null | undefined> {
    const { revision } = await this.load(oid, at);
    if (revision === null) return undefined;
    return revision.stored === null ? null : new TextDecoder().decode(revision.stored.data);
  }

  /** A part of the revision with this tid: undefined when there is none. */
  async part(oid: number, tid: number, seq: number): Promise<StoredData | undefined> {
    const { part } = await this.ask<"loadPart">({ read: "loadPart", oid: oidOf(oid), tid: tidAt(tid), seq });
    return part ?? undefined;
  }

  /** The texts of all parts of a revision. */
  async parts(oid: number, tid: number): Promise<string[]> {
    const texts: string[] = [];
    for (let seq = 0;; seq++) {
      const found = await this.part(oid, tid, seq);
      if (found === undefined) return texts;
      texts.push(new TextDecoder().decode(found.data));
    }
  }

  async latest(oid: number): Promise<Tid> {
    return (await this.ask<"latest">({ read: "latest", oid: oidOf(oid) })).tid;
  }

  async fate(ttid: Ttid): Promise<Tid | null> {
    return (await this.ask<"fate">({ read: "fate", ttid })).tid;
  }

  async marks(): Promise<DatabaseAnswers["marks"]> {
    return await this.ask<"marks">({ read: "marks" });
  }

  async digest(partition: number, upTo: Tid = MAX_TID): Promise<DatabaseAnswers["digest"]> {
    return await this.ask<"digest">({ read: "digest", partition: homeOf(partition), upTo });
  }

  async transactions(
    partitions: number | readonly number[],
    range: { readonly after?: number; readonly upTo?: Tid; readonly count?: number } = {},
  ): Promise<DatabaseAnswers["transactions"]["transactions"]> {
    const { after = 0, upTo = MAX_TID, count = 1_000 } = range;
    const homes = (typeof partitions === "number" ? [partitions] : partitions).map(homeOf);
    const query = { read: "transactions", partitions: homes, after: tidAt(after), upTo, count } as const;
    return (await this.ask<"transactions">(query)).transactions;
  }

  /** The slices of a partition, in short. */
  async slices(
    partition: number,
    range: {
      readonly after?: number;
      readonly upTo?: Tid;
      readonly count?: number;
      readonly rowsMax?: number;
    } = {},
  ): Promise<readonly Slice[]> {
    const { after = 0, upTo = MAX_TID, count = 1, rowsMax = 1_000 } = range;
    const place = { partition: homeOf(partition), after: tidAt(after), upTo };
    const query = { read: "slices", ...place, count, rowsMax } as const;
    return (await this.ask<"slices">(query)).slices;
  }

  /** The keys of a partition. */
  async keys(
    partition: number,
    range: { readonly after?: number; readonly upTo?: number; readonly rowsMax?: number } = {},
  ): Promise<DatabaseAnswers["keys"]> {
    const { after = 0, upTo = 100, rowsMax = 1_000 } = range;
    const tids = { after: tidAt(after), upTo: tidAt(upTo) };
    return await this.ask<"keys">({ read: "keys", partition: homeOf(partition), ...tids, rowsMax });
  }

  /** A page of the rows of a partition. */
  async rows(
    partition: number,
    range: Partial<Omit<Extract<DatabaseQuery, { read: "rows" }>, "read" | "partition">> = {},
  ): Promise<DatabaseAnswers["rows"]> {
    const limits = { after: BEGINNING, upTo: MAX_TID, rowsMax: 1_000, bytesMax: 1_000_000, ...range };
    return await this.ask<"rows">({ read: "rows", partition: homeOf(partition), ...limits });
  }

  /** Revisions that a scrub finds broken. */
  async broken(partition: number): Promise<readonly RevisionKey[]> {
    const query = { read: "scrub", after: BEGINNING, bytesMax: 1_000_000 } as const;
    return (await this.ask<"scrub">({ ...query, partition: homeOf(partition) })).broken;
  }

  async stocked(): Promise<readonly number[]> {
    return (await this.ask<"stocked">({ read: "stocked" })).partitions;
  }

  async close(): Promise<void> {
    await this.database.close();
  }
}

/** Commits transaction 1 after some writes of it; gives the texts that object 1 has under tid 9. */
export async function partsAfter(db: Driver, ...writes: readonly DatabaseWrite[]): Promise<string[]> {
  await db.save(...writes, vote(ttidOf(1), null), ...finish(ttidOf(1), 9));
  return await db.parts(1, 9);
}
