/** How a command ends: exit codes, errors with a hint, and what each error of the database means to a shell. */
import { DatabaseError, errorCodes } from "../core/errors.ts";
import type { ErrorCode } from "../core/errors.ts";
import { FileFormatError } from "../core/records.ts";

/** Exit codes of every command, by name. They are a promise to scripts; texts are not. */
export const exitCodes = {
  /** Done; of `status`: healthy. */
  ok: 0,
  failed: 1,
  /** The command line or a configuration file is wrong. */
  usage: 2,
  /** Of `status`: the cluster doesn't run. */
  notRunning: 3,
  /** The cluster runs, but not as it should. */
  degraded: 4,
  /** The cluster can't be reached. */
  unreachable: 5,
  /** The state of the cluster, or of a folder, doesn't allow it. */
  refused: 6,
  notFound: 7,
  /** TLS or authorisation. */
  security: 8,
  /** The time of `--wait` is over; the operation goes on. */
  waiting: 10,
  interrupted: 130,
} as const;

/** Name of an exit code. */
export type Outcome = keyof typeof exitCodes;

/** What they mean, where a command doesn't say it better. */
export const exitMeanings: { readonly [O in Outcome]: string } = {
  ok: "done",
  failed: "failed; the message says why",
  usage: "the command line, or a file that it names, is wrong",
  notRunning: "the cluster doesn't run",
  degraded: "the cluster runs, but not as it should",
  unreachable: "the cluster can't be reached",
  refused: "the state of the cluster, or of a folder, doesn't allow it",
  notFound: "what is named isn't there",
  security: "a certificate or a right is missing",
  waiting: "the time of --wait is over; it goes on",
  interrupted: "interrupted",
};

/** An error that a command has foreseen. `hint` says what to do, in words that can be typed if possible. */
export class CliError extends Error {
  override name = "CliError";
  readonly outcome: Outcome;
  readonly hint: string;

  constructor(outcome: Outcome, message: string, options: ErrorOptions & { hint?: string } = {}) {
    super(message, options);
    this.outcome = outcome;
    this.hint = options.hint ?? "";
  }
}

/** What a shell learns from each cause. A new cause must be given its place here. */
const OUTCOMES: { readonly [C in ErrorCode]: Outcome } = {
  malformed: "failed",
  wrongVersion: "refused",
  wrongCluster: "refused",
  wrongRole: "refused",
  wrongNode: "refused",
  unknownNode: "refused",
  staleEpoch: "refused",
  staleTable: "refused",
  sessionEnded: "unreachable",
  notReadable: "refused",
  notAssigned: "refused",
  wrongPartition: "failed",
  badChecksum: "failed",
  oidUnknown: "notFound",
  noSuchRevision: "notFound",
  conflict: "refused",
  lockTimeout: "refused",
  noSpace: "refused",
  tooLarge: "refused",
  lacks: "failed",
  missing: "refused",
  incomplete: "refused",
  aborted: "refused",
  tidTaken: "refused",
  outcomePending: "waiting",
  unknownTransaction: "failed",
  denied: "refused",
  stopping: "refused",
  timedOut: "unreachable",
  lost: "unreachable",
  notPrimary: "unreachable",
  ioError: "failed",
  untrusted: "security",
  badUri: "usage",
  readOnly: "refused",
  packed: "notFound",
};

/** What is printed of an error: `code` is one word for programs, `hint` may be empty. */
export interface ErrorReport {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly exitCode: number;
}

/**
 * Turns whatever a command has thrown into what its user sees.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { DatabaseError } from "../core/errors.ts";
 * import { reportOf } from "./exit.ts";
 * assert.equal(reportOf(new DatabaseError("oidUnknown", "Cannot load object 7: there is none")).exitCode, 7);
 * ```
 */
export function reportOf(error: unknown): ErrorReport {
  if (error instanceof CliError) {
    const { outcome, message, hint } = error;
    return { code: outcome, message, hint, exitCode: exitCodes[outcome] };
  }
  if (error instanceof DatabaseError) {
    const { code, message } = error;
    // An error of a file, and a denial, say themselves what to do; the code's remedy is for what comes from a peer.
    const saysAll = error instanceof FileFormatError || code === "denied";
    const hint = saysAll ? "" : errorCodes[code].remedy;
    return { code, message, hint, exitCode: exitCodes[OUTCOMES[code]] };
  }
  const code = systemCodeOf(error);
  if (code !== undefined) {
    const exitCode = code === "ENOENT" ? exitCodes.notFound : exitCodes.failed;
    return { code, message: systemMessageOf(error as SystemError, code), hint: "", exitCode };
  }
  if (isForeseen(error)) {
    return { code: "failed", message: error.message, hint: "", exitCode: exitCodes.failed };
  }
  // Our own mistake: the place in the source is what its finder can report.
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: "internal", message, hint: "this is a bug of neo; please report it", exitCode: 1 };
}

/** What Node and Deno add to errors of the operating system. */
type SystemError = Error & { readonly syscall?: string; readonly path?: string };

const SYSTEM_CAUSES: { readonly [code: string]: string } = {
  ENOENT: "there is no such file or folder",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EISDIR: "it is a folder",
  ENOTDIR: "a part of its path is no folder",
  ENOSPC: "the disk is full",
  EROFS: "the file system is read-only",
};

function systemMessageOf({ message, syscall, path }: SystemError, code: string): string {
  const cause = SYSTEM_CAUSES[code];
  return cause === undefined || path === undefined ? message : `Cannot ${syscall ?? "use"} ${path}: ${cause}`;
}

/** Every error that neo has foreseen begins with "Cannot"; so do some of the language's own, which have a class. */
function isForeseen(error: unknown): error is Error {
  return error instanceof Error && !(error instanceof TypeError) && error.message.startsWith("Cannot ");
}

/** `ENOENT` and the like, if the error comes from the operating system. */
export function systemCodeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error) || error instanceof DatabaseError) return undefined;
  return typeof error.code === "string" && /^E[A-Z0-9]+$/.test(error.code) ? error.code : undefined;
}
