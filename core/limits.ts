/** Every bound of neo, with its unit. A number that limits something stands here and nowhere else. */
export * from "./file_limits.ts";
export * from "./pack_limits.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

// Wire
/** Port of a master when a URI names none. */
export const DEFAULT_PORT = 9100;
/** One frame, header not counted. What is longer travels in chunks. */
export const FRAME_BYTES_MAX = 1 * MIB;
/** Payload of one chunk of a message that doesn't fit into a frame. */
export const CHUNK_BYTES_MAX = 256 * KIB;
/** Payload of a chunk that isn't the last: what we remember of a chunk must not outweigh what it carries. */
export const CHUNK_BYTES_MIN = 4 * KIB;
/** One message, after its chunks are joined. */
export const MESSAGE_BYTES_MAX = 72 * MIB;
/** The first frame of a connection. */
export const HELLO_BYTES_MAX = 4 * KIB;
/** Nesting of a message: the frame's array is level 1. */
export const NESTING_MAX = 8;
/** CBOR items of a message, nested ones too: a byte can ask for forty bytes of memory. */
export const MESSAGE_ITEMS_MAX = 2 ** 22;
/** Elements of a list in a message. */
export const LIST_LENGTH_MAX = 2 ** 21 - 1;
/** Characters of a text in a message. */
export const TEXT_LENGTH_MAX = 64 * KIB;
/** Received bytes that come in smaller pieces are put together at once: pieces cost more than what they hold. */
export const PIECE_BYTES_MIN = 4 * KIB;
/** Requests that a peer may have unanswered on one connection. */
export const REQUESTS_IN_FLIGHT_MAX = 65_536;
/** Bytes that wait for one peer to read; beyond, the peer is dropped. */
export const QUEUED_BYTES_MAX = 256 * MIB;
/** Bytes handed to a socket before it must say that it can take more; what waits behind can still be overtaken. */
export const SOCKET_BYTES_MAX = 512 * KIB;
/** Bytes received from one connection and not yet stepped; beyond, it isn't read for a while. */
export const RECEIVED_BYTES_MAX = 4 * MIB;
/** Bytes of messages that wait until their sender is accepted; beyond, it isn't read. */
export const EARLY_BYTES_MAX = 4 * MIB;
/** Connections that are accepted and haven't said who they are. */
export const UNIDENTIFIED_MAX = 256;
/** A peer that doesn't take what is sent to it for this long is dropped. */
export const WRITE_TIMEOUT_MS = 15_000;
/** Silence after which a peer is asked whether it is there. */
export const KEEPALIVE_MS = 8_000;
/** Without a primary, whoever comes to a master waits there this long; then it asks another, which may know of one. */
export const GUEST_MS = 1_000;
/** The same for the primary, where there are several masters: while it is silent, another may have taken over. */
export const PRIMARY_KEEPALIVE_MS = 1_000;
/** Unanswered heartbeats after which a peer is lost. */
export const KEEPALIVE_MISSED_MAX = 3;
/** Time for the first frame of a connection. */
export const HELLO_TIMEOUT_MS = 5_000;
/** Time for a connection to be made. */
export const CONNECT_TIMEOUT_MS = 5_000;
/** How long a peer that comes too early is kept waiting, unless it says less. */
export const PATIENCE_MS = 60_000;
/** Pause before another attempt on an address that failed: it grows from the first to the second. */
export const RETRY_DELAY_MS_MIN = 50;
export const RETRY_DELAY_MS_MAX = 1_000;
/** A master that should dial another one, and hasn't come for so long, is dialed by it. */
export const REVERSE_DIAL_MS = 3_000;
/** Masters that are tried at once because the one before has named them as the primary. */
export const HINTS_MAX = 3;
/** Time for an answer, where a caller gives none. */
export const REQUEST_TIMEOUT_MS = 30_000;

