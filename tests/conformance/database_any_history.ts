/** Any history gives the same answers on a database that lasts as in memory, over restarts and crashes too. */
import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryDatabase } from "../../adapters/memory.ts";
import type { Database, DatabaseQuery } from "../../core/ports.ts";
import { anyHistory, Author, questions } from "./database_histories.ts";
import { IDENTITY, sha256 } from "./database_kit.ts";

/** A database that lives through restarts, and through crashes that lose no byte. */
export interface Lasting {
  readonly database: Database;
  restart(how: "restart" | "crash"): Promise<void>;
  /** Ends, and looks whether its rows fit together. */
  end(): Promise<void>;
  /** Takes it away, ended or not. */
  remove(): Promise<void>;
}

/** How a database is tried. */
export interface Trial {
  readonly open: () => Promise<Lasting>;
  readonly numRuns: number;
  /** So many looks ask each question once: a server is far. */
  readonly looks: number;
  /** Whether it counts how large its rows are (T55). */
  readonly counts: boolean;
}

/** One test, of that title. */
export function testAnyHistory(title: string, { open, numRuns, looks, counts }: Trial): void {
  test(title, async () => {
    await fc.assert(
      fc.asyncProperty(anyHistory, fc.nat(looks - 1), async (rounds, first) => {
        let look = first;
        const disk = memoryDatabase(IDENTITY, sha256);
        let memory = disk.open();
        const lasting = await open();
        try {
          const author = new Author();
          const compare = async (): Promise<void> => {
            look += 1;
            const asked = questions(author).filter((_, at) => (at + look) % looks === 0);
            await compareAnswers(lasting.database, memory, asked);
            if (counts) await compareSizes(lasting.database, memory);
          };
          for (const { steps, durable, then } of rounds) {
            const writes = steps.flatMap((step) => author.writes(step));
            await memory.apply(writes, { durable });
            await lasting.database.apply(writes, { durable });
            if (then === "go on") continue;
            await compare();
            if (then === "restart") await memory.close();
            else disk.crash(disk.unflushed);
            memory = disk.open();
            await lasting.restart(then);
            author.reopened();
            assert.deepEqual(lasting.database.state, memory.state);
          }
          await compare();
          await lasting.end();
        } finally {
          await lasting.remove();
        }
      }),
      { numRuns, endOnFailure: looks > 1 }, // where a run takes long, a failure is shown as it is
    );
  });
}

/** How many questions are under way at once. */
const AT_ONCE = 50;

async function compareAnswers(
  database: Database,
  model: Database,
  queries: readonly DatabaseQuery[],
): Promise<void> {
  for (let from = 0; from < queries.length; from += AT_ONCE) {
    await Promise.all(
      queries.slice(from, from + AT_ONCE).map(async (query) => {
        const [found, expected] = [await database.read(query), await model.read(query)];
        assert.deepEqual(found, expected, JSON.stringify(query, spelled));
      }),
    );
  }
}

async function compareSizes(database: Database, model: Database): Promise<void> {
  const [mine, other] = [await database.read({ read: "size" }), await model.read({ read: "size" })];
  assert.ok(mine.read === "size" && other.read === "size");
  assert.deepEqual([mine.bytes, mine.live], [other.bytes, other.live], "counters are what rows have");
}

function spelled(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
