/** What PostgreSQL's errors mean to neo. */
import { InvariantError } from "../core/errors.ts";
import { StoreFailedError, StoreOpenError } from "./store_errors.ts";

/** SQLSTATE codes: classes by their first two characters. */
const DISK_FULL = "53100";
const UNIQUE_VIOLATION = "23505";

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

/** Why a schema couldn't be opened or made. */
export function postgresOpenFailure(
  action: "open" | "create",
  shown: string,
  error: unknown,
): StoreOpenError {
  if (error instanceof StoreOpenError) return error;
  return new StoreOpenError(action, shown, "unreachable", { cause: error });
}

function codeOf(error: unknown): string | undefined {
  const code: unknown = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : undefined;
}
