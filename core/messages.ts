/**
 * The protocol as one table: codec, peers, roles, logs and docs read these rows. A retired code stays reserved.
 * Letters say who says it to whom: C client, M master, S storage, A admin or operator, * any.
 */
import { auditMessages } from "./audit_messages.ts";
import { configMessages } from "./config_messages.ts";
import type { ErrorCode } from "./errors.ts";
import { ZERO_TID } from "./ids.ts";
import { ask, tell } from "./message_rows.ts";
import type { Fields } from "./message_rows.ts";
import { cellFinding, nodeReport, operatorMessages, storageReport } from "./operator_messages.ts";
import {
  bytes,
  flag,
  integer,
  list,
  maybe,
  node,
  oid,
  partition,
  record,
  text,
  tid,
  ttid,
  withDefault,
} from "./schema.ts";
import type { Value, Values } from "./schema.ts";

export { lanes } from "./message_rows.ts";
export type { Lane } from "./message_rows.ts";
export { cellFinding, nodeReport, storageReport };

/** A cell as changes name it. `since` is the table version at which it was created or last outdated. */
export const cellChange = record({ partition, node, state: text, since: integer });
/** A node as others see it. `session` counts a storage's connections to the primary. */
export const nodeInfo = record({
  index: node,
  name: text,
  role: text,
  address: text,
  state: text,
  session: integer,
});
/** What one cell holds of a transaction: locked, or taken without a lock because it was out of date. */
export const cellVote = record({ partition, since: integer, locked: flag });
/** A storage's evidence for a vote. */
export const evidence = record({ node, session: integer, cells: list(cellVote) });
/** What a transaction says about itself; kept on its home cells. `oids` stand in the order of their records. */
export const note = record({
  status: text,
  user: bytes,
  description: bytes,
  extension: bytes,
  oids: list(oid),
});
/** A transaction in an iteration. */
export const transactionInfo = record({
  tid,
  ttid,
  status: text,
  user: bytes,
  description: bytes,
  extension: bytes,
  oids: list(oid),
});
/** A revision as it is stored: `data` null is a deletion, `link` an undo link, `next` null means newest. */
export const revision = record({
  tid,
  next: maybe(tid),
  compression: integer,
  checksum: bytes,
  data: maybe(bytes),
  link: maybe(tid),
});
/** One object of a `loadMany`: no revision there when `revision` is null, and `known` tells whether it exists at all. */
export const loaded = record({ oid, known: flag, revision: maybe(revision) });
/** A final revision as it goes from one copy to another: `data` null is a deletion. */
export const copiedRevision = record({
  oid,
  tid,
  compression: integer,
  checksum: bytes,
  data: maybe(bytes),
  link: maybe(tid),
});
/** Names a final revision, with a digest of its row. */
export const revisionKey = record({ oid, tid, digest: bytes });
/** A truncation: everything behind `tid` is no more. They are numbered from 1. */
export const cut = record({ number: integer, tid });
/** Names a final revision. */
export const rowName = record({ oid, tid });
/** A place between the rows of a partition: behind the revision of `oid` in `tid`, or with null behind all of `tid`. */
export const rowPlace = record({ tid, oid: maybe(oid) });
const epoch = withDefault(integer, 0);
/** Up to which tid history is packed, or counts as packed for what is asked; 0: it isn't. */
const packBound = withDefault(tid, ZERO_TID);

