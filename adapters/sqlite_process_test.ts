/** What the SQLite adapter promises to other processes, and what it asks of the disk. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { LAZY_FLUSH_MS } from "../core/limits.ts";
import { Driver, finish, IDENTITY, tidAt } from "../tests/conformance/database_kit.ts";
import { createDatabase, openDatabase } from "./sqlite.ts";

const childPath = fileURLToPath(new URL("../tests/conformance/sqlite_child.ts", import.meta.url));
const runtimeFlags = "Deno" in globalThis ? ["run", "-A", "--no-check"] : ["--no-warnings"];
const child = (command: string, path: string) => [...runtimeFlags, childPath, command, path];

async function withFile(body: (path: string) => Promise<void> | void): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "neo-sqlite-"));
  try {
    const path = join(folder, "s1.db");
    createDatabase(path, IDENTITY);
    await body(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("openDatabase() keeps other processes out from its return to close()", () =>
  withFile(async (path) => {
    const attempt = () => spawnSync(process.execPath, child("open", path), { encoding: "utf8" });
    const database = openDatabase(path);
    assert.equal(attempt().stdout.trim(), "inUse");
    await database.close();
    assert.equal(attempt().stdout.trim(), "opened");
  }));

test("SQLite has every promised transaction after its process is killed (T26)", () =>
  withFile(async (path) => {
    const writer = spawn(process.execPath, child("commit", path), { stdio: ["ignore", "pipe", "inherit"] });
    let said = "";
    const ended = new Promise((resolve) => writer.once("close", resolve));
    for await (const chunk of writer.stdout.setEncoding("utf8")) {
      said += chunk;
      if (said.split("\n").length > 50) writer.kill("SIGKILL");
    }
    await ended;
    const promised = said.split("\n").slice(0, -1).map(Number);
    assert.ok(promised.length >= 50);

    const db = new Driver(openDatabase(path));
    for (const { ttid, tid } of db.database.state.held) {
      if (tid !== null) await db.save(finish(ttid, Number(tid))[1]!);
    }
    for (const tid of promised) {
      assert.equal(await db.text(1, tidAt(tid)), `value ${tid}`);
      assert.equal(await db.text(2, tidAt(tid)), `value ${tid}`);
    }
    await db.close();
  }));

test("SQLite holds little of the parts that go through it, in and out (T19)", () =>
  withFile((path) => {
    const { stdout } = spawnSync(process.execPath, child("parts", path), { encoding: "utf8" });
    const [, inMib, outMib] = /^in (\d+)\nout (\d+)\n$/.exec(stdout) ?? [];
    // Pages of the file, and what a runtime lets pile up before it collects. What SQLite gives isn't counted as such.
    assert.ok(Number(inMib) < 160, stdout);
    assert.ok(Number(outMib) < 256, stdout);
  }));

const withoutTracer = spawnSync("strace", ["-V"]).error === undefined ? false : "strace isn't installed";

/** Runs all rounds under strace. Gives what the process said, and the system calls on its log by mark. */
function trace(path: string, ...options: string[]) {
  const output = `${path}.strace`;
  const traced = [
    "-f",
    "-y",
    "-s",
    "200",
    "-o",
    output,
    ...options,
    process.execPath,
    ...child("rounds", path),
  ];
  const { stdout } = spawnSync("strace", traced, { encoding: "utf8" });
  const calls = new Map<string, string[]>();
  let mark = "start";
  for (const line of readFileSync(output, "utf8").split("\n")) {
    mark = /write\(1[^"]*, "MARK ([^\\]*)/.exec(line)?.[1] ?? mark;
    const call = line.includes(`${path}-wal>`) ? / (\w+)\(/.exec(line)?.[1] : undefined;
    if (call !== undefined) calls.set(mark, [...(calls.get(mark) ?? []), call]);
  }
  return { calls, said: stdout };
}

const isFlush = (call: string) => call === "fsync" || call === "fdatasync";

test(
  "apply() flushes durable rounds and what is lazy before them, and nothing else",
  { skip: withoutTracer },
  () =>
    withFile((path) => {
      const { calls, said } = trace(path, "-e", "trace=write,fsync,fdatasync");
      const flushes = (title: string) => (calls.get(title) ?? []).filter(isFlush).length;

      const once = [
        "durable",
        "durable after lazy",
        "empty durable after lazy",
        "durable that changes no byte",
        "planned flush",
      ];
      const never = [
        "lazy",
        "lazy again",
        "durable with nothing to do",
        "planned flush with nothing to do",
        "the same epoch lazily",
        "lazy with nothing to do",
        "two lazy",
        "lazy before the end",
      ];
      for (const title of once) assert.equal(flushes(title), 1, title);
      for (const title of never) assert.equal(flushes(title), 0, title);
      assert.ok(flushes("close") >= 1);
      assert.match(
        said,
        new RegExp(`PLANNED ${LAZY_FLUSH_MS}\n`),
        "a flush is planned when the first lazy round waits",
      );
    }),
);

const faults = [
  { title: "a flush fails", call: "fsync", error: "EIO", code: "ioError", mark: "durable" },
  { title: "the disk is full", call: "pwrite64", error: "ENOSPC", code: "noSpace", mark: "durable" },
  { title: "the last flush fails", call: "fsync", error: "EIO", code: "ioError", mark: "close" },
];
for (const { title, call, error, code, mark } of faults) {
  test(
    `apply() throws ${code} when ${title}, and so does every later call (C1)`,
    { skip: withoutTracer },
    () =>
      withFile(async (path) => {
        const { calls } = trace(path, "-e", `trace=write,${call}`);
        const marks = [...calls.keys()];
        const earlier = marks.slice(0, marks.indexOf(mark)).flatMap((before) => calls.get(before) ?? []);
        const before = earlier.filter((name) => name === call).length;
        rmSync(path);
        createDatabase(path, IDENTITY);

        const inject = `inject=${call}:error=${error}:when=${before + 1}+`;
        const { said } = trace(path, "-P", `${path}-wal`, "-e", inject);

        assert.match(said, new RegExp(`MARK ${mark}\nFAILED ${code} Cannot write .*\nENDED\n`));
        await openDatabase(path).close();
      }),
  );
}