/** A cause for which peers are refused is logged once in this time. */
export const NOTICE_MS = 10_000;
/** Causes that are told apart at once. */
export const NOTICE_CAUSES_MAX = 64;

// Multicast
/** A datagram: what networks carry in one piece. A longer notice goes by TCP. */
export const DATAGRAM_BYTES_MAX = 1_400;
/** So many must hear a notice for it to be worth a datagram. */
export const NOTICE_RECEIVERS_MIN = 2;
/** Notices that are kept for those who missed them; who asks for an older one loses its connection, and comes anew. */
export const NOTICES_KEPT_MAX = 4_096;
/** Notices that a receiver keeps before their turn; others are asked for when it comes. */
export const NOTICES_EARLY_MAX = 1_024;
/** What waits behind a notice that isn't there: beyond it the connection is ended. */
export const NOTICE_HELD_MAX = 65_536;
/** Notices that are asked for at once. */
export const NOTICES_ASKED_MAX = 64;
/** Time for a datagram that its connection has overtaken, before it is asked for. */
export const NOTICE_GRACE_MS = 20;
/** Notices in a row that had to be asked for until a receiver says that datagrams don't reach it. */
export const NOTICES_MISSED_MAX = 16;
/** Pause before a receiver that has heard no datagram yet says again that it listens. */
export const LISTENING_MS = 10_000;

// Rounds
/** Events that one round steps. */
export const ROUND_EVENTS_MAX = 4_096;
/** A saved but lazy change is on disk after this time. */
export const LAZY_FLUSH_MS = 1_000;

// Objects and transactions
/** Data of one object that travels, and is held in memory, as a whole. */
export const OBJECT_BYTES_MAX = 64 * MIB;
/** One part of a larger value: it travels in one frame. */
export const PART_BYTES_MAX = 512 * KIB;
/** A value that comes and goes as a stream, in parts; their checksums stand in one message. */
export const VALUE_BYTES_MAX = 16 * 1024 * MIB;
/** Parts of a value. */
export const PARTS_MAX = VALUE_BYTES_MAX / PART_BYTES_MAX;
/** User, description and extension of a transaction, each. */
export const NOTE_BYTES_MAX = 65_535;
/** Smaller data isn't worth compressing. */
export const COMPRESS_BYTES_MIN = 512;
/** How hard a client compresses: from 1, the fastest, to 9, the smallest. */
export const COMPRESS_LEVEL = 6;
/** The beginning of long data, which says whether the rest is worth it. */
export const COMPRESS_PROBE_BYTES = 8 * KIB;
/** What a client sends to one storage for one commit without an answer: bytes of data, and objects. */
export const STORE_WINDOW_BYTES = 4 * MIB;
export const STORE_WINDOW_OBJECTS = 4_096;
/** What a client sends of a streamed value to one storage before its program may give more. */
export const PART_WINDOW_BYTES = 4 * PART_BYTES_MAX;
/** Parts of a value that a reader has under way. */
export const PARTS_IN_FLIGHT_MAX = 4;
/** How often `transact` runs its function at most, unless told. */
export const TRANSACT_ATTEMPTS_MAX = 50;
/** The pause before its second attempt is this long at most; each later one may be twice as long, up to the second. */
export const TRANSACT_PAUSE_MS_MIN = 2;
export const TRANSACT_PAUSE_MS_MAX = 250;
/** A transaction that lost an object waits for those of its client that lost it earlier, unless none of them ends for this long. */
export const TRANSACT_TURN_MS = 5_000;
/** Time a store waits for the lock of its object. */
export const LOCK_WAIT_MS = 10_000;
/** A storage that holds a transaction for longer asks the primary to settle it. */
export const TRANSACTION_TIMEOUT_MS = 120_000;
/** The least that a configuration may say for it. */
export const TRANSACTION_TIMEOUT_MS_MIN = 100;
/** Free bytes below which a storage takes no new store; lock, unlock, table and epoch use what is left. */
export const RESERVE_BYTES = 64 * MIB;
/** How often a storage looks at its free space while it stores. */
export const SPACE_CHECK_MS = 1_000;
/** Ids of objects that a client takes from the master at once. */
export const OID_BATCH = 100;
/** Ids that the master's log reserves at once. */
export const OID_BLOCK = 10_000;
export const SESSION_BLOCK = 1_000;
/**
 * What `neo cluster recover` leaves out above the highest epoch, client session, oid and revision of the configuration that any
 * node knows: masters whose disks
 * are lost may have held more, of which no storage heard. They are far more than one could in the time a message takes.
 */
