/** What is said to PostgreSQL for writes, without a server: how often, and that no value stands in it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { DatabaseWrite } from "../core/ports.ts";
import {
  bytesOf,
  finish,
  noteOf,
  oidOf,
  PARTITIONS,
  store,
  ttidOf,
  vote,
} from "../tests/conformance/database_kit.ts";
import { DataIds } from "./postgres_data.ts";
import type { Statements } from "./postgres_store.ts";
import { PostgresWriter } from "./postgres_writer.ts";

/** The statements that writes become, in a database without rows. */
async function statementsOf(writes: readonly DatabaseWrite[]): Promise<string[]> {
  const said: string[] = [];
  const statements: Statements = {
    run: (sql) => void said.push(sql),
    all: (sql) => Promise.resolve(void said.push(sql)).then(() => []),
  };
  await new PostgresWriter(PARTITIONS, new DataIds(1n)).write(statements, writes);
  return said;
}

/** One transaction that stores so many objects, with a text in every field that has one. */
function transaction(objects: number, text: string): DatabaseWrite[] {
  const ttid = ttidOf(7);
  const oids = Array.from({ length: objects }, (_, at) => oidOf(at + 1));
  const note = {
    ...noteOf(text, oids),
    status: text,
    user: bytesOf(text),
    description: bytesOf(text),
    extension: bytesOf(text),
  };
  return [...oids.map((oid) => store(ttid, oid, text)), vote(ttid, note), ...finish(ttid, 9)];
}

test("PostgresWriter: a transaction takes as many statements for 500 objects as for one (T33)", async () => {
  const [one, many] = [await statementsOf(transaction(1, "a")), await statementsOf(transaction(500, "a"))];
  assert.deepEqual(many, one);
});

test("PostgresWriter: values are bound, no statement differs by what is stored (T32, T33)", async () => {
  const hostile = "'); DROP TABLE obj; --\0\"\\$1{}%s";
  const writes = (text: string): DatabaseWrite[] => [
    { op: "registry", state: bytesOf(text) },
    { op: "image", image: bytesOf(text) },
    ...transaction(2, text),
  ];
  const said = await statementsOf(writes(hostile));
  assert.deepEqual(said, await statementsOf(writes("plain")));
  assert.deepEqual(said.filter((sql) => /DROP|\0/.test(sql)), []);
});
