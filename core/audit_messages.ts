/** What operators ask about operators and clients, part of the table in `messages.ts`. */
import { ask } from "./message_rows.ts";
import { flag, integer, list, maybe, oid, record, text, tid, ttid, withDefault } from "./schema.ts";

/** An action of an operator. */
export const auditRow = record({
  number: integer,
  atMs: integer,
  /** Who says to have asked for it. */
  author: text,
  /** Whom a certificate shows; empty without TLS. */
  holder: text,
  action: text,
  target: text,
  /** Empty: done. Else why it was refused, or what else became of it. */
  refusal: text,
});

/** A transaction that a storage holds for a client, before it is final. */
export const heldRow = record({
  ttid,
  ageMs: integer,
  objects: integer,
  voted: flag,
  /** An object that it waits for, and a transaction that has it. */
  waitsFor: maybe(oid),
  behind: maybe(ttid),
});

/** An object, and how many conflicts it has made lately. */
export const conflictRow = record({ oid, count: integer });

/** How large a storage is; null: it doesn't know. */
export const sizeRow = record({
  /** Bytes of all revisions as they are compressed, and of the newest of each object. */
  bytes: maybe(integer),
  live: maybe(integer),
  /** What `bytes` was before the first commit of some earlier day, and how many days ago that is: the first within a week. */
  before: maybe(record({ bytes: integer, days: integer })),
  /** What the database takes on its disk, what of it is free for reuse, and what the disk still takes. */
  fileBytes: maybe(integer),
  reusableBytes: maybe(integer),
  freeBytes: maybe(integer),
});

export const auditMessages = {
  /** The latest actions before one, newest first. */
  listAudit: ask(0x80, "A>M, A>A", "commit", { before: maybe(integer), count: integer }, {
    entries: list(auditRow),
  }),
  /** Clients that are let in, what they have under way, and which objects make conflicts. */
  listClients: ask(0x81, "A>M, A>A", "commit", {}, {
    clients: list(record({
      session: integer,
      name: text,
      holder: text,
      sinceMs: integer,
      /** The oldest snapshot that it has open for a while, and since when the primary knows of it. */
      floor: withDefault(maybe(record({ at: tid, sinceMs: integer })), null),
      transactions: list(record({
        ttid,
        ageMs: integer,
        objects: integer,
        voted: flag,
        waitsFor: maybe(oid),
        behind: maybe(ttid),
        storages: list(text),
      })),
    })),
    conflicts: list(conflictRow),
    /** Storages that didn't tell in time. */
    silent: list(text),
  }),
  /** Ends a client's session: what it has under way is given up. Its program may come again. */
  killClient: ask(0x82, "A>M, A>A", "commit", { session: integer }, {}),
  /** How large storages are. */
  listSizes: ask(0x84, "A>M, A>A", "commit", {}, {
    sizes: list(record({ name: text, size: sizeRow })),
    /** Storages that didn't tell in time. */
    silent: list(text),
  }),
  askSize: ask(0x85, "M>S", "commit", { epoch: integer }, { size: sizeRow }),
  /** What a storage holds for clients. */
  askActivity: ask(0x83, "M>S", "commit", { epoch: integer }, {
    held: list(heldRow),
    conflicts: list(conflictRow),
  }),
} as const;