export const RECOVER_EPOCHS = 1_000;
export const RECOVER_SESSIONS = 1_000 * SESSION_BLOCK;
export const RECOVER_OIDS = 1_000 * OID_BLOCK;
export const RECOVER_REVISIONS = 1_000;
/** Transactions in one page of an iteration. */
export const PAGE_TRANSACTIONS = 100;
/** Live changes, and oids in them, that wait for a slow reader of a change feed; beyond, it reads them from history. */
export const CHANGES_QUEUED_MAX = 1_000;
export const CHANGES_QUEUED_OIDS_MAX = 100_000;
/** Objects that one `loadMany` message asks for. */
export const LOAD_MANY_MAX = 1_000;
/** Reads that one client has under way at one storage; further ones wait at the client. */
export const READS_IN_FLIGHT_MAX = 48;
/** A storage that failed is asked after all others for this long. */
export const FAILURE_MEMORY_MS = 10_000;
/** A hedged read asks a second copy after this quantile of the last answers' times, of so many, and not before. */
export const HEDGE_QUANTILE = 0.99;
export const HEDGE_SAMPLES = 256;
export const HEDGE_MS_MIN = 1;
/** Bytes of data after which the answer to a `loadMany` stops; the rest is asked again. */
export const LOAD_MANY_BYTES_MAX = 4 * MIB;

// Cluster
/** Wait for absent storages with readable cells: at a cold start, and when operation was lost. */
export const STARTUP_GRACE_MS = 10_000;
export const FAILOVER_GRACE_MS = 1_000;
/** Time for a sign of life of a storage that a client can't reach, and the pause between two such reports of it. */
export const LIFE_SIGN_MS = 5_000;
export const UNREACHABLE_PAUSE_MS = 5_000;
/** A storage that doesn't answer `lock` for this long is lost. */
export const LOCK_TIMEOUT_MS = 20_000;
/** So long a commit waits for the votes of copies that are out of date, once it has those of all readable ones. */
export const LAGGING_VOTE_MS = 1_000;
/** Finishes are served for this long after a stop was asked for. */
export const STOP_DEADLINE_MS = 10_000;
/** Partitions of a cluster. */
export const PARTITIONS_MAX = 65_536;
export const PARTITIONS_DEFAULT = 240;
/** A process that wakes up this much later than it wanted was starved: it listens first, and judges after the grace. */
export const LATE_WAKE_MS = 1_000;
export const LATE_GRACE_MS = 100;
/** Entries of a master's log after which it is replaced by a snapshot. */
export const LOG_ENTRIES_MAX = 1_000;
/** Voting masters of a cluster. */
export const MASTERS_MAX = 7;
/** How often a primary says to the other masters that it is there, when it has nothing else to say. */
export const HEARTBEAT_MS = 600;
/**
 * A primary that hears nothing of a majority for this long stops; a master that hears nothing of the primary stands for election
 * after this time and a random part of the second.
 */
