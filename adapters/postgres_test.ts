/** PostgreSQL keeps what every store promises (T33), and what only a server has. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { MalformedError } from "../core/errors.ts";
import { POSTGRES_ANSWER_TIMEOUT_MS } from "../core/limits.ts";
import { testDatabase } from "../tests/conformance/database.ts";
import {
  bytesOf,
  commit,
  Driver,
  IDENTITY,
  noteOf,
  oidOf,
  PARTITIONS,
  store,
  ttidOf,
  vote,
} from "../tests/conformance/database_kit.ts";
import { asked, cutConnections, newSchema, postgresKit, withServer } from "../tests/postgres_kit.ts";
import { GUARDED, postgresServer } from "../tests/postgres_server.ts";
import type { PostgresServer } from "../tests/postgres_server.ts";
import { TcpProxy } from "../tests/proxy.ts";
import { createPostgres, openPostgres } from "./postgres.ts";
import { DataIds } from "./postgres_data.ts";
import { PostgresStore } from "./postgres_store.ts";
import type { Statements } from "./postgres_store.ts";
import { postgresPlace } from "./postgres_uri.ts";
import { PostgresWriter } from "./postgres_writer.ts";
import { StoreFailedError, StoreOpenError } from "./store_errors.ts";
import type { Later } from "./system.ts";

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
  testRefusals(found.server);
  testHanging(found.server);
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

  test("PostgreSQL: what isn't there, isn't ours, or is too new or too old is refused with the reason (T33)", async () => {
    const schema = newSchema();
    await assert.rejects(openPostgres(uriOf(schema)), refused("missing"));
    await createPostgres(uriOf(schema), IDENTITY);
    await assert.rejects(createPostgres(uriOf(schema), IDENTITY), refused("exists"));
    await withServer(
      url,
      async (sql) => void await sql.unsafe(`UPDATE ${schema}.meta SET value = '99' WHERE name = 'schema'`),
    );
    await assert.rejects(openPostgres(uriOf(schema)), refused("newer"));
    await withServer(
      url,
      async (sql) => void await sql.unsafe(`UPDATE ${schema}.meta SET value = '0' WHERE name = 'schema'`),
    );
    await assert.rejects(openPostgres(uriOf(schema)), refused("older"));
    await withServer(
      url,
      async (sql) => void await sql.unsafe(`DELETE FROM ${schema}.meta WHERE name = 'schema'`),
    );
    await assert.rejects(openPostgres(uriOf(schema)), refused("foreign"));
    await withServer(url, async (sql) => void await sql.unsafe(`DROP TABLE ${schema}.meta`));
    await assert.rejects(openPostgres(uriOf(schema)), refused("foreign"));
    await withServer(url, async (sql) => void await sql.unsafe(`DROP SCHEMA ${schema} CASCADE`));
    await assert.rejects(
      openPostgres(`postgres://postgres@127.0.0.1:1/x?schema=${schema}`),
      refused("unreachable"),
    );
  });

  test("PostgreSQL: a schema of version 1 gets its counters when it is opened, all or nothing (T33, T26, T55)", async () => {
    const schema = newSchema();
    await createPostgres(uriOf(schema), IDENTITY);
    const before = new Driver(await openPostgres(uriOf(schema)));
    await before.save(...commit(1, [[1, "one"], [2, "two"]]));
    await before.save(...commit(2, [[1, "newer"]]));
    const size = await before.ask<"size">({ read: "size" });
    assert.ok(size.bytes !== null && size.live !== null && size.bytes > size.live);
    await before.database.close();
    await withServer(url, async (sql) => {
      await sql.unsafe(`SET search_path = ${schema}`);
      await sql.unsafe("DROP TRIGGER rows_came ON obj; DROP TRIGGER rows_gone ON obj");
      await sql.unsafe(
        "DROP FUNCTION count_rows(); DROP TABLE size, size_day",
      );
      await sql.unsafe("UPDATE meta SET value = '1' WHERE name = 'schema'; CREATE TABLE size_day ()");
    });
    await assert.rejects(openPostgres(uriOf(schema)), /size_day/);
    await withServer(url, async (sql) => void await sql.unsafe(`DROP TABLE ${schema}.size_day`));
    const after = new Driver(await openPostgres(uriOf(schema)));
    const found = await after.ask<"size">({ read: "size" });
    assert.deepEqual([found.bytes, found.live], [size.bytes, size.live]);
    await after.save(...commit(3, [[2, "newest"]]));
    const more = await after.ask<"size">({ read: "size" });
    assert.ok(more.bytes! > size.bytes);
    await after.database.close();
    await withServer(url, async (sql) => void await sql.unsafe(`DROP SCHEMA ${schema} CASCADE`));
  });

  test("PostgreSQL: counting sizes takes a few looks an object, though its plan is that of small transactions (T33, T55)", async () => {
    const objects = 300;
    const place = postgresPlace(uriOf(newSchema()));
    await PostgresStore.create(place, {});
    const store = await PostgresStore.open(place);
    const writer = new PostgresWriter(PARTITIONS, new DataIds(1n));
    const looks = async (statements: Statements): Promise<number> => {
      const [found] = await statements.all<{ looks: bigint }>(
        "SELECT sum(idx_scan)::int8 AS looks FROM pg_stat_xact_user_tables WHERE schemaname = current_schema()",
      );
      return Number(found!.looks);
    };
    const cost = async (tid: number, count: number): Promise<number> => {
      let [before, after] = [0, 0];
      await store.apply(async (statements) => {
        before = await looks(statements);
        const texts = Array.from({ length: count }, (_, at) => [at + 1, `${tid}`] as const);
        await writer.write(statements, commit(tid, texts));
        after = await looks(statements);
      }, true);
      return after - before;
    };
    for (let tid = 1; tid <= 10; tid++) await cost(tid, 1); // plans are kept from the sixth use on
    const many = await cost(11, objects);
    assert.ok(many > 0 && many < objects * 10, `${many} looks for ${objects} objects`);
    await store.close();
    await PostgresStore.drop(place);
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

  test("PostgreSQL: a lost connection ends the use of the database: another may own it by now (T33, C1, C3)", async () => {
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

/** Who isn't let in learns why at once; only what passes by itself is `unreachable`, which a node waits for. */
function testRefusals({ url, foreign }: PostgresServer): void {
  test("PostgreSQL: a database that isn't there and a user whom the server doesn't know are told as such (T33)", async () => {
    const [noDatabase, noUser] = [new URL(url), new URL(url)];
    noDatabase.pathname = "/not_there";
    noUser.username = "nobody_of_this_name";
    for (const use of [openPostgres, (uri: string) => createPostgres(uri, IDENTITY)]) {
      await assert.rejects(use(`${noDatabase.href}?schema=s`), (error) => {
        refused("noDatabase")(error);
        return assert.match(String(error), /"not_there" does not exist\); make it there/) ?? true;
      });
    }
    if (foreign === undefined) {
      await assert.rejects(openPostgres(`${noUser.href}?schema=s`), refused("notAllowed"));
    }
  });

  test(
    "PostgreSQL: a wrong password and a missing right are told with what to do, and without the password (T33)",
    { skip: foreign ?? false },
    async () => {
      const uri = new URL(url);
      uri.username = GUARDED;
      const schema = newSchema();
      const place = `${uri.href}?schema=${schema}`;
      const run = (sql: string): Promise<void> =>
        withServer(url, async (server) => void await server.unsafe(sql));
      await run(`CREATE ROLE ${GUARDED} LOGIN PASSWORD 'right'`);
      for (const options of [{ password: "wrong-one" }, {}]) {
        await assert.rejects(openPostgres(place, options), (error) => {
          refused("notAllowed")(error);
          assert.match(String(error), /password authentication failed.*check the user, the password/);
          return assert.doesNotMatch(String(error), /wrong-one/) ?? true;
        });
      }
      const right = { password: "right" };
      await assert.rejects(
        createPostgres(place, IDENTITY, right),
        refused("notAllowed"),
        "may not make a schema",
      );
      const database = uri.pathname.slice(1);
      await run(`GRANT CREATE ON DATABASE ${database} TO ${GUARDED}`);
      await createPostgres(place, IDENTITY, right);
      const opened = await openPostgres(place, right);
      await opened.close();
      await run(`ALTER SCHEMA ${schema} OWNER TO postgres`);
      await assert.rejects(openPostgres(place, right), refused("notAllowed"), "another's schema");
      await run(`DROP SCHEMA ${schema} CASCADE; DROP OWNED BY ${GUARDED}; DROP ROLE ${GUARDED}`);
    },
  );
}