/** Every message. */
export const messages = {
  ping: ask(0x01, "*>*", "liveness", {}, {}),

  fence: ask(0x10, "M>S", "commit", { epoch: integer, session: integer, node, image: bytes }, {
    generation: integer,
    version: integer,
    votes: list(record({ ttid, home: partition, partitions: list(partition) })),
    locks: list(record({ ttid, tid })),
    lastTids: list(record({ partition, tid })),
    lastOid: maybe(oid),
    lastTtid: withDefault(maybe(ttid), null),
  }),
  start: ask(0x11, "M>S", "commit", {
    epoch: integer,
    lastTid: tid,
    sessions: list(integer),
    sessionMark: integer,
  }, {}),
  lock: ask(0x13, "M>S", "commit", { epoch: integer, ttid, tid }, {}),
  unlock: tell(0x14, "M>S", "commit", { epoch: integer, ttid, tid }),
  fate: ask(0x15, "M>S", "commit", { epoch: integer, ttid }, { tid: maybe(tid) }),
  sessionOpened: tell(0x16, "M>S", "commit", { epoch: integer, session: integer }),
  sessionEnded: tell(0x17, "M>S", "commit", { epoch: integer, session: integer }),
  shutdown: tell(0x18, "M>S", "commit", { epoch: integer }),
  abort: tell(0x19, "C>S, C>M, M>S", "commit", { ttid, epoch, nodes: withDefault(list(node), []) }),
  /** Before a fence: which truncations there were. The storage does those that it lacks, with the fence. */
  truncated: tell(0x1d, "M>S", "commit", { epoch: integer, cuts: list(cut) }),
  /** Which of these rows are here, and their data is what its checksum says. */
  vouch: ask(0x1a, "M>S", "commit", { epoch: integer, partition, rows: list(rowName) }, {
    whole: list(flag),
  }),
  /** Looks at all data of a partition now: how many rows up to a tid, their digest, and the first of those that aren't whole. */
  inspect: ask(0x1b, "M>S", "commit", { epoch: integer, partition, upTo: tid }, {
    rows: integer,
    digest: bytes,
    bytes: integer,
    broken: list(rowName),
    packBound,
  }),
  /** When this cell is outdated, these rows go, and it resumes behind `after`: good copies of them are elsewhere. */
  mend: tell(0x1c, "M>S", "commit", {
    epoch: integer,
    partition,
    since: integer,
    after: tid,
    rows: list(rowName),
  }),

  /** History up to this tid may go: the masters hold that. To clients also that it may not, when that was only asked about. */
  packTo: tell(0x1e, "M>S, M>C", "commit", { epoch: integer, tid }),
  /** This storage has packed its readable cells up to here. */
  packedTo: tell(0x1f, "S>M", "commit", { epoch: integer, tid }),

  welcome: tell(0x20, "M>*", "commit", {
    clusterId: text,
    cluster: text,
    epoch: integer,
    index: integer,
    session: integer,
    lastTid: tid,
    truncations: integer,
    phase: text,
    wallMs: integer,
    image: bytes,
    nodes: list(nodeInfo),
  }),
  nodes: tell(0x21, "M>*", "commit", { nodes: list(nodeInfo) }),
  table: tell(0x22, "M>*", "commit", { image: bytes, epoch }),
  tableChange: tell(0x23, "M>*", "commit", {
    generation: integer,
    base: integer,
    version: integer,
    digest: bytes,
    cells: list(cellChange),
    epoch,
  }),
  phase: tell(0x24, "M>*", "commit", { phase: text, epoch }),
  askTable: ask(0x25, "*>M", "commit", {}, { image: bytes }),
  space: tell(0x26, "S>M", "commit", { low: flag, freeBytes: integer }),
  /**
   * A storage's out-of-date cells, and up to where each is complete as far as it was told to be; null: it has not been told in
   * this session. The answer is how far it must come now. It waits while there is nothing new to say.
   */
  catchUp: ask(0x27, "S>M", "commit", {
    epoch: integer,
    cells: list(record({ partition, since: integer, covered: maybe(tid) })),
  }, { target: tid }),
  /** A cell that became readable here has no write left that was taken without a lock. */
  settled: tell(0x28, "S>M", "commit", { epoch: integer, partition, since: integer }),
  /** Cells of this storage that were discarded, by entries that are held: it may delete what they hold. */
  discarded: tell(0x29, "M>S", "commit", {
    epoch: integer,
    cells: list(record({ partition, since: integer })),
  }),
  /** What cells were used for; the count of an hour ago counts half. */
  use: tell(0x2a, "S>M", "commit", {
    cells: list(record({ partition, reads: integer, writes: integer, bytes: integer })),
  }),
  /** The operator wants this storage to end: its process, or its membership. */
  leave: tell(0x2b, "M>S", "commit", { epoch: integer, reason: text }),
  /** Rows of a readable cell whose data isn't what its checksum says. */
  damaged: tell(0x2c, "S>M", "commit", { epoch: integer, partition, since: integer, rows: list(rowName) }),

  /** What the masters hold of the cluster besides its table: kept for `neo cluster recover`, which needs it when their disks are lost. */
  registry: tell(0x38, "M>S", "commit", { epoch: integer, state: bytes }),
  sync: ask(0x30, "C>M", "commit", {}, { lastTid: tid, wallMs: integer }),
  newOids: ask(0x31, "C>M", "commit", { count: integer }, { first: oid, count: integer }),
  finish: ask(0x32, "C>M", "commit", {
    ttid,
    home: partition,
    explicit: maybe(tid),
    stored: list(oid),
    checked: list(oid),
    evidence: list(evidence),
    sent: list(node),
    failed: list(record({ node, session: integer })),
    /** With a given tid: the one that must have been accepted before, so that several may be on their way. */
    behind: withDefault(maybe(tid), null),
  }, { tid }),
  invalidate: tell(0x33, "M>C", "commit", { tid, oids: list(oid) }),
  outcome: ask(0x34, "C>M", "commit", { ttid, home: partition }, { tid: maybe(tid) }),
  /** A transaction is here for too long: the primary says accepted, or gives it up. `asks`: only if it is over already. */
  settle: ask(0x35, "S>M", "commit", { ttid, asks: withDefault(flag, false) }, { accepted: flag }),
  stage: ask(0x36, "C>M", "commit", { importing: flag, origin: text }, { lastTid: tid, origin: text }),
  /** A client offers to copy another cluster's transactions to this one, a backup; answered when it may. */
  follow: ask(0x39, "C>M", "commit", {}, { lastTid: tid, of: text }),
  /** The other cluster is packed up to here, beyond what was copied: so is this one, before anything else is. From the client that copies. */
  followPack: ask(0x3d, "C>M", "commit", { tid }, {}),
  /** How far the other cluster is, or what stands in the way; from the client that copies. */
  followed: tell(0x3a, "C>M", "commit", { newest: maybe(tid), problem: text }),
  /** The oldest snapshot that the client's program has open for a while; null: it has none. */
  floor: tell(0x3b, "C>M", "commit", { at: maybe(tid) }),
  /** Which snapshot of the client's program is the oldest that is open; from here on it opens none below the bound. */
  askFloor: ask(0x3c, "M>C", "commit", { packBound: tid }, { floor: maybe(tid) }),
  /** A client can't reach a storage that the primary counts as running; the primary looks for itself. */
  unreachable: tell(0x37, "C>M", "commit", { node, session: integer }),

  store: ask(0x40, "C>S", "commit", {
    ttid,
    version: integer,
    ageMs: integer,
    oid,
    base: tid,
    compression: integer,
    checksum: bytes,
    data: maybe(bytes),
    link: maybe(tid),
    restore: withDefault(flag, false),
  }, { lockless: flag }),
  check: ask(0x41, "C>S", "commit", { ttid, version: integer, ageMs: integer, oid, base: tid }, {
    lockless: flag,
  }),
  /** A part of a value, before the `store` of its manifest; 0 begins the value, each later one follows. */
  part: ask(0x45, "C>S", "commit", {
    ttid,
    version: integer,
    ageMs: integer,
    oid,
    seq: integer,
    compression: integer,
    checksum: bytes,
    data: bytes,
  }, {}),
  vote: ask(0x42, "C>S", "commit", {
    ttid,
    version: integer,
    home: partition,
    count: integer,
    digest: bytes,
    note: maybe(note),
  }, { evidence }),
  /** An older transaction waits for this object of the client's transaction. */
  deadlock: tell(0x43, "S>C", "commit", { ttid, oid }),
  /** The lock goes to the older one, and is waited for again; the vote there is void. */
  relock: tell(0x44, "C>S", "commit", { ttid, oid }),

  load: ask(0x50, "C>S", "bulk", { oid, at: tid, version: integer }, { revision }),
  loadMany: ask(0x51, "C>S", "bulk", { oids: list(oid), at: tid, version: integer }, {
    objects: list(loaded),
  }),
  loadExact: ask(0x52, "C>S", "bulk", { oid, tid, version: integer }, { revision }),
  /** A part of the value whose manifest is the revision of this tid. */
  loadPart: ask(0x55, "C>S, S>S", "bulk", { oid, tid, seq: integer, version: integer }, {
    compression: integer,
    checksum: bytes,
    data: bytes,
  }),
  transactions: ask(0x53, "C>S", "bulk", {
    partitions: list(partition),
    after: tid,
    upTo: tid,
    count: integer,
    version: integer,
  }, { transactions: list(transactionInfo), upTo: tid }),
  digest: ask(0x54, "C>S", "bulk", { partition, upTo: tid, version: integer }, {
    count: integer,
    digest: bytes,
    packBound,
  }),

  /** A range of a partition in slices of about as many rows each, each with the digest of what it holds. */
  slices: ask(0x56, "S>S", "bulk", {
    partition,
    after: tid,
    upTo: tid,
    count: integer,
    version: integer,
    settled: flag,
    packBound,
  }, { slices: list(record({ upTo: tid, rows: integer, digest: bytes })), packBound }),
  /** Which rows a range has. */
  keys: ask(0x57, "S>S", "bulk", {
    partition,
    after: tid,
    upTo: tid,
    version: integer,
    settled: flag,
    packBound,
  }, {
    transactions: list(record({ tid, digest: bytes })),
    revisions: list(revisionKey),
    upTo: tid,
    packBound,
  }),
  /** A page of a range, with data; parts of large values are asked with `loadPart`. */
  rows: ask(0x58, "S>S", "bulk", {
    partition,
    after: rowPlace,
    upTo: tid,
    version: integer,
    settled: flag,
    packBound,
  }, {
    transactions: list(transactionInfo),
    revisions: list(copiedRevision),
    next: maybe(rowPlace),
    packBound,
  }),
  /** Some rows, with data. `seen`: how many of the keys were looked at, transactions first. */
  pick: ask(0x59, "S>S", "bulk", {
    partition,
    transactions: list(tid),
    revisions: list(record({ oid, tid })),
    version: integer,
  }, { transactions: list(transactionInfo), revisions: list(copiedRevision), seen: integer }),

  ...operatorMessages,
  ...configMessages,
  ...auditMessages,

  /** A master wants to be the primary. `trial`: whether it would be elected; nothing is promised then. */
  canvass: tell(0x70, "M>M", "liveness", {
    term: integer,
    lastIndex: integer,
    lastTerm: integer,
    trial: flag,
  }),
  ballot: tell(0x71, "M>M", "liveness", { term: integer, trial: flag, granted: flag }),
  /** Entries of the log behind one that the other has, and up to where all is held; without entries a heartbeat. */
  append: tell(0x72, "M>M", "liveness", {
    term: integer,
    prevIndex: integer,
    prevTerm: integer,
    entries: list(record({ term: integer, entry: bytes })),
    commit: integer,
    round: integer,
  }),
  /** What the log has made up to an entry, for a master that lacks more than the log reaches back. */
  install: tell(0x73, "M>M", "liveness", {
    term: integer,
    index: integer,
    indexTerm: integer,
    image: bytes,
    round: integer,
  }),
  /** Up to where the logs are the same; not `ok`: from where it should be tried. With the sender's clock. */
  appended: tell(0x74, "M>M", "liveness", {
    term: integer,
    ok: flag,
    index: integer,
    round: integer,
    wallMs: integer,
  }),
  /** The primary wants this master to be elected in its place, at once. */
  stand: tell(0x75, "M>M", "liveness", { term: integer }),

  /** Notices to many go to this group from now on, for those who hear them there. With the stream's name and its secret key. */
  multicast: tell(0x94, "M>*", "commit", { group: text, stream: bytes, key: bytes }),
  /** The receiver listens to the group, and whether datagrams come through; when they don't, all is told here. */
  listening: tell(0x95, "*>M", "commit", { heard: flag }),
  /** Here is the place of a notice that went by multicast: nothing behind it in its lane is taken before it is there. */
  notice: tell(0x96, "M>*", "commit", { number: integer }),
  /** Notices that were lost on their way. Above commits: these wait for it. */
  missed: ask(0x97, "*>M", "liveness", { numbers: list(integer) }, { messages: list(bytes) }),
} as const;