export const ELECTION_MS = 2_000;
export const ELECTION_SPREAD_MS = 1_000;
/** The same when there is no primary, or the connection to it has ended: between these. */
export const STAND_MS_MIN = 50;
export const STAND_MS_MAX = 250;
/** An election that isn't decided is begun again after this time and a random part of the same. */
export const CANVASS_MS = 500;
/** Bytes of entries in one message between masters; one entry always fits. */
export const APPEND_BYTES_MAX = 256 * KIB;
/** How far the date of a tid may be ahead of the median of the masters' clocks. */
export const CLOCK_SKEW_MS = 5_000;
/** How often a client stores again what a storage lacks, before it gives the transaction up. */
export const LACKS_ATTEMPTS_MAX = 3;
/** How often a client begins a commit again that no readable copy had locked whole when it was to be finished. */
export const INCOMPLETE_ATTEMPTS_MAX = 3;
/** How often a client sends a commit again to a storage whose connection was lost, before it names it failed. */
export const LOSSES_MAX = 3;
/** How long a client asks for the outcome of a commit whose own time is over. */
export const OUTCOME_WAIT_MS = 10_000;
/** Memory of a client's cache, unless told. */
export const CACHE_BYTES_DEFAULT = 32 * MIB;
/** What an object in the cache takes besides its data. */
export const CACHE_ENTRY_BYTES = 500;
/** A cache has room for this many objects at least: bigger ones aren't kept, or one would drive out all others. */
export const CACHE_ENTRIES_MIN = 8;
/** Uses of a cache after which an object that wasn't used itself counts as less used. */
export const CACHE_LIFE_ACCESSES = 10_000;
/** Objects that were dropped from a cache, of which it remembers how often they were used. */
export const CACHE_GHOSTS_MAX = 100_000;

/** How far a tid that an import gives may be ahead of the clock. */
export const IMPORT_AHEAD_MS_MAX = 86_400_000;
/** Changes of cells that a primary keeps for nodes that come back; one that lacks more gets the whole table. */
export const TABLE_CHANGES_MAX = 10_000;
/** A storage's part of all cells, against the weights of the others: what it is unless told, and the most. */
export const WEIGHT_DEFAULT = 1;
export const WEIGHT_MAX = 1_000;
/** Names in the path of a storage through region, host and device. */
export const PATH_LENGTH_MAX = 8;
/** A storage without cells that isn't there is forgotten after this time, and so is the note of one that was never added. */
export const NODE_EXPIRY_MS = 14 * 24 * 3_600_000;
/** A storage tells the primary what its cells were used for in this interval; older use counts half after an hour. */
export const USE_REPORT_MS = 120_000;
export const USE_HALF_LIFE_MS = 3_600_000;
/** Bytes that cost a storage as much as one request more. */
export const USE_BYTES_PER_REQUEST = 16 * KIB;
/** Requests in all below which a tweak doesn't look at the use: it would move cells for nothing. */
export const USE_REQUESTS_MIN = 1_000;
/** A tweak exchanges cells when a storage has more than this times its share of the use, and goes on down to the second. */
export const TWEAK_USE_LIMIT = 1.3;
export const TWEAK_USE_AIM = 1.15;
/** Looks at a cell that a tweak's search may take: about a second. Beyond, it takes what it has found. */
export const TWEAK_WORK_MAX = 30_000_000;
/** Rows of a discarded cell that are deleted at once, and the pause until the next ones. */
export const ERASE_ROWS = 2_000;
export const ERASE_PAUSE_MS = 50;
/** Storages that came with a disk that isn't in the registry, of which a master keeps note. */
export const STRANGERS_MAX = 16;
/** What a caller may wait at most, in ms: what a timer can hold. */
export const CALL_TIMEOUT_MS_MAX = 2 ** 31 - 1;
/** Oids that one page of an iteration names at most; a transaction is never cut. */
export const PAGE_OIDS_MAX = 100_000;
/** Objects, and bytes of them, that one transaction may write. */
export const TRANSACTION_OBJECTS_MAX = 500_000;
export const TRANSACTION_BYTES_MAX = 512 * MIB;

