/** How the connections of a PostgreSQL store share the work: who writes, who reads, what waits for what (T33). */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { LAZY_FLUSH_MS } from "../core/limits.ts";
import { asked, cutConnections, newSchema, withServer } from "../tests/postgres_kit.ts";
import { postgresServer } from "../tests/postgres_server.ts";
import { TcpProxy } from "../tests/proxy.ts";
import { PostgresStore } from "./postgres_store.ts";
import type { PostgresOptions } from "./postgres_store.ts";
import { postgresPlace } from "./postgres_uri.ts";
import { StoreFailedError, StoreOpenError } from "./store_errors.ts";

const RESUME = "INSERT INTO resume (partition, since, tid) VALUES ($1, 0, 0)";
/** Ends by itself after all that a test waits for. */
const HANG = "SELECT pg_sleep(50)";

/** Of one round: as many as hundreds of small transactions need. */
const STATEMENTS = 1_000;

const found = await postgresServer();
if ("reason" in found) test("the connections of a PostgreSQL store (T33)", { skip: found.reason }, () => {});
else {
  after(() => found.server.end());
  testReaders(found.server.url);
  testWriter(found.server.url);
  testFlushes(found.server.url);
}

/** A store in a schema of its own, for one test. */
async function withStore(
  url: string,
  options: PostgresOptions,
  body: (store: PostgresStore, schema: string) => Promise<void>,
): Promise<void> {
  const schema = newSchema();
  const place = postgresPlace(`${url}?schema=${schema}`);
  await PostgresStore.create(place, {});
  const store = await PostgresStore.open(place, options);
  try {
    await body(store, schema);
  } finally {
    await cutConnections(url, schema); // nothing hangs on
    await store.close().catch(() => undefined); // what failed was told to the test
    await withServer(url, async (sql) => void await sql.unsafe(`DROP SCHEMA ${schema} CASCADE`));
  }
}

function testReaders(url: string): void {
  test("PostgresStore: connections that read can't write, one statement as little as a look (T33)", async () => {
    await withStore(url, {}, async (store) => {
      const refused = (error: unknown): boolean => {
        assert.ok(error instanceof StoreFailedError);
        return assert.match(String(error.cause), /read-only transaction/) ?? true;
      };
      await assert.rejects(store.all(RESUME, 1), refused);
    });
    await withStore(url, {}, async (store) => {
      await assert.rejects(store.look((view) => view.all(RESUME, 1)), /read-only transaction/);
    });
  });

  test("PostgresStore: as many reads as it has readers are under way at once, and a round waits for none of them (T33)", async () => {
    await withStore(url, { readers: 3 }, async (store, schema) => {
      const reads = [1, 2, 3].map(() => assert.rejects(store.all(HANG), StoreFailedError));
      await asked(url, schema, HANG, 3);
      await store.apply((statements) => statements.run(RESUME, 1), true);
      await cutConnections(url, schema);
      await Promise.all(reads);
    });
  });
}

function testWriter(url: string): void {
  test("PostgresStore: rounds are done one after another, each sees all of the one before it (T33, C1)", async () => {
    await withStore(url, {}, async (store) => {
      const gate = Promise.withResolvers<void>();
      const story: string[] = [];
      const first = store.apply(async (statements) => {
        story.push("first");
        await gate.promise;
        statements.run(RESUME, 1);
        story.push("first ends");
      }, true);
      const second = store.apply(async (statements) => {
        story.push("second");
        const rows = await statements.all("SELECT * FROM resume");
        story.push(`sees ${rows.length}`);
      }, true);
      await store.all("SELECT 1"); // what could have begun has
      gate.resolve();
      await Promise.all([first, second]);
      assert.deepEqual(story, ["first", "first ends", "second", "sees 1"]);
    });
  });

  test("PostgresStore: the statements of a round don't wait for one another's answers (T33)", async () => {
    const { host } = new URL(url);
    const proxy = await TcpProxy.start(host);
    await withStore(url.replace(host, proxy.address), {}, async (store, schema) => {
      // a text that the server doesn't know yet is answered first, once a connection
      await store.apply((statements) => statements.run(RESUME, STATEMENTS), true);
      proxy.hold("toClient");
      const round = assert.rejects(
        store.apply((statements) => {
          for (let at = 0; at < STATEMENTS; at++) statements.run(RESUME, at);
          statements.run(HANG);
        }, true),
        StoreFailedError,
      );
      try {
        await asked(url, schema, HANG); // though nothing was answered
      } finally {
        proxy.release();
      }
      await cutConnections(url, schema);
      await round;
    });
    await proxy.close();
  });

  test("PostgresStore: the server ends a statement that takes longer than it may, in a round and in a read (T33)", async () => {
    const short = { statementTimeoutMs: 100 };
    const isLate = ({ cause }: Error): boolean => /statement timeout/.test(String(cause));
    await withStore(url, short, async (store) => {
      await assert.rejects(store.apply((statements) => statements.run(HANG), true), isLate);
    });
    await withStore(url, short, async (store) => {
      await assert.rejects(store.all(HANG), isLate);
    });
  });

  test("PostgresStore: one process at a time has a schema open; another of the same server is no hindrance (T33, C3)", async () => {
    await withStore(url, {}, async (_, schema) => {
      const inUse = (error: unknown): boolean => error instanceof StoreOpenError && error.reason === "inUse";
      await assert.rejects(PostgresStore.open(postgresPlace(`${url}?schema=${schema}`)), inUse);
      await withStore(url, {}, (other) => other.apply((statements) => statements.run(RESUME, 1), true));
    });
  });
}

function testFlushes(url: string): void {
  const insertedAt = async (): Promise<string> =>
    await withServer(
      url,
      async (sql) => (await sql`SELECT pg_current_wal_insert_lsn()::text AS at`)[0]!["at"],
    );
  const isFlushed = async (at: string): Promise<boolean> =>
    await withServer(
      url,
      async (sql) =>
        (await sql`SELECT pg_current_wal_flush_lsn() >= ${at}::text::pg_lsn AS done`)[0]!["done"],
    );

  test("PostgresStore: only durable rounds wait for the disk (T33, C1)", async () => {
    await withStore(url, {}, async (store) => {
      const modes: unknown[] = [];
      for (const durable of [false, true, true, false, true]) {
        await store.apply(async (statements) => {
          modes.push(...await statements.all("SHOW synchronous_commit"));
        }, durable);
      }
      assert.deepEqual(
        modes.map((row) => ({ ...row as object })),
        ["off", "on", "on", "off", "on"].map((mode) => ({ synchronous_commit: mode })),
      );
    });
  });

  test("PostgresStore: a durable round that changes nothing flushes those before it, and so does time (T33, C1)", async () => {
    const tasks: { readonly ms: number; readonly task: () => void }[] = [];
    const later = (ms: number, task: () => void): () => void => {
      tasks.push({ ms, task });
      return () => {};
    };
    await withStore(url, { later }, async (store) => {
      await store.apply((statements) => statements.run(RESUME, 1), false);
      const first = await insertedAt();
      await store.apply(() => {}, true);
      assert.ok(await isFlushed(first));

      await store.apply((statements) => statements.run(RESUME, 2), false);
      const second = await insertedAt();
      const flushes = tasks.filter(({ ms }) => ms === LAZY_FLUSH_MS);
      flushes.at(-1)!.task();
      await store.apply(() => {}, false); // after the round that flushes
      assert.ok(await isFlushed(second));
    });
  });
}
