/** All keys of the configuration, by name. */
import { choice, configRoles, integer, list } from "./config_kinds.ts";
import type { ConfigKey } from "./config_kinds.ts";
import {
  BACKUP_BEHIND_MS_MAX,
  CACHE_BYTES_DEFAULT,
  CALL_TIMEOUT_MS_MAX,
  CERTIFICATE_DAYS_MAX,
  CERTIFICATE_WARN_DAYS,
  CLOCK_AHEAD_MS_MAX,
  COMPRESS_BYTES_MIN,
  COMPRESS_LEVEL,
  COPY_BYTES_PER_S_MIN,
  DISK_FREE_BYTES_PROBLEM,
  DISK_FREE_BYTES_WARNING,
  ERASE_PAUSE_MS,
  ERASE_ROWS,
  FAILOVER_GRACE_MS,
  KEEPALIVE_MS,
  LOCK_TIMEOUT_MS,
  LOCK_WAIT_MS,
  LOG_FILE_AGE_MS_MAX,
  LOG_FILE_BYTES_MAX,
  MONITOR_LOOK_MS,
  NODE_EXPIRY_MS,
  NOTIFY_TARGETS_MAX,
  NOTIFY_TRIES_MAX,
  OBJECT_BYTES_MAX,
  OID_BATCH,
  OUTCOME_WAIT_MS,
  PACK_QUIET_MS,
  PACK_ROWS_PER_S,
  POSTGRES_READERS,
  POSTGRES_RECONNECT_MS,
  POSTGRES_STATEMENT_TIMEOUT_MS,
  PRIMARY_KEEPALIVE_MS,
  READS_IN_FLIGHT_MAX,
  REQUEST_TIMEOUT_MS,
  RESERVE_BYTES,
  REVOKED_COUNT_MAX,
  SCRUB_BYTES_PER_S,
  SCRUB_PASS_MS,
  SQLITE_CACHE_BYTES,
  STARTUP_GRACE_MS,
  STOP_DEADLINE_MS,
  TRANSACTION_TIMEOUT_MS,
  TRANSACTION_TIMEOUT_MS_MIN,
  WRITE_TIMEOUT_MS,
} from "./limits.ts";
import { logLevels, logModules } from "./log_modules.ts";

const BYTES_MAX = 2 ** 50;
const YEAR_MS = 365 * 24 * 3_600_000;

const storages = ["storage"] as const;
const masters = ["master"] as const;
const clients = ["client"] as const;

/** The key with the fingerprints of certificates that are revoked. */
export const TLS_REVOKED = "tls.revoked";

/** The key with those who are told of notices. */
export const NOTIFY_TO = "notify.to";