/** The name of a message. */
export type Name = keyof typeof messages;
/** Names of requests. */
export type AskName = { [N in Name]: (typeof messages)[N] extends { kind: "ask" } ? N : never }[Name];
/** Names of notifications. */
export type TellName = Exclude<Name, AskName>;
/** What a message says. */
export type Body<N extends Name> = Values<(typeof messages)[N]["body"]>;
/** What answers a request. */
export type Answer<N extends AskName> = Values<(typeof messages)[N]["answer"]>;
/** A request with its name, for `switch (message.name)`. */
export type AskMessage = { [N in AskName]: { readonly name: N; readonly body: Body<N> } }[AskName];
/** A notification with its name. */
export type TellMessage = { [N in TellName]: { readonly name: N; readonly body: Body<N> } }[TellName];
/** An answer with its request's name. */
export type AnswerMessage = { [N in AskName]: { readonly name: N; readonly body: Answer<N> } }[AskName];

export type CellChange = Value<typeof cellChange>;
export type NodeInfo = Value<typeof nodeInfo>;
export type Evidence = Value<typeof evidence>;
export type CellVote = Value<typeof cellVote>;
export type Note = Value<typeof note>;
export type TransactionInfo = Value<typeof transactionInfo>;
export type Revision = Value<typeof revision>;
export type RowName = Value<typeof rowName>;
export type Cut = Value<typeof cut>;
export type Loaded = Value<typeof loaded>;
export type CopiedRow = Value<typeof copiedRevision>;
export type NodeReport = Value<typeof nodeReport>;
export type StorageReport = Value<typeof storageReport>;
export type CellFinding = Value<typeof cellFinding>;

