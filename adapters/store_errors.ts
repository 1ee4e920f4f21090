/** What a store answers when its file can't be opened or written. */
import { DatabaseError } from "../core/errors.ts";

/** Why a file can't be opened or made. */
export type StoreOpenReason =
  | "missing"
  | "exists"
  | "foreign"
  | "inUse"
  | "newer"
  | "older"
  | "unreadable"
  | "unreachable"
  | "noDatabase"
  | "notAllowed";

const remedies: { readonly [R in StoreOpenReason]: readonly [what: string, todo: string] } = {
  missing: ["there is no such file", "check the path, or make it with `neo init`"],
  exists: ["something stands there already", "choose another place, or open it"],
  foreign: ["it isn't what neo makes for this role", "check the path"],
  inUse: ["another process has it open", "stop that process first"],
  newer: ["a newer neo wrote it", "open it with that version: going back isn't possible"],
  older: ["an older neo wrote it, and this one can't upgrade it", "open it with the version between"],
  unreachable: ["the PostgreSQL server can't be reached, or refuses", "look at the server and its log"],
  noDatabase: [
    "the PostgreSQL server has no such database",
    "make it there (CREATE DATABASE), or name another one",
  ],
  notAllowed: [
    "the PostgreSQL server doesn't allow this user that, or not with this password",
    "check the user, the password (its file, or PGPASSWORD), and that the user may CREATE in this database",
  ],
  unreadable: ["the system refuses to read or write it", "look at its owner and its disk"],
};

/** Of what others have said: the reader has nothing else to go by. */
const WITH_CAUSE: readonly StoreOpenReason[] = ["unreachable", "noDatabase", "notAllowed", "unreadable"];

/** A store that can't be opened or made; `reason` says why, `path` what. */
export class StoreOpenError extends Error {
  override name = "StoreOpenError";
  readonly reason: StoreOpenReason;
  readonly path: string;

  constructor(action: "open" | "create", path: string, reason: StoreOpenReason, options?: ErrorOptions) {
    const [what, todo] = remedies[reason];
    const cause = WITH_CAUSE.includes(reason) ? causeOf(options?.cause) : "";
    super(`Cannot ${action} ${JSON.stringify(path)}: ${what}${cause}; ${todo}`, options);
    this.reason = reason;
    this.path = path;
  }
}

/** What the system or the server said; the error of several addresses that were tried has no text of its own. */
function causeOf(cause: unknown): string {
  if (!(cause instanceof Error)) return "";
  const said = cause.message || ("code" in cause ? String(cause.code) : cause.name);
  return ` (${said})`;
}

/**
 * A store whose disk is full (`code` "noSpace") or failed (`code` "ioError"). Nothing is tried again: the store takes
 * no more calls, and what counts is what stands there when it is opened anew.
 */
export class StoreFailedError extends DatabaseError {
  override name = "StoreFailedError";
  readonly path: string;
  /** SQLite's extended result code, where it gave one. */
  readonly errcode: number | undefined;

  constructor(action: "read" | "write", path: string, failure: {
    readonly full: boolean;
    readonly errcode: number | undefined;
    readonly cause: unknown;
  }) {
    const { full, errcode, cause } = failure;
    const detail = cause instanceof Error ? cause.message : String(cause);
    const isServer = /^postgres(ql)?:/.test(path);
    const what = full ? "the disk is full" : isServer ? "the server failed" : "the disk or the file failed";
    const from = isServer ? "PostgreSQL" : `SQLite ${errcode ?? "without code"}`;
    const where = isServer ? "the server and its log" : "the disk and the system's log";
    const todo = full ? "free space on it, then start the node" : `look at ${where}`;
    super(
      full ? "noSpace" : "ioError",
      `Cannot ${action} ${JSON.stringify(path)}: ${what} (${from}: ${detail}); ${todo}`,
      { cause },
    );
    this.path = path;
    this.errcode = errcode;
  }
}
