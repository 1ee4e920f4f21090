/** What PostgreSQL's errors mean to neo. */
import { InvariantError } from "../core/errors.ts";
import { StoreFailedError, StoreOpenError } from "./store_errors.ts";
import type { StoreOpenReason } from "./store_errors.ts";

/** SQLSTATE codes: classes by their first two characters. */
const DISK_FULL = "53100";
const UNIQUE_VIOLATION = "23505";
const NO_DATABASE = "3D000";
const NO_PRIVILEGE = "42501";
/** Invalid authorization: no such user, a wrong password, not from this host. */
const NOT_AUTHORIZED_CLASS = "28";
/** Who makes a schema or gives one a name that is there already. */
const DUPLICATE_SCHEMA = "42P06";

/**
 * What a failed statement is to the caller: a full disk, a server that failed or went, a row that was there already (our own
 * mistake), or what it was before, if it doesn't come from PostgreSQL.
 */
export function postgresFailure(action: "read" | "write", shown: string, error: unknown): unknown {
  if (error instanceof StoreFailedError || error instanceof InvariantError) return error;
  const code = codeOf(error);
  if (code === undefined) return error;
  if (code === UNIQUE_VIOLATION) {
    return new InvariantError("Broken invariant: a row becomes final once, and with all it has", {
      cause: error,
    });
  }
  return new StoreFailedError(action, shown, { full: code === DISK_FULL, errcode: undefined, cause: error });
}

/** Why a schema couldn't be opened or made. Only what may pass by itself is `unreachable`: a node waits for that. */
export function postgresOpenFailure(
  action: "open" | "create",
  shown: string,
  error: unknown,
): StoreOpenError {
  if (error instanceof StoreOpenError) return error;
  const cause = error instanceof StoreFailedError ? error.cause : error;
  return new StoreOpenError(action, shown, reasonOf(codeOf(cause) ?? ""), { cause });
}

function reasonOf(code: string): StoreOpenReason {
  if (code === NO_DATABASE) return "noDatabase";
  if (code === NO_PRIVILEGE || code.startsWith(NOT_AUTHORIZED_CLASS)) return "notAllowed";
  return code === DUPLICATE_SCHEMA ? "exists" : "unreachable";
}

function codeOf(error: unknown): string | undefined {
  const code: unknown = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : undefined;
}