/** Facts that travel with an error, by its code; other codes carry none. */
export const details = {
  conflict: { conflicts: list(record({ oid, base: tid, saved: tid })) },
  lockTimeout: { oid, holder: ttid },
  lacks: { held: list(oid) },
  missing: { version: integer, cells: list(record({ partition, node })) },
  outcomePending: { ttid },
  packed: { bound: tid },
  sessionEnded: { session: integer },
  /** Where the primary is; empty: there is none. */
  notPrimary: { address: text },
} as const satisfies { readonly [C in ErrorCode]?: Fields };

/** Codes whose errors carry facts. */
export type DetailedCode = keyof typeof details;
/** The facts of an error. */
export type Detail<C extends DetailedCode> = Values<(typeof details)[C]>;

/** An error as it travels: a code, a sentence for a person, and facts for the program. */
export type WireError =
  | { readonly code: Exclude<ErrorCode, DetailedCode>; readonly message: string }
  | {
    [C in DetailedCode]: { readonly code: C; readonly message: string; readonly detail: Detail<C> };
  }[DetailedCode];

/** The roles of a cluster. */
export const roles = ["master", "storage", "client", "admin"] as const;
/** One of them. */
export type Role = (typeof roles)[number];

/** "neo1": the first field of the first frame. */
export const MAGIC = "neo1";
/** Versions of the protocol that this code speaks. */
export const PROTOCOL_VERSION_MIN = 1;
export const PROTOCOL_VERSION_MAX = 1;

/** The first frame of a connection, both ways. */
export const helloFields = {
  magic: text,
  versionMin: integer,
  versionMax: integer,
  /** Empty: not known yet (a client that only has a URI). */
  clusterId: text,
  cluster: text,
  role: text,
  name: text,
  diskId: text,
  /** Where others reach this node, empty if it doesn't listen. */
  address: text,
  epoch: integer,
  /** A client's session, when it comes to a storage. */
  session: integer,
  /** How long the speaker waits to be accepted. */
  patienceMs: integer,
  capabilities: list(text),
  /** Digest of the partition table that the speaker has, empty without one: it is sent only what changed since (T38). */
  tableDigest: withDefault(bytes, new Uint8Array()),
} as const;
/** What a peer says of itself. */
export type Hello = Values<typeof helloFields>;
