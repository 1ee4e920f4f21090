import assert from "node:assert/strict";
import { test } from "node:test";
import { StoreOpenError } from "../adapters/store_errors.ts";
import { InvariantError, RefusedError, UnreachableError } from "../core/errors.ts";
import { FileFormatError } from "../core/records.ts";
import { CliError, reportOf } from "./exit.ts";

function system(code: string): Error {
  return Object.assign(new Error(`${code}: something`), { code });
}

const cases: readonly { error: unknown; code: string; exitCode: number }[] = [
  { error: new CliError("usage", "x"), code: "usage", exitCode: 2 },
  { error: new CliError("notRunning", "x"), code: "notRunning", exitCode: 3 },
  { error: new CliError("degraded", "x"), code: "degraded", exitCode: 4 },
  { error: new UnreachableError("x"), code: "timedOut", exitCode: 5 },
  { error: new UnreachableError("x", { code: "lost" }), code: "lost", exitCode: 5 },
  { error: new RefusedError("wrongCluster", "x"), code: "wrongCluster", exitCode: 6 },
  { error: new RefusedError("tidTaken", "x"), code: "tidTaken", exitCode: 6 },
  { error: new RefusedError("oidUnknown", "x"), code: "oidUnknown", exitCode: 7 },
  { error: new CliError("security", "x"), code: "security", exitCode: 8 },
  { error: new RefusedError("outcomePending", "x"), code: "outcomePending", exitCode: 10 },
  { error: new CliError("interrupted", "x"), code: "interrupted", exitCode: 130 },
  { error: new StoreOpenError("open", "x", "inUse"), code: "failed", exitCode: 1 },
  {
    error: new FileFormatError("read", { file: "x", byte: 1 }, "it is torn", "salvage it"),
    code: "malformed",
    exitCode: 1,
  },
  { error: system("ENOENT"), code: "ENOENT", exitCode: 7 },
  { error: system("EACCES"), code: "EACCES", exitCode: 1 },
  { error: new InvariantError("x"), code: "internal", exitCode: 1 },
  { error: new TypeError("Cannot read properties of undefined"), code: "internal", exitCode: 1 },
];
for (const { error, code, exitCode } of cases) {
  const name = error instanceof Error ? `${error.name} ${code}` : code;
  test(`reportOf() gives ${exitCode} for ${name}`, () => {
    const report = reportOf(error);

    assert.equal(report.exitCode, exitCode);
    assert.equal(report.code, code);
  });
}