/** A name, or an address in a form that no mail program reads in two ways. */
export const NOTIFY_WORD =
  /^(?:[A-Za-z][A-Za-z0-9_-]{0,31}|[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@[A-Za-z0-9][A-Za-z0-9.-]{0,189})$/;

/** All keys, by name. */
export const configKeys: readonly ConfigKey[] = [
  integer("check.certificateDaysWarning", CERTIFICATE_WARN_DAYS, {
    unit: "days",
    least: 0,
    most: CERTIFICATE_DAYS_MAX,
  }, {
    roles: ["admin"],
    clusterOnly: true,
    description: "A certificate that ends sooner is a warning",
  }),
  integer(
    "check.backupBehindMsMax",
    BACKUP_BEHIND_MS_MAX,
    { unit: "ms", least: 1_000, most: CALL_TIMEOUT_MS_MAX },
    {
      roles: ["admin"],
      clusterOnly: true,
      description: "A backup that is further behind the cluster that it follows is a warning",
    },
  ),
  integer(
    "check.clockAheadMsMax",
    CLOCK_AHEAD_MS_MAX,
    { unit: "ms", least: 100, most: CALL_TIMEOUT_MS_MAX },
    {
      roles: ["admin"],
      clusterOnly: true,
      description: "A newest transaction that is further ahead of the clock of who looks is a warning",
    },
  ),
  integer("check.diskBytesProblem", DISK_FREE_BYTES_PROBLEM, { unit: "bytes", least: 0, most: BYTES_MAX }, {
    roles: ["admin"],
    clusterOnly: true,
    description: "Less room on a node's disk is a problem",
  }),
  integer("check.diskBytesWarning", DISK_FREE_BYTES_WARNING, { unit: "bytes", least: 0, most: BYTES_MAX }, {
    roles: ["admin"],
    clusterOnly: true,
    description: "Less room on a node's disk is a warning",
  }),
  integer("client.cacheBytes", CACHE_BYTES_DEFAULT, { unit: "bytes", least: 0, most: BYTES_MAX }, {
    roles: clients,
    description: "Memory of a client's cache, where its program doesn't say",
  }),
  integer(
    "client.compressBytesMin",
    COMPRESS_BYTES_MIN,
    { unit: "bytes", least: 0, most: OBJECT_BYTES_MAX },
    {
      roles: clients,
      description: "Smaller data isn't compressed",
    },
  ),
  integer("client.callTimeoutMs", REQUEST_TIMEOUT_MS, { unit: "ms", least: 100, most: CALL_TIMEOUT_MS_MAX }, {
    roles: clients,
    description: "How long a call may take, where the program doesn't say",
  }),
  choice("client.compression", ["deflate", "none"], {
    default: "deflate",
    roles: clients,
    description: "How clients compress what they store",
  }),
  integer("client.compressionLevel", COMPRESS_LEVEL, { unit: "", least: 1, most: 9 }, {
    roles: clients,
    description: "How hard they compress: 1 is the fastest, 9 gives the smallest data",
  }),
  choice("client.hedgedReads", ["true", "false"], {
    default: "false",
    roles: clients,
    description: "Whether a slow read asks a second copy, where the program doesn't say",
  }),
  integer("client.oidBatch", OID_BATCH, { unit: "", least: 1, most: 100_000 }, {
    roles: clients,
    description: "Object ids that a client takes from the primary at once",
  }),
  integer("client.outcomeWaitMs", OUTCOME_WAIT_MS, { unit: "ms", least: 100, most: CALL_TIMEOUT_MS_MAX }, {
    roles: clients,
    description: "How long a client asks for the outcome of a commit whose own time is over",
  }),
  integer("client.readsInFlight", READS_IN_FLIGHT_MAX, { unit: "", least: 1, most: 1_000 }, {
    roles: clients,
    description: "Reads that a client has under way at one storage; others wait",
  }),
  integer("log.fileAgeMsMax", LOG_FILE_AGE_MS_MAX, { unit: "ms", least: 60_000, most: YEAR_MS }, {
    roles: ["master", "storage", "admin"],
    description: "A log file that is older is turned over",
  }),
  integer("log.fileBytesMax", LOG_FILE_BYTES_MAX, { unit: "bytes", least: 2 ** 16, most: 2 ** 40 }, {
    roles: ["master", "storage", "admin"],
    description: "A log file that would be larger is turned over; the one before it goes",
  }),
  choice("log.level", logLevels, {
    default: "info",
    roles: ["master", "storage", "admin"],
    description: "The lowest level that a node logs",
  }),
  list("log.levels", {
    pattern: new RegExp(`^(${logModules.join("|")})=(?:${logLevels.join("|")})$`),
    rule: `MODULE=LEVEL of the modules ${logModules.join(", ")} and the levels ${logLevels.join(", ")}`,
  }, {
    most: logModules.length,
    roles: ["master", "storage", "admin"],
    description: "The same of modules, where it differs, such as `elections=debug connections=warning`",
  }),
  integer("master.failoverGraceMs", FAILOVER_GRACE_MS, { unit: "ms", least: 0, most: CALL_TIMEOUT_MS_MAX }, {
    roles: masters,
    description: "How long absent storages are waited for when operation was lost",
  }),
  integer("master.lockTimeoutMs", LOCK_TIMEOUT_MS, { unit: "ms", least: 100, most: CALL_TIMEOUT_MS_MAX }, {
    roles: masters,
    description: "A storage that doesn't lock an accepted transaction for this long is lost",
  }),
  integer("master.nodeExpiryMs", NODE_EXPIRY_MS, { unit: "ms", least: 1_000, most: 10 * YEAR_MS }, {
    roles: masters,
    description: "A storage without cells that isn't there is forgotten after this time",
  }),
  integer("master.packQuietMs", PACK_QUIET_MS, { unit: "ms", least: 0, most: CALL_TIMEOUT_MS_MAX }, {
    roles: masters,
    description: "How long no pack is begun after a recovery: clients may come back with what they have open",
  }),
  integer("master.startupGraceMs", STARTUP_GRACE_MS, { unit: "ms", least: 0, most: CALL_TIMEOUT_MS_MAX }, {
    roles: masters,
    description: "How long absent storages are waited for when the cluster starts",
  }),
  integer("master.stopDeadlineMs", STOP_DEADLINE_MS, { unit: "ms", least: 0, most: CALL_TIMEOUT_MS_MAX }, {
    roles: masters,
    description: "How long finishes are served after a stop was asked for",
  }),
  list(NOTIFY_TO, {
    pattern: NOTIFY_WORD,
    rule: "names of targets in the admin's watch.toml, and mail addresses such as ops@example.org",
  }, {
    most: NOTIFY_TARGETS_MAX,
    clusterOnly: true,
    roles: ["admin"],
    description: "Who gets an admin's notices; where it isn't set, all targets of its watch.toml",
  }),
  integer("notify.triesMax", NOTIFY_TRIES_MAX, { unit: "", least: 1, most: 20 }, {
    roles: ["admin"],
    description: "How often a notice is sent that can't be delivered, before it is given up",
  }),
  integer("peer.keepaliveMs", KEEPALIVE_MS, { unit: "ms", least: 100, most: CALL_TIMEOUT_MS_MAX }, {
    roles: configRoles,
    description:
      "Silence after which a peer is asked whether it is there; three times unanswered, it is lost",
  }),
  integer("peer.primaryKeepaliveMs", PRIMARY_KEEPALIVE_MS, { unit: "ms", least: 100, most: 60_000 }, {
    roles: configRoles,
    description: "The same of a primary, where there are several masters, and between masters",
  }),
  integer("peer.writeTimeoutMs", WRITE_TIMEOUT_MS, { unit: "ms", least: 100, most: CALL_TIMEOUT_MS_MAX }, {
    roles: configRoles,
    description: "A peer that takes nothing of what is sent to it for this long is dropped",
  }),
  integer("storage.copyBytesPerS", 0, { unit: "bytes/s", least: 0, most: BYTES_MAX }, {
    roles: storages,
    description: "How fast a storage copies what it lacks; 0 is as fast as it can",
  }),
  integer("storage.copyBytesPerSMin", COPY_BYTES_PER_S_MIN, { unit: "bytes/s", least: 1, most: BYTES_MAX }, {
    roles: storages,
    description: "How fast it copies at least when a partition has one readable copy left",
  }),
  integer("storage.erasePauseMs", ERASE_PAUSE_MS, { unit: "ms", least: 1, most: 60_000 }, {
    roles: storages,
    description: "The pause between two slices of rows of a discarded cell that are deleted",
  }),
  integer("storage.eraseRows", ERASE_ROWS, { unit: "", least: 1, most: 100_000 }, {
    roles: storages,
    description: "Rows of a discarded cell that are deleted at once",
  }),
  integer("storage.lockWaitMs", LOCK_WAIT_MS, { unit: "ms", least: 100, most: CALL_TIMEOUT_MS_MAX }, {
    roles: storages,
    description: "How long a request waits at a storage: for the lock of its object, or for a newer table",
  }),
  integer("storage.packRowsPerS", PACK_ROWS_PER_S, { unit: "", least: 0, most: 1_000_000 }, {
    roles: storages,
    description: "How many revisions a second it deletes while it packs; 0: packs wait",
  }),
  integer("storage.postgresReaders", POSTGRES_READERS, { unit: "", least: 1, most: 64 }, {
    roles: storages,
    live: false,
    description: "Connections to PostgreSQL that only read",
  }),
  integer("storage.postgresReconnectMs", POSTGRES_RECONNECT_MS, {
    unit: "ms",
    least: 0,
    most: CALL_TIMEOUT_MS_MAX,
  }, {
    roles: storages,
    description: "How long a storage waits for a PostgreSQL server that is gone, before it ends",
  }),
  integer("storage.postgresStatementTimeoutMs", POSTGRES_STATEMENT_TIMEOUT_MS, {
    unit: "ms",
    least: 1_000,
    most: CALL_TIMEOUT_MS_MAX,
  }, {
    roles: storages,
    live: false,
    description: "A statement in PostgreSQL that takes longer fails, and with it the storage",
  }),
  integer("storage.reserveBytes", RESERVE_BYTES, { unit: "bytes", least: 0, most: BYTES_MAX }, {
    roles: storages,
    description: "Free bytes of the disk below which a storage takes no new store",
  }),
  integer("storage.scrubBytesPerS", SCRUB_BYTES_PER_S, { unit: "bytes/s", least: 1_024, most: BYTES_MAX }, {
    roles: storages,
    description: "How fast a storage looks whether its data still matches the checksums",
  }),
  integer("storage.scrubPassMs", SCRUB_PASS_MS, { unit: "ms", least: 60_000, most: YEAR_MS }, {
    roles: storages,
    description: "It looks at everything once in this time",
  }),
  integer(
    "storage.sqliteCacheBytes",
    SQLITE_CACHE_BYTES,
    { unit: "bytes", least: 2 ** 20, most: BYTES_MAX },
    {
      roles: storages,
      live: false,
      description: "Memory for pages of a storage's SQLite file",
    },
  ),
  integer("storage.transactionTimeoutMs", TRANSACTION_TIMEOUT_MS, {
    unit: "ms",
    least: TRANSACTION_TIMEOUT_MS_MIN,
    most: CALL_TIMEOUT_MS_MAX,
  }, {
    roles: storages,
    description: "How long a hanging client may hold locks; where it isn't set, neo.toml says it",
  }),
  list(TLS_REVOKED, { pattern: /^[0-9a-f]{64}$/, rule: "SHA-256 of public keys, 64 hexadecimal digits" }, {
    most: REVOKED_COUNT_MAX,
    clusterOnly: true,
    roles: configRoles,
    description: "Certificates that aren't believed any more; `neo tls revoke` adds to them",
  }),
  integer("watch.lookMs", MONITOR_LOOK_MS, { unit: "ms", least: 1_000, most: CALL_TIMEOUT_MS_MAX }, {
    roles: ["admin"],
    description: "How often an admin looks at the clusters that it watches",
  }),
];
