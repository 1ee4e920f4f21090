/** Any history gives the same answers on PostgreSQL as in memory, over restarts and crashes too. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Database } from "../core/ports.ts";
import { testAnyHistory } from "../tests/conformance/database_any_history.ts";
import type { Lasting } from "../tests/conformance/database_any_history.ts";
import { IDENTITY } from "../tests/conformance/database_kit.ts";
import { postgresKit, withServer } from "../tests/postgres_kit.ts";
import { postgresServer } from "../tests/postgres_server.ts";

const found = await postgresServer();
const title =
  "PostgreSQL and memory answer every question alike after any history, and are as large (T33, T26, T55)";
if ("reason" in found) test(title, { skip: found.reason }, () => {});
else {
  const { server } = found;
  after(() => server.end());
  testAnyHistory(title, { open: () => Schema.made(server.url), numRuns: 20, looks: 11, counts: true });
}

/** Each row must have its data, and all data a row; parts belong to a manifest, or wait for one. */
const ODD_ROWS = `WITH used AS (
    SELECT data_id FROM obj WHERE data_id IS NOT NULL UNION ALL SELECT data_id FROM tobj WHERE data_id IS NOT NULL
  ),
  waits AS (SELECT data_id FROM tpart UNION ALL SELECT data_id FROM cpart)
  SELECT (SELECT count(*) FROM data WHERE id NOT IN (SELECT data_id FROM used))::int4 AS orphans,
    (SELECT count(*) FROM used WHERE data_id NOT IN (SELECT id FROM data))::int4 AS dangling,
    (SELECT count(*) FROM part WHERE data_id NOT IN
      (SELECT id FROM data WHERE compression = 2 UNION SELECT data_id FROM waits))::int4 AS "lostParts",
    (SELECT count(*) FROM waits WHERE data_id NOT IN (SELECT data_id FROM part)
      OR data_id IN (SELECT id FROM data))::int4 AS "oddWaits"`;

/** A schema of a server. */
class Schema implements Lasting {
  readonly #url: string;
  readonly #kit: ReturnType<typeof postgresKit>;
  database: Database;

  private constructor(url: string, kit: ReturnType<typeof postgresKit>, database: Database) {
    this.#url = url;
    this.#kit = kit;
    this.database = database;
  }

  static async made(url: string): Promise<Schema> {
    const kit = postgresKit(url, IDENTITY);
    return new Schema(url, kit, await kit.open());
  }

  async restart(how: "restart" | "crash"): Promise<void> {
    if (how === "crash") await this.#kit.crash();
    else await this.database.close();
    this.database = await this.#kit.open();
  }

  async end(): Promise<void> {
    await this.database.close();
    await withServer(this.#url, async (sql) => {
      await sql.unsafe(`SET search_path = ${this.#kit.schema}`);
      const [odd] = await sql.unsafe(ODD_ROWS);
      assert.deepEqual({ ...odd }, { orphans: 0, dangling: 0, lostParts: 0, oddWaits: 0 });
    });
  }

  async remove(): Promise<void> {
    await this.#kit.end();
  }
}