// Copies
/** What one message of a copy brings: rows, and bytes of data after which it stops. */
export const COPY_ROWS_MAX = 1_000;
export const COPY_BYTES_MAX = 1 * MIB;
/** Pieces into which a range of a partition is cut to see where two copies differ. */
export const COPY_SLICES = 16;
/** Rows that are digested at once to compare two copies: a storage serves nobody meanwhile. */
export const COPY_LOOK_ROWS_MAX = 30_000;
/** Rows of a piece below which the rows themselves are named. */
export const COPY_KEYS_MAX = 512;
/** How long a storage waits for the cluster to run before it copies what is final elsewhere. */
export const COPY_AHEAD_MS = 1_000;
/** A storage that couldn't be copied from isn't asked again for this long. */
export const COPY_PAUSE_MS = 2_000;
/** Bytes a second that a storage copies at least when a partition has one readable copy left, whatever its limit says. */
export const COPY_BYTES_PER_S_MIN = 4 * MIB;

// Scrub
/** A storage looks at all that it holds once in this time: does its data still match the checksums? */
export const SCRUB_PASS_MS = 7 * 24 * 3_600_000;
/** It begins this long after it serves. */
export const SCRUB_DELAY_MS = 600_000;
/** What it reads for that, while nobody waits for it. */
export const SCRUB_BYTES_PER_S = 8 * MIB;
/** What it reads at once, and the least pause behind that, so that others get through. */
export const SCRUB_PAGE_BYTES = 512 * KIB;
export const SCRUB_PAUSE_MS_MIN = 10;
/** Broken rows of a partition that are spoken of at once; the others are found again when these are mended. */
export const SCRUB_ROWS_MAX = 1_000;
/** Time for a storage to look at one partition when the operator waits, and to answer for rows. */
export const INSPECT_TIMEOUT_MS = 600_000;
/** Partitions that one question of the operator compares. */
export const VERIFY_PARTITIONS_MAX = 64;

// Adapters
/** One log file; at this size it becomes the older one, `FILE.1`, in place of the one before it. */
export const LOG_FILE_BYTES_MAX = 32 * MIB;
/** The same for one that is older; it is looked at when something is logged. */
export const LOG_FILE_AGE_MS_MAX = 7 * 24 * 3_600_000;
/** Connections whose last messages a node remembers, and how many of each. */
export const RECORDED_CONNECTIONS_MAX = 64;
export const RECORDED_MESSAGES = 32;
/** Lines that are gathered before they are written together. */
export const LOG_BATCH_BYTES_MAX = 64 * KIB;
/** A line that follows another is in the file after this time at most; lone ones, warnings and errors are at once. */
export const LOG_FLUSH_MS = 200;
/** One line; what is longer is cut and says so. */
export const LOG_LINE_BYTES_MAX = 16 * KIB;
/** Bytes on their way to a reader that doesn't take them; what is more waits at the writer. */
export const MEMORY_WINDOW_BYTES = 256 * KIB;
/** The most that one event brings, as with a socket. */
export const MEMORY_READ_BYTES_MAX = 64 * KIB;
/** Bytes in large buffers through sockets after which these are collected, and what counts as large: a socket's full read. */
export const COLLECT_BYTES = 8 * MIB;
export const COLLECTED_BYTES_MIN = 64 * KIB;
/** Rows are digested together until they reach this size. */
export const DIGEST_FOLD_BYTES = 64 * KIB;
/** The digest of one row, among the keys of a range. */
export const ROW_DIGEST_BYTES = 8;
/** What a look at a revision costs a scrub, beside the bytes of its data. */
export const SCRUB_ROW_BYTES = 256;
/** Bytes from a database that are copied once more, so that the runtime counts them and collects them in time. */
export const SQLITE_COPY_BYTES_MIN = 64 * KIB;
/** Memory for pages of a database file. */
export const SQLITE_CACHE_BYTES = 16 * MIB;
/** Pages in the log after which it is copied to the main file. */
export const SQLITE_CHECKPOINT_PAGES = 4_000;
/** What a log keeps of the disk after it was copied. */
export const SQLITE_LOG_BYTES_MAX = 64 * MIB;
/** SQLite's own bound for one statement. */
export const SQLITE_VARIABLES_MAX = 32_766;
/** Rows beyond which a statement with more of them isn't faster. A power of two: few shapes are prepared. */
export const SQLITE_STATEMENT_ROWS_MAX = 64;
/** Revisions without their values that are read at once. */
export const SQLITE_KEYS_ROWS = 512;

