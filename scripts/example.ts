// deno-lint-ignore-file no-console
/**
 * A worked example: from nothing to a cluster of 3 masters, 4 storages (2 on SQLite, 2 on PostgreSQL) and an admin on this machine,
 * by a plan, all of them with certificates; a ZODB database imported; every node restarted while a program commits; a change of the configuration and the way
 * back; then all of it taken down. Ends with 0 if everything went as it should.
 *
 *     deno task example [--keep] [DATA.FS]
 *
 * Without a PostgreSQL server (`NEO_TEST_POSTGRES_URL`, or programs to make one) all storages are on SQLite, and it says so.
 *
 * @module
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { connect, DatabaseError } from "../mod.ts";
import { neo } from "../tests/cli_world.ts";
import type { CommandResult } from "../tests/cli_world.ts";
import { withServer } from "../tests/postgres_kit.ts";
import { postgresServer } from "../tests/postgres_server.ts";

const SAMPLE = fileURLToPath(new URL("../tests/vectors/history.fs", import.meta.url));
const WRITERS = 4;

/** The plan of the cluster, storages 3 and 4 on a server if there is one. */
function planOf(database: string | undefined): string {
  const node = (name: string, role: string, more = ""): string =>
    `[[node]]\nname = "${name}"\nrole = "${role}"\n${more}\n`;
  const on = database === undefined ? "" : `database = "${database}"`;
  return [
    `cluster = "example"\npartitions = 24\nreplicas = 1\ntls = true\n`,
    ...["m1", "m2", "m3"].map((name) => node(name, "master")),
    ...["s1", "s2"].map((name) => node(name, "storage")),
    ...["s3", "s4"].map((name) => node(name, "storage", on)),
    node("a1", "admin"),
  ].join("\n");
}

/** Commands in a folder of their own. */
class Example {
  readonly #folder: string = mkdtempSync(join(tmpdir(), "neo-example-"));

  get folder(): string {
    return this.#folder;
  }

  /** Runs a command that must succeed, and shows what it says. */
  async run(...args: readonly string[]): Promise<CommandResult> {
    console.log(`\n$ neo ${args.join(" ")}`);
    const result = await this.#neo(args);
    process.stdout.write(result.stderr + result.stdout);
    if (result.exitCode !== 0) throw new Error(`neo ${args[0]} ended with ${result.exitCode}`);
    return result;
  }

  /** Runs one without a word. */
  async quietly(...args: readonly string[]): Promise<CommandResult> {
    return await this.#neo(args);
  }

  async end(keep: boolean): Promise<void> {
    await this.#neo(["stop", "-C", "example"]);
    if (keep) console.log(`\nThe folder stays: ${this.#folder}`);
    else rmSync(this.#folder, { recursive: true, force: true });
  }

  #neo(args: readonly string[]): Promise<CommandResult> {
    const env = { ...process.env, NEO_CONFIG_HOME: join(this.#folder, "home") } as { [name: string]: string };
    return neo(args, { env, cwd: this.#folder });
  }
}

/** Commits without a pause until it is told to rest; gives how many were acknowledged, and what failed. */
async function committing(uri: string): Promise<() => Promise<{ commits: number; failures: string[] }>> {
  const client = await connect(uri);
  const oids = await client.newOids(WRITERS);
  const failures: string[] = [];
  let [commits, isOver] = [0, false];
  const work = oids.map(async (oid) => {
    while (!isOver) {
      try {
        await client.transact(async (tx) => {
          await tx.load(oid);
          tx.store(oid, new Uint8Array(100));
        });
        commits += 1;
      } catch (error) {
        if (!(error instanceof DatabaseError)) throw error;
        failures.push(error.message);
      }
    }
  });
  return async () => {
    isOver = true;
    await Promise.all(work);
    await client.close();
    return { commits, failures };
  };
}

/** How long it takes until every node and client that is there runs the newest configuration. */
async function settledMs(example: Example): Promise<number> {
  const began = performance.now();
  while ((await example.quietly("config", "status", "-C", "example", "--json")).exitCode !== 0) {
    if (performance.now() - began > 30_000) throw new Error("the configuration hasn't reached every node");
  }
  return performance.now() - began;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { keep: { type: "boolean" } },
    allowPositionals: true,
  });
  const found = await postgresServer();
  const server = "server" in found ? found.server : undefined;
  console.log(
    server
      ? `PostgreSQL: ${server.version}`
      : `All storages on SQLite: ${(found as { reason: string }).reason}`,
  );
  const example = new Example();
  try {
    writeFileSync(join(example.folder, "plan.toml"), planOf(server?.url));
    await example.run("provision", "plan.toml");
    const again = await example.run("provision", "plan.toml", "--json");
    if (again.json.changed) throw new Error("provisioning twice has changed something");
    await example.run("import", positionals[0] ?? SAMPLE, "-C", "example");

    const { uri } = (await example.quietly("status", "-C", "example", "--json")).json;
    const rest = await committing(uri);
    await example.run("restart", "-C", "example");
    const { commits, failures } = await rest();
    console.log(`\n${commits} commits while every node was restarted, ${failures.length} failed`);
    if (failures.length > 0) throw new Error(failures[0]);

    await example.run(
      "config",
      "set",
      "storage.copyBytesPerS=50000000",
      "--reason",
      "example",
      "-C",
      "example",
    );
    console.log(`every node runs it after ${(await settledMs(example)).toFixed(0)} ms`);
    await example.run("config", "rollback", "0", "-C", "example");
    await settledMs(example);
    await example.run("table", "verify", "-C", "example");
    await example.run("status", "-C", "example");
  } finally {
    await example.end(values.keep === true);
    if (server) await dropSchemas(server.url);
    await server?.end();
  }
  console.log("\nAll of it went as it should");
}

async function dropSchemas(url: string): Promise<void> {
  await withServer(url, async (sql) => {
    for (const name of ["example_s3", "example_s4"]) {
      await sql.unsafe(`DROP SCHEMA IF EXISTS ${name} CASCADE`);
    }
  });
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    console.error(`\nIt went wrong: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
}
