/** Whatever a database holds, its copy on another adapter answers alike. */
import fc from "fast-check";
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { memoryDatabase } from "../adapters/memory.ts";
import { createDatabase, openDatabase } from "../adapters/sqlite.ts";
import type { Database } from "../core/ports.ts";
import { anyHistory, Author, questions } from "../tests/conformance/database_histories.ts";
import { IDENTITY, sha256 } from "../tests/conformance/database_kit.ts";
import { copyStore } from "./convert_store.ts";
import { CliError } from "./exit.ts";

test("copyStore() makes a copy that answers every question alike, on SQLite and back in memory, unless something is under way or broken (T33)", async () => {
  let [copied, refused] = [0, 0];
  await fc.assert(
    fc.asyncProperty(anyHistory, async (rounds) => {
      const disk = memoryDatabase(IDENTITY, sha256);
      const author = new Author();
      let memory = disk.open();
      for (const { steps } of rounds) {
        memory.apply(steps.flatMap((step) => author.writes(step)), { durable: true });
      }
      memory.close();
      memory = disk.open();
      author.reopened();
      const folder = mkdtempSync(join(tmpdir(), "neo-convert-"));
      try {
        createDatabase(join(folder, "s"), IDENTITY);
        let sqlite: Database = openDatabase(join(folder, "s"));
        const outcome = memory.state.held.length > 0
          ? "refused"
          : isWhole(memory, questions(author))
          ? undefined
          : "failed";
        if (outcome !== undefined) {
          refused += 1;
          await assert.rejects(
            copyStore(memory, sqlite),
            (error) => error instanceof CliError && error.outcome === outcome,
          );
          return await sqlite.close();
        }
        copied += 1;
        await copyStore(memory, sqlite);
        await sqlite.close();
        sqlite = openDatabase(join(folder, "s"));
        const back = memoryDatabase(IDENTITY, sha256);
        const first = back.open();
        await copyStore(sqlite, first);
        first.close();
        const again = back.open();
        assert.deepEqual(sqlite.state, memory.state);
        assert.deepEqual(again.state, memory.state);
        for (const query of questions(author)) {
          if (query.read === "marks") continue; // what was given up left its mark on the oids, and leaves none in a copy
          const expected = memory.read(query);
          assert.deepEqual(await sqlite.read(query), expected);
          assert.deepEqual(again.read(query), expected);
        }
        await sqlite.close();
      } finally {
        rmSync(folder, { recursive: true });
      }
    }),
    { numRuns: 60, seed: 55 },
  );
  assert.ok(copied > 5 && refused > 5, `${copied} copied, ${refused} refused`);
});

/** Whether all data is what its checksums say. */
function isWhole(database: Database, all: ReturnType<typeof questions>): boolean {
  return all.every((query) => {
    if (query.read !== "scrub") return true;
    const found = database.read(query);
    return !(found instanceof Promise) && found.read === "scrub" && found.broken.length === 0;
  });
}
