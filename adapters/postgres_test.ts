/** PostgreSQL keeps what every store promises (T33), and what only a server has. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { MalformedError } from "../core/errors.ts";
import { testDatabase } from "../tests/conformance/database.ts";
import {
  bytesOf,
  commit,
  Driver,
  IDENTITY,
  noteOf,
  oidOf,
  store,
  ttidOf,
  vote,
} from "../tests/conformance/database_kit.ts";
import { cutConnections, newSchema, postgresKit, withServer } from "../tests/postgres_kit.ts";
import { postgresServer } from "../tests/postgres_server.ts";
import type { PostgresServer } from "../tests/postgres_server.ts";
import { createPostgres, openPostgres } from "./postgres.ts";
import { PostgresStore } from "./postgres_store.ts";
import type { Statements } from "./postgres_store.ts";
import { postgresPlace } from "./postgres_uri.ts";
import { StoreFailedError, StoreOpenError } from "./store_errors.ts";

const HOSTILE = [
  "'; DROP TABLE obj; --",
  '"',
  "\\",
  "$1",
  "\u0000",
  "\\x00",
  "{a,b}",
  "\u202e",
  "NULL",
  "%s",
];

const RESUME = "INSERT INTO resume (partition, since, tid) VALUES ($1, 0, 0)";

test("postgresPlace() takes no name that could be more than a name (T32)", () => {
  for (const schema of ["", "S", "a-b", "a;b", 'a"b', "1a", "pg_temp", ...HOSTILE]) {
    const uri = `postgres://h/db?schema=${encodeURIComponent(schema)}`;
    assert.throws(() => postgresPlace(uri), MalformedError, schema);
  }
  assert.throws(() => postgresPlace("mysql://h/db?schema=a"), /expected postgres:/);
  assert.throws(
    () => postgresPlace("postgres://u:secret@h/db"),
    ({ message }: Error) => !message.includes("secret") && message.includes("schema"),
  );
  const withSecret = [
    "//u:secret@[::1/db",
    "/u:secret@h/db",
    "//u@h/db?schema=a&password=secret",
    "//h/db?schema=a&pass=secret",
  ];
  for (const rest of withSecret) {
    assert.throws(
      () => postgresPlace(`postgres:${rest}`),
      (error: Error) => error instanceof MalformedError && !error.message.includes("secret"),
      rest,
    );
  }
});

const found = await postgresServer();
if ("reason" in found) test("PostgreSQL (T33)", { skip: found.reason }, () => {});
else {
  after(() => found.server.end());
  const { url } = found.server;
  testDatabase("PostgreSQL", (identity) => postgresKit(url, identity));
  testServer(found.server);
}

/** What only a server has. */
function testServer({ url }: PostgresServer): void {
  const uriOf = (schema: string): string => `${url}?schema=${schema}`;

  test("PostgreSQL keeps hostile texts and bytes in every field as they are (T32)", async () => {
    for (const text of HOSTILE) {
      const schema = newSchema();
      const identity = { ...IDENTITY, cluster: text, name: text, clusterId: text, diskId: text };
      const kit = postgresKit(url, identity);
      try {
        const database = await kit.open();
        assert.deepEqual(database.state.identity, identity, schema);
        const db = new Driver(database);
        const note = { ...noteOf(text, [oidOf(1)]), user: bytesOf(text), description: bytesOf(text) };
        const ttid = ttidOf(7);
        await db.save(store(ttid, oidOf(1), text), vote(ttid, note), { op: "lock", ttid, tid: 9n as never });
        await db.save({ op: "unlock", ttid, tid: 9n as never });
        assert.equal(await db.text(1), text);
        const query = { read: "transactions", partitions: [0], after: 0n, upTo: 99n, count: 9 } as never;
        const { transactions: [found] } = await db.ask<"transactions">(query);
        assert.deepEqual([found?.user, found?.description, found?.extension], [
          note.user,
          note.description,
          note.extension,
        ]);
      } finally {
        await kit.end();
      }
    }
  });

  test("PostgreSQL: what isn't there, isn't ours, or is too new is refused with the reason (T33)", async () => {
    const refused = (reason: string) => (error: unknown): boolean => {
      assert.ok(error instanceof StoreOpenError, String(error));
      return assert.equal(error.reason, reason, error.message) ?? true;
    };
    const schema = newSchema();
    await assert.rejects(openPostgres(uriOf(schema)), refused("missing"));
    await createPostgres(uriOf(schema), IDENTITY);
    await assert.rejects(createPostgres(uriOf(schema), IDENTITY), refused("exists"));
    await withServer(
      url,
      async (sql) => void await sql.unsafe(`UPDATE ${schema}.meta SET value = '99' WHERE name = 'schema'`),
    );
    await assert.rejects(openPostgres(uriOf(schema)), refused("newer"));
    await withServer(url, async (sql) => void await sql.unsafe(`DROP TABLE ${schema}.meta`));
    await assert.rejects(openPostgres(uriOf(schema)), refused("foreign"));
    await withServer(url, async (sql) => void await sql.unsafe(`DROP SCHEMA ${schema} CASCADE`));
    await assert.rejects(
      openPostgres(`postgres://postgres@127.0.0.1:1/x?schema=${schema}`),
      refused("unreachable"),
    );
  });

  test("PostgreSQL: a round that loses its connection at any moment ends, with nothing done (T33, C1)", async () => {
    const schema = newSchema();
    const place = postgresPlace(uriOf(schema));
    await PostgresStore.create(place, {});
    const rows = (statements: Statements): void => {
      for (let at = 0; at < 150; at++) statements.run(RESUME, at); // more than the client sends at once
    };
    const cut = (): Promise<void> => cutConnections(url, schema);
    let cutting: Promise<void> | undefined;
    const rounds: readonly ((statements: Statements) => void | Promise<void>)[] = [
      async (statements) => {
        await statements.all("SELECT 1");
        await cut();
        rows(statements);
      },
      async (statements) => {
        rows(statements);
        await cut();
        await statements.all("SELECT 1");
      },
      (statements) => {
        statements.run("SELECT pg_sleep(60)");
        rows(statements);
        cutting = cut();
      },
    ];
    for (const round of rounds) {
      const store = await PostgresStore.open(place);
      await assert.rejects(store.apply(round, true), StoreFailedError);
      await cutting;
      assert.ok(store.lost);
      await assert.rejects(store.apply(rows, true), StoreFailedError);
      const next = await PostgresStore.open(place);
      assert.equal((await next.all("SELECT * FROM resume")).length, 0);
      await store.close();
      await next.close();
    }
    await PostgresStore.drop(place);
  });

  test("PostgreSQL: a statement that fails while its round asks for more fails the round, and nothing else (T33)", async () => {
    const place = postgresPlace(uriOf(newSchema()));
    await PostgresStore.create(place, {});
    const store = await PostgresStore.open(place);
    const round = async (statements: Statements): Promise<void> => {
      statements.run("SELECT 1 / 0");
      await withServer(url, async (sql) => void await sql`SELECT 1`);
      await statements.all("SELECT 1");
    };
    await assert.rejects(store.apply(round, true), StoreFailedError);
    await store.close();
    await PostgresStore.drop(place);
  });

  test("PostgreSQL: a lost connection ends the use of the database: another may own it by now (T33, C1)", async () => {
    const schema = newSchema();
    await createPostgres(uriOf(schema), IDENTITY);
    const db = new Driver(await openPostgres(uriOf(schema)));
    await db.save(...commit(1, [[1, "one"]]));
    await cutConnections(url, schema);
    const next = new Driver(await openPostgres(uriOf(schema)));
    await assert.rejects(db.save(...commit(2, [[1, "two"]])), StoreFailedError);
    await assert.rejects(db.text(1), StoreFailedError);
    assert.equal(await next.text(1), "one");
    await next.save(...commit(3, [[1, "three"]]));
    await db.database.close();
    await next.database.close();
    await withServer(url, async (sql) => void await sql.unsafe(`DROP SCHEMA ${schema} CASCADE`));
  });
}