// Command line
/** How long a command waits until the cluster lets it in. */
export const CLI_CONNECT_MS = 15_000;
/** Lines of its log that are shown of a process that failed. */
export const LOG_LINES_SHOWN = 20;
/** Time for a process to be gone after SIGKILL. */
export const KILL_WAIT_MS = 5_000;
/** Bytes of a log in which its last lines are looked for. */
export const LOG_TAIL_BYTES_MAX = 64 * KIB;
/** Pause between two lines of progress, on a terminal and elsewhere. */
export const PROGRESS_TERMINAL_MS = 200;
export const PROGRESS_PLAIN_MS = 10_000;
/** Time for a process that was begun to say so. */
export const PROCESS_START_MS = 10_000;
/** Time to end by itself for what its primary has told to. */
export const STOP_GRACE_MS = 1_000;
/** Time to end after SIGTERM, even if the time of `--wait` is over. */
export const TERM_WAIT_MS_MIN = 2_000;
/** Pause between two looks at a process that isn't our child. */
export const PROCESS_LOOK_MS = 50;
/** So often `provision` looks at a cluster and does what its plan lacks; more would mean that it undoes what it has done. */
export const PROVISION_ROUNDS_MAX = 20;

// PostgreSQL
/** Connections of a storage that only read. */
export const POSTGRES_READERS = 4;
/** A statement that takes longer fails, and with it the node that asked. */
export const POSTGRES_STATEMENT_TIMEOUT_MS = 60_000;
/** A server that answers no statement of a round for so long hangs: it hasn't kept its own bound. The node ends its use and begins anew. */
export const POSTGRES_ANSWER_TIMEOUT_MS = 75_000;
export const POSTGRES_CONNECT_TIMEOUT_MS = 10_000;
/** A node whose server is gone waits for it so long, and tries again so often. */
export const POSTGRES_RECONNECT_MS = 60_000;
export const POSTGRES_RETRY_MS = 250;
/** Statements that are sent without an answer to the first of them: beyond it each one waits for the one before, so no round comes near. */
export const POSTGRES_UNANSWERED_MAX = 1_000_000;
/** Rows that are looked at with one statement where there may be many. */
export const POSTGRES_PAGE_ROWS = 1_000;
/** Rows with their data that are fetched at once. */
export const POSTGRES_DATA_ROWS = 32;

// Configuration
/** Revisions that the masters keep; older ones are forgotten, what they have set isn't. */
export const CONFIG_REVISIONS_MAX = 500;
/** Values that one revision changes, revisions of one answer, and characters of an author and a reason. */
export const CONFIG_CHANGES_MAX = 200;
export const CONFIG_PAGE = 100;
export const CONFIG_TEXT_LENGTH_MAX = 500;

// Pages over HTTP
/** Upper bounds of the buckets in which the time of rounds is counted. */
export const ROUND_BOUNDS_S: readonly number[] = [
  0.000_5,
  0.001,
  0.002_5,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.5,
  1,
  5,
];
/** Request lines and headers that are longer end the connection. */
export const HTTP_HEAD_BYTES_MAX = 8_192;
/** A request that isn't whole by then ends the connection. */
export const HTTP_REQUEST_TIMEOUT_MS = 10_000;
/** More connections to a node's pages are closed at once. */
export const HTTP_CONNECTIONS_MAX = 64;

