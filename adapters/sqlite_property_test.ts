/** Any history gives the same answers on SQLite as in memory, over restarts and crashes too. */
import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Database } from "../core/ports.ts";
import { testAnyHistory } from "../tests/conformance/database_any_history.ts";
import type { Lasting } from "../tests/conformance/database_any_history.ts";
import { IDENTITY } from "../tests/conformance/database_kit.ts";
import { createDatabase, openDatabase } from "./sqlite.ts";

/** A SQLite database that lives through restarts, and through crashes that lose no byte. */
class Files implements Lasting {
  readonly #folder = mkdtempSync(join(tmpdir(), "neo-property-"));
  #life = 0;
  database: Database;

  constructor() {
    createDatabase(this.#path, IDENTITY);
    this.database = openDatabase(this.#path);
  }

  get #path(): string {
    return join(this.#folder, `${this.#life}.db`);
  }

  async restart(how: "restart" | "crash"): Promise<void> {
    const before = this.#path;
    if (how === "crash") {
      this.#life++;
      for (const suffix of ["", "-wal"]) {
        if (existsSync(before + suffix)) copyFileSync(before + suffix, this.#path + suffix);
      }
    }
    await this.database.close();
    this.database = openDatabase(this.#path);
  }

  /** Ends. Each row must have its data, and all data a row; parts belong to a manifest, or wait for one. */
  async end(): Promise<void> {
    await this.database.close();
    const connection = new DatabaseSync(this.#path);
    const rows = connection.prepare(
      `WITH used AS (
          SELECT data_id FROM obj WHERE data_id IS NOT NULL UNION ALL SELECT data_id FROM tobj WHERE data_id IS NOT NULL
        ),
        counted AS (SELECT data_id, count(*) AS rows FROM used GROUP BY data_id HAVING count(*) > 1),
        waits AS (SELECT data_id FROM tpart UNION ALL SELECT data_id FROM cpart)
        SELECT (SELECT count(*) FROM data WHERE id NOT IN (SELECT data_id FROM used)) AS orphans,
          (SELECT count(*) FROM used WHERE data_id NOT IN (SELECT id FROM data)) AS dangling,
          (SELECT count(*) FROM part WHERE data_id NOT IN
            (SELECT id FROM data WHERE compression = 2 UNION SELECT data_id FROM waits)) AS lostParts,
          (SELECT count(*) FROM waits WHERE data_id NOT IN (SELECT data_id FROM part)
            OR data_id IN (SELECT id FROM data)) AS oddWaits,
          (SELECT count(*) FROM (SELECT data_id, rows FROM counted EXCEPT SELECT data_id, rows FROM shared)) AS uncounted,
          (SELECT count(*) FROM (SELECT data_id, rows FROM shared EXCEPT SELECT data_id, rows FROM counted)) AS miscounted`,
    ).get();
    const nothing = { orphans: 0, dangling: 0, lostParts: 0, oddWaits: 0, uncounted: 0, miscounted: 0 };
    assert.deepEqual({ ...rows }, nothing);
    assert.equal(connection.prepare("PRAGMA integrity_check").get()?.["integrity_check"], "ok");
    connection.close();
  }

  remove(): Promise<void> {
    rmSync(this.#folder, { recursive: true });
    return Promise.resolve();
  }
}

testAnyHistory(
  "SQLite and memory answer every question alike after any history, and are as large (T26, T55)",
  {
    open: () => Promise.resolve(new Files()),
    numRuns: 100,
    looks: 1,
    counts: true,
  },
);
