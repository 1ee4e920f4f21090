/** What operators ask of the primary, part of the table in `messages.ts`. An admin passes on what has `A>A` in its route. */
import { ask } from "./message_rows.ts";
import { bytes, flag, integer, list, maybe, partition, record, text, tid, withDefault } from "./schema.ts";

/** A node in an operator's report. */
export const nodeReport = record({
  index: integer,
  name: text,
  role: text,
  address: text,
  state: text,
  cells: integer,
  readable: integer,
  problem: maybe(text),
});

/** A storage in an operator's list. One that was never added has index 0. */
export const storageReport = record({
  index: integer,
  name: text,
  address: text,
  state: text,
  weight: integer,
  path: list(text),
  draining: flag,
  cells: integer,
  readable: integer,
  feeding: integer,
  /** Its part of all measured use, in thousandths. */
  useMilli: integer,
  problem: maybe(text),
});
/** What a change of the table's layout does, or would do. */
export const layoutPlan = {
  /** The table's version with it; of a dry run, or when nothing changes, the one that it has. */
  version: integer,
  /** Cells that are copied, that feed meanwhile, that are dropped at once, and that stay after all. */
  copied: integer,
  feeding: integer,
  dropped: integer,
  kept: integer,
  nodes: list(record({ name: text, cells: integer, cellsAfter: integer, useMilli: integer })),
  warnings: list(text),
};

/** What a comparison says of a cell: `equal`, `different`, `broken`, or why it wasn't looked at. */
export const cellFinding = record({
  partition,
  name: text,
  state: text,
  rows: integer,
  bytes: integer,
  broken: integer,
  /** It was made anew from a good copy. */
  repaired: flag,
});

/** One message an action (T22). */
export const operatorMessages = {
  status: ask(0x60, "A>M, A>A", "commit", {}, {
    clusterId: text,
    cluster: text,
    state: text,
    primary: text,
    epoch: integer,
    generation: integer,
    version: integer,
    partitions: integer,
    replicas: integer,
    origin: text,
    lastTid: tid,
    clients: integer,
    /** The oldest snapshot that a client has open for a while, and since when the primary knows of it. */
    oldestSnapshot: withDefault(maybe(record({ client: text, at: tid, sinceMs: integer })), null),
    waitingFor: text,
    nodes: list(nodeReport),
    /** Null: it is no backup. `follower`: who copies, empty: nobody; `newest`: the other cluster's last tid, as far as it is known. */
    backup: withDefault(
      maybe(record({ of: text, follower: text, newest: maybe(tid), problem: text })),
      null,
    ),
    /** Up to where history is packed, and which storages haven't done it yet; null: all history is kept. */
    pack: withDefault(maybe(record({ bound: tid, packing: list(text) })), null),
  }),
  stop: ask(0x61, "A>M, A>A", "commit", {}, {}),
  listNodes: ask(0x62, "A>M, A>A", "commit", {}, { nodes: list(storageReport) }),
  /** Takes in a storage that has come and isn't known. `replaces`: in place of that one, with its cells. */
  addNode: ask(0x63, "A>M, A>A", "commit", {
    name: text,
    weight: integer,
    path: list(text),
    replaces: withDefault(text, ""),
  }, { index: integer }),
  /** The storage is a member no more: its cells are discarded, and it stops. */
  dropNode: ask(0x64, "A>M, A>A", "commit", { name: text }, { version: integer }),
  /** The storage's process ends, and its cells are out of date. */
  killNode: ask(0x65, "A>M, A>A", "commit", { name: text }, {}),
  /** Its cells go elsewhere, then it is dropped. `undo`: it stays after all. */
  drainNode: ask(0x66, "A>M, A>A", "commit", { name: text, undo: withDefault(flag, false) }, layoutPlan),
  /** Spreads cells over storages; `ignored` are left as they are. */
  tweak: ask(0x67, "A>M, A>A", "commit", { ignored: list(text), dryRun: flag }, layoutPlan),
  /** How many copies there should be besides the first; cells follow with the next tweak. */
  setReplicas: ask(0x68, "A>M, A>A", "commit", { replicas: integer }, { version: integer }),
  showTable: ask(0x69, "A>M, A>A", "commit", {}, {
    image: bytes,
    nodes: list(record({ index: integer, name: text })),
  }),
  /**
   * Compares the readable copies of some partitions, and the data of each with its checksums. With `repair` what is broken,
   * or differs from the copies of `from`, is made anew from a good one; it is answered when that is done. `next` is the
   * partition to go on with.
   */
  verifyTable: ask(0x6a, "A>M, A>A", "commit", {
    first: partition,
    count: integer,
    from: withDefault(text, ""),
    repair: withDefault(flag, false),
  }, {
    partitions: integer,
    upTo: tid,
    next: maybe(partition),
    cells: list(cellFinding),
  }),
  /** Deletes everything behind a tid, everywhere. Answered when that is decided; operation begins anew with it. */
  /** Lets history up to a tid go, once no client has anything open below it; `dryRun`: only says whether it could. */
  pack: ask(0x5d, "A>M, A>A", "commit", { tid, dryRun: flag }, { tid, before: tid }),
  truncate: ask(0x6b, "A>M, A>A", "commit", { tid }, { number: integer, lastTid: tid }),
  /** The cluster becomes a backup of the one with this name; empty: none any more. Operation begins anew with it. */
  setBackup: ask(0x5e, "A>M, A>A", "commit", { of: text }, { lastTid: tid }),
  /** A storage without cells gets one, out of date, of each partition that another one has. */
  listMasters: ask(0x6d, "A>M, A>A", "commit", {}, {
    masters: list(
      record({ index: integer, name: text, address: text, state: text, votes: flag, isPrimary: flag }),
    ),
  }),
  /** Takes a master in whose store is empty, known by its disk. It votes when it has everything; then this is answered. */
  addMaster: ask(0x6e, "A>M, A>A", "commit", { name: text, address: text, diskId: text }, { index: integer }),
  removeMaster: ask(0x6f, "A>M, A>A", "commit", { name: text }, {}),
  /** Another master becomes the primary. */
  stepDown: ask(0x5f, "A>M, A>A", "commit", {}, {}),
  copyCells: ask(0x6c, "A>M, A>A", "commit", { name: text, of: text }, { cells: integer }),
} as const;
