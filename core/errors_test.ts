import assert from "node:assert/strict";
import { test } from "node:test";
import {
  AbortedError,
  ConflictError,
  DatabaseError,
  errorCodes,
  invariant,
  InvariantError,
  LockTimeoutError,
  MalformedError,
  OutcomePendingError,
  RefusedError,
  unreachable,
  UnreachableError,
} from "./errors.ts";
import type { ErrorCode } from "./errors.ts";
import { toOid, toTid, toTtid } from "./ids.ts";
import type { Partition } from "./ids.ts";

const rows = Object.entries(errorCodes);

test("errorCodes has one number, one cause and one remedy a code (T2)", () => {
  for (const field of ["number", "cause", "remedy"] as const) {
    const values = rows.map(([, row]) => row[field]);
    const twice = values.filter((value, at) => values.indexOf(value) !== at);
    assert.deepEqual(twice, [], field);
  }
  for (const [code, { number, cause, remedy }] of rows) {
    assert.ok(Number.isSafeInteger(number) && number > 0, code);
    assert.ok(cause.length > 0 && remedy.length > 0, code);
  }
});

test("errorCodes knows no answer for a node that isn't ready: it makes its peers wait (T2)", () => {
  assert.deepEqual(rows.map(([code]) => code).filter((code) => /ready|retryLater|busy/i.test(code)), []);
});

test("errorCodes tells apart why an identification fails (T2)", () => {
  const causes: ErrorCode[] = ["wrongVersion", "wrongCluster", "wrongRole", "wrongNode", "unknownNode"];
  for (const code of causes) assert.ok(code in errorCodes, code);
});

const conflict = { oid: toOid(7n), base: toTid(3n), saved: toTid(5n) };
const classes = [
  {
    error: new ConflictError([conflict]),
    code: "conflict",
    message:
      "Cannot commit: object 7 changed at tid 0000000000000005 after 0000000000000003; read again and retry",
    facts: { conflicts: [conflict] },
  },
  {
    error: new ConflictError([conflict, conflict, conflict]),
    code: "conflict",
    message:
      "Cannot commit: object 7 changed at tid 0000000000000005 after 0000000000000003 and 2 more did; read again and retry",
    facts: { conflicts: [conflict, conflict, conflict] },
  },
  {
    error: new LockTimeoutError(toOid(7n), toTtid(9n)),
    code: "lockTimeout",
    message: "Cannot lock object 7: transaction 9 holds it; retry",
    facts: { oid: 7n, holder: 9n },
  },
  {
    error: new OutcomePendingError(toTtid(9n), 3 as Partition),
    code: "outcomePending",
    message: "Cannot tell yet whether transaction 9 is committed: what knows it is away; ask again",
    facts: { ttid: 9n, home: 3 },
  },
  { error: new AbortedError("Cannot x: y"), code: "aborted", message: "Cannot x: y", facts: {} },
  { error: new MalformedError("Cannot x: y"), code: "malformed", message: "Cannot x: y", facts: {} },
  { error: new UnreachableError("Cannot x: y"), code: "timedOut", message: "Cannot x: y", facts: {} },
  {
    error: new UnreachableError("Cannot x: y", { code: "lost" }),
    code: "lost",
    message: "Cannot x: y",
    facts: {},
  },
  {
    error: new RefusedError("wrongRole", "Cannot x: y"),
    code: "wrongRole",
    message: "Cannot x: y",
    facts: {},
  },
];
for (const { error, code, message, facts } of classes) {
  test(`${error.name} with code ${code} is a DatabaseError with its facts as fields: ${message}`, () => {
    assert.ok(error instanceof DatabaseError && error instanceof Error);
    assert.equal(error.name, error.constructor.name);
    assert.equal(error.code, code);
    assert.equal(error.message, message);
    for (const [name, value] of Object.entries(facts)) {
      assert.deepEqual(error[name as keyof typeof error], value, name);
    }
  });
}

test("DatabaseError passes its cause on", () => {
  const cause = new Error("disk");
  assert.equal(new DatabaseError("ioError", "Cannot save: disk", { cause }).cause, cause);
  assert.equal(new ConflictError([], { cause }).cause, cause);
});

test("invariant() says the rule that is broken, and nothing when it holds", () => {
  invariant(true, "tids only grow");
  assert.throws(() => invariant(false, "tids only grow"), {
    name: "InvariantError",
    message: "Broken invariant: tids only grow",
  });
});

test("InvariantError is no DatabaseError: no caller is meant to handle it", () => {
  assert.ok(!(new InvariantError("x") instanceof DatabaseError));
  assert.throws(() => unreachable("surprise" as never), InvariantError);
});