// Judging a cluster
/** Less room on a node's disk is a warning, and less than the second a problem. */
export const DISK_FREE_BYTES_WARNING = 16 * RESERVE_BYTES;
export const DISK_FREE_BYTES_PROBLEM = 2 * RESERVE_BYTES;
/** How far the newest tid may be ahead of the clock of who looks. */
export const CLOCK_AHEAD_MS_MAX = 2_000;

// An admin's watch
/** So often it looks at each cluster, and so long it waits for the answer. */
export const MONITOR_LOOK_MS = 10_000;
export const MONITOR_LOOK_WITHIN_MS = 5_000;
/** A notice that couldn't be delivered is sent again after this time, then after twice of it and so on, and given up at last. */
export const NOTIFY_RETRY_MS = 5_000;
export const NOTIFY_TRIES_MAX = 8;
/** Who is told of notices, in one value of the configuration. */
export const NOTIFY_TARGETS_MAX = 20;
/** A receiver that takes longer has failed. */
export const NOTIFY_TIMEOUT_MS = 10_000;

/** So often a status that is watched is looked at. */
export const STATUS_WATCH_MS = 1_000;

// Sizes
/** Days whose sizes a storage remembers. */
export const SIZE_DAYS_MAX = 400;
/** Days over which growth is told. */
export const GROWTH_DAYS = 7;

// Operators
/** Actions that the masters' log keeps, those that are told at once, and the length of each text. */
export const AUDIT_ENTRIES_MAX = 1_000;
export const AUDIT_PAGE = 100;
export const AUDIT_TEXT_LENGTH_MAX = 300;
/** How long a primary waits for what storages tell of clients. */
export const ACTIVITY_TIMEOUT_MS = 2_000;
/** Objects whose conflicts a storage counts, transactions that it tells of, and objects that an operator is shown. */
export const CONFLICTS_COUNTED_MAX = 1_000;
export const ACTIVITY_ROWS_MAX = 1_000;
export const CONFLICTS_SHOWN = 20;

// A machine that neo runs on
/** Files that a process should be allowed to open: a client is one, and so is a peer. */
export const OPEN_FILES_MIN = 4_096;
/** The same, as units for the system's service manager say it. */
export const OPEN_FILES_UNIT = 65_536;

// Certificates
/** How far back certificates begin, because the clocks of machines differ. */
export const CERTIFICATE_BACKDATE_MS = 3_600_000;
/** How long a cluster's authority is valid. */
export const AUTHORITY_DAYS = 3_650;
/** How long a certificate is valid, unless told. */
export const CERTIFICATE_DAYS = 365;
/** The same, at most: as long as the authority that has signed it. */
export const CERTIFICATE_DAYS_MAX = AUTHORITY_DAYS;
/** Certificates that end sooner are told of as such. */
export const CERTIFICATE_WARN_DAYS = 30;
/** Certificates that can be revoked at once: as many as one value of the configuration takes. */
export const REVOKED_COUNT_MAX = 256;

/** A backup that has nothing to copy, or can't, looks again after this time. */
export const FOLLOW_AGAIN_MS = 5_000;
/** How long it waits for a word of its source. */
export const FOLLOW_SOURCE_MS = 10_000;
/** A follower that isn't let copy keeps what it would copy from being packed in the source for this long. */
export const FOLLOW_HOLDS_MS = 60_000;
/** Transactions that it reads while it commits others. */
export const FOLLOW_TRANSACTIONS_AHEAD = 16;
/** Transactions that it commits at once. */
export const FOLLOW_COMMITS_MAX = 16;
/** Objects of transactions that it has in memory at once, if it isn't one alone that has more. */
export const FOLLOW_OBJECTS_MAX = 1_000;
/** A backup that is further behind is a warning. */
export const BACKUP_BEHIND_MS_MAX = 60_000;

/** Transactions that are held in memory to list them backwards. */
export const BACKWARDS_TRANSACTIONS_MAX = 2_000;

/** How often a client that has snapshots open looks which is the oldest. */
export const FLOOR_LOOK_MS = 5_000;