/** A server that takes what is said to it and answers nothing. */
function testHanging({ url }: PostgresServer): void {
  const setUp = async (uri: string) => {
    const timers = new Set<{ readonly ms: number; readonly task: () => void }>();
    const later: Later = (ms, task) => {
      const timer = { ms, task };
      timers.add(timer);
      return () => void timers.delete(timer);
    };
    /** Lets the time be over that a server has for an answer. */
    const beLate = (): void => {
      const late = [...timers].filter(({ ms }) => ms === POSTGRES_ANSWER_TIMEOUT_MS);
      assert.equal(late.length, 1, "one use at a time is watched");
      timers.delete(late[0]!);
      late[0]!.task();
    };
    const place = postgresPlace(uri);
    await PostgresStore.create(place, {});
    return { place, timers, beLate, store: await PostgresStore.open(place, { later }) };
  };

  test("PostgreSQL: a statement that hangs is ended, on the server too, and its round with nothing done; long rounds aren't (T33, C1)", async () => {
    const schema = newSchema();
    const { place, timers, beLate, store } = await setUp(`${url}?schema=${schema}`);
    await store.apply(async (statements) => {
      for (let at = 0; at < 3; at++) {
        await statements.all("SELECT 1");
        beLate(); // it has answered since
      }
    }, true);
    assert.ok(
      ![...timers].some(({ ms }) => ms === POSTGRES_ANSWER_TIMEOUT_MS),
      "nothing is watched between rounds",
    );
    const hanging = store.apply((statements) => {
      statements.run(RESUME, 1);
      statements.run("SELECT pg_sleep(50)");
    }, true);
    await asked(url, schema, "SELECT pg_sleep(50)");
    beLate(); // the row was answered
    beLate();
    await assert.rejects(hanging, /the server has answered nothing for 75 s/);
    assert.ok(store.lost);
    await assert.rejects(store.apply(() => {}, true), StoreFailedError);
    await store.close();
    await asked(url, schema, undefined);
    const next = await PostgresStore.open(place);
    assert.equal((await next.all("SELECT * FROM resume")).length, 0);
    await next.close();
    await PostgresStore.drop(place);
  });

  test("PostgreSQL: when the whole server is silent, its store ends and is closed all the same (T33, C1)", async () => {
    const { host } = new URL(url);
    const proxy = await TcpProxy.start(host);
    const schema = newSchema();
    const { beLate, store } = await setUp(`${url.replace(host, proxy.address)}?schema=${schema}`);
    proxy.hold();
    const hanging = store.apply((statements) => statements.run(RESUME, 1), true);
    await proxy.held("toTarget", 1);
    beLate();
    await assert.rejects(hanging, /has answered nothing/);
    await store.close();
    await proxy.close();
    const place = postgresPlace(`${url}?schema=${schema}`);
    await asked(url, schema, undefined);
    const next = await PostgresStore.open(place);
    await next.close();
    await PostgresStore.drop(place);
  });
}

function refused(reason: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof StoreOpenError, String(error));
    return assert.equal(error.reason, reason, error.message) ?? true;
  };
}
