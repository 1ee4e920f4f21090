/** What SQLite's errors mean to neo. */
import { InvariantError } from "../core/errors.ts";
import { StoreFailedError, StoreOpenError, type StoreOpenReason } from "./store_errors.ts";

/** SQLite's result codes; the low byte of an extended code is its kind. */
const BUSY = 5;
const FULL = 13;
const CONSTRAINT = 19;
const NOT_A_DATABASE = 26;

/**
 * What a failed statement is to the caller: a full or broken disk, a row that was there already (our own mistake), or
 * what it was before, if it doesn't come from SQLite.
 */
export function failureOf(action: "read" | "write", path: string, error: unknown): unknown {
  const errcode = errcodeOf(error);
  if (errcode === undefined) return error;
  const kind = errcode & 0xff;
  if (kind === CONSTRAINT) {
    return new InvariantError("Broken invariant: a row becomes final once, and with all it has", {
      cause: error,
    });
  }
  return new StoreFailedError(action, path, { full: kind === FULL, errcode, cause: error });
}

/** Why a file couldn't be opened. */
export function openFailureOf(path: string, error: unknown): StoreOpenError {
  if (error instanceof StoreOpenError) return error;
  const errcode = error instanceof StoreFailedError ? error.errcode : errcodeOf(error);
  const kind = (errcode ?? 0) & 0xff;
  const reasons: { readonly [kind: number]: StoreOpenReason } = {
    [BUSY]: "inUse",
    [NOT_A_DATABASE]: "foreign",
  };
  return new StoreOpenError("open", path, reasons[kind] ?? "unreadable", { cause: error });
}

/** Whether a statement has failed because a row is there already. */
export function isConstraint(error: unknown): boolean {
  return ((errcodeOf(error) ?? 0) & 0xff) === CONSTRAINT;
}

function errcodeOf(error: unknown): number | undefined {
  const code: unknown = error instanceof Error && "errcode" in error ? error.errcode : undefined;
  return typeof code === "number" ? code : undefined;
}
