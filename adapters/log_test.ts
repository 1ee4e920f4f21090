import { configureSync, type LogRecord, resetSync } from "@logtape/logtape";
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import {
  LOG_BATCH_BYTES_MAX,
  LOG_FILE_AGE_MS_MAX,
  LOG_FLUSH_MS,
  LOG_LINE_BYTES_MAX,
} from "../core/limits.ts";
import { ManualTimers } from "../tests/conformance/transport_probe.ts";
import { type Log, type LogOptions, makeLog } from "./log.ts";

interface Kit {
  readonly file: string;
  readonly timers: ManualTimers;
  open(options?: Partial<LogOptions>): Log;
  /** The lines in the file. */
  lines(): { [name: string]: unknown }[];
}

function withFolder(body: (kit: Kit) => void): void {
  const folder = mkdtempSync(join(tmpdir(), "neo-log-"));
  const file = join(folder, "s1.log");
  const timers = new ManualTimers();
  const logs: Log[] = [];
  try {
    body({
      file,
      timers,
      open(options = {}) {
        const log = makeLog({
          file,
          node: "s1",
          role: "storage",
          level: "info",
          later: timers.later,
          ...options,
        });
        logs.push(log);
        return log;
      },
      lines: () => linesOf(file),
    });
  } finally {
    for (const log of logs) log.close();
    rmSync(folder, { recursive: true });
  }
}

function linesOf(file: string): { [name: string]: unknown }[] {
  return readFileSync(file, "utf8").split("\n").slice(0, -1).map((line) => JSON.parse(line));
}

test("makeLog() writes one JSON object a line, with who, when and the facts", () =>
  withFolder(({ open, lines }) => {
    const log = open();
    log("info", "it locks {tid}", {
      tid: 255n,
      epoch: 3,
      data: new Uint8Array(7),
      why: new RangeError("too far"),
      cells: new Map([[1, "U"]]),
    });
    log.close();

    const { time, ...line } = lines()[0] ?? {};
    assert.ok(!Number.isNaN(Date.parse(String(time))));
    assert.deepEqual(line, {
      level: "info",
      node: "s1",
      role: "storage",
      module: "node",
      text: "it locks {tid}",
      tid: "00000000000000ff",
      epoch: 3,
      data: "7 bytes",
      why: "too far",
      cells: [[1, "U"]],
    });
  }));

test("makeLog() keeps its own names apart from facts of the same name", () =>
  withFolder(({ open, lines }) => {
    open()("error", "lost a node", { node: "s2", text: "other", time: 1, lag: 2 });
    const line = lines()[0];
    assert.equal(line?.["node"], "s1");
    assert.equal(line?.["text"], "lost a node");
    assert.equal(line?.["node_"], "s2");
    assert.equal(line?.["lag"], 2);
  }));

test("makeLog() keeps its level and above", () =>
  withFolder(({ open, lines }) => {
    const log = open({ level: "warning" });
    for (const level of ["debug", "info", "warning", "error"] as const) log(level, "said");
    assert.deepEqual(lines().map(({ level }) => level), ["warning", "error"]);
  }));

test("makeLog() keeps of a module what is set for it, and of all others what is set in general (T51)", () =>
  withFolder(({ open, lines }) => {
    const log = open({ level: "info" });
    log.setLevels({ level: "warning", modules: { elections: "debug", watch: "error" } });
    for (const level of ["debug", "info", "warning", "error"] as const) {
      log(level, "votes", {}, "elections");
      log(level, "looks", {}, "watch");
      log(level, "lives");
    }
    const kept = lines().map(({ module, level }) => `${module} ${level}`);
    assert.deepEqual(kept, [
      "elections debug",
      "elections info",
      "elections warning",
      "node warning",
      "elections error",
      "watch error",
      "node error",
    ]);
    assert.deepEqual([log.wants("debug", "elections"), log.wants("info", "node")], [true, false]);
    log.setLevels({ level: "info", modules: {} });
    assert.deepEqual([log.wants("debug", "elections"), log.wants("info", "node")], [false, true]);
  }));

test("makeLog() writes a lone line at once, and gathers those behind it until LOG_FLUSH_MS, a full batch or a warning", () =>
  withFolder(({ open, lines, timers }) => {
    const log = open();
    log("info", "one");
    assert.equal(lines().length, 1, "a process that is killed now leaves its last word");
    log("info", "two");
    log("info", "three");
    assert.equal(lines().length, 1);
    assert.deepEqual(timers.waits, [LOG_FLUSH_MS]);
    timers.fire();
    assert.equal(lines().length, 3);
    assert.deepEqual(timers.waits, []);

    log("info", "four");
    log("info", "five");
    log("warning", "six");
    assert.equal(lines().length, 6);
    log("info", "seven");
    log.flush();
    assert.equal(lines().length, 7);

    for (let bytes = 0; bytes < LOG_BATCH_BYTES_MAX; bytes += 1_000) log("info", "x".repeat(1_000));
    assert.ok(lines().length > 60);

    log("info", "last");
    log.close();
    log.close();
    log("error", "dropped");
    assert.equal(lines().at(-1)?.["text"], "last");
    assert.deepEqual(timers.waits, []);
  }));

test("makeLog() goes on in a file that is there, and begins another one at its size", () =>
  withFolder(({ open, lines, file }) => {
    const first = open();
    first("info", "before");
    first.close();
    const log = open({ fileBytesMax: 4_000 });
    assert.equal(lines().length, 1);

    for (let number = 0; number < 200; number++) {
      log("info", "x".repeat(80), { number });
      log.flush();
      assert.ok(statSync(file).size <= 4_000);
    }

    const kept = [...linesOf(`${file}.1`), ...lines()].map(({ number }) => Number(number));
    assert.equal(kept.at(-1), 199);
    assert.deepEqual(kept, kept.map((_, at) => 200 - kept.length + at), "nothing is lost between the two");
    assert.ok(statSync(`${file}.1`).size <= 4_000);
  }));

test("makeLog() begins another file as it is told from now on, by size and by age (T51, N12)", () =>
  withFolder(({ open, lines, file }) => {
    let nowMs = Date.now();
    const log = open({ nowMs: () => nowMs });
    log("error", "one");
    log.setFile({ bytesMax: 10, ageMsMax: 1e12 });
    log("error", "two");
    assert.deepEqual([linesOf(`${file}.1`), lines()].map(([line]) => line?.["text"]), ["one", "two"]);
    log.setFile({ bytesMax: 1e9, ageMsMax: 1_000 });
    log("error", "three");
    assert.equal(lines().length, 2);
    nowMs += 60_000;
    log("error", "four");
    assert.deepEqual(lines().map(({ text }) => text), ["four"]);
  }));

test("makeLog() begins another file when its own is too old (N12)", () =>
  withFolder(({ open, lines, file }) => {
    let nowMs = Date.now();
    const log = open({ nowMs: () => nowMs });
    log("error", "first");
    nowMs += LOG_FILE_AGE_MS_MAX;
    log("error", "second");
    nowMs += 1_000;
    log("error", "third");
    assert.deepEqual([...linesOf(`${file}.1`), {}, ...lines()].map(({ text }) => text), [
      "first",
      "second",
      undefined,
      "third",
    ]);
    nowMs += LOG_FILE_AGE_MS_MAX - 2_000;
    log("error", "fourth");
    assert.equal(lines().length, 2);
  }));

test("reopen() goes on in a new file, and leaves all that was said in the one that was moved away (N12)", () =>
  withFolder(({ open, lines, file }) => {
    const log = open();
    log("info", "one");
    log("info", "two"); // gathered
    renameSync(file, `${file}.moved`);
    log.reopen();
    log("error", "three");
    assert.deepEqual([...linesOf(`${file}.moved`), {}, ...lines()].map(({ text }) => text), [
      "one",
      "two",
      undefined,
      "three",
    ]);
    rmSync(`${file}.moved`);
  }));

test("makeLog() cuts a line that is too long, and takes facts that can't be printed", () =>
  withFolder(({ open, lines }) => {
    const log = open();
    const circular: { self?: unknown } = {};
    circular.self = circular;
    log("error", "\u0001".repeat(LOG_LINE_BYTES_MAX), { huge: "y".repeat(LOG_LINE_BYTES_MAX) });
    log("error", "circular", { circular });
    log("error", "function", { call: () => {}, absent: undefined, nothing: null });

    const [cut, broken, odd] = lines();
    assert.ok(JSON.stringify(cut).length <= 2 * LOG_LINE_BYTES_MAX);
    assert.equal(cut?.["node"], "s1");
    assert.ok(String(cut?.["cut"]).length > 0);
    assert.match(String(broken?.["unprintable"]), /circular/i);
    assert.equal(odd?.["nothing"], null);
  }));

test("makeLog() survives a file that can't be written, and then tells how much was lost", () =>
  withFolder(({ open, lines, file }) => {
    const log = open({ fileBytesMax: 1_000 });
    log("error", "x".repeat(900));
    // A folder stands where the older file belongs: rotation fails, as writing does on a disk that is full.
    mkdirSync(`${file}.1`);
    log("error", "y".repeat(900));
    log("info", "z".repeat(900));
    log("error", "z".repeat(900));
    assert.equal(lines().length, 1);
    rmdirSync(`${file}.1`);
    log("error", "back");

    assert.deepEqual(lines().map(({ text }) => text), [
      "3 lines before this one couldn't be written",
      "back",
    ]);
  }));

test("makeLog() goes on in a fresh file when somebody took its own away", () =>
  withFolder(({ open, lines, file }) => {
    const log = open({ fileBytesMax: 1_000 });
    log("error", "x".repeat(900));
    rmSync(file);
    log("error", "y".repeat(900));
    assert.equal(lines().length, 1);
    assert.equal(existsSync(`${file}.1`), false);
  }));

test("makeLog() throws when its file can't be opened", () =>
  withFolder(({ file, open }) => {
    assert.throws(() => open({ file: join(file, "below", "s1.log") }), /ENOENT|ENOTDIR/);
  }));

test("makeLog() hands every record to a program that has configured LogTape", () =>
  withFolder(({ open }) => {
    const seen: LogRecord[] = [];
    configureSync({
      sinks: { ours: (record) => seen.push(record) },
      loggers: [{ category: "neo", sinks: ["ours"] }, {
        category: ["logtape", "meta"],
        lowestLevel: "error",
      }],
    });
    try {
      open()("info", "it {listens}", { port: 1 });
    } finally {
      resetSync();
    }
    assert.deepEqual(
      seen.map(({ category, level, message, properties }) => ({ category, level, message, properties })),
      [{
        category: ["neo", "storage"],
        level: "info",
        message: ["it {listens}"],
        properties: { node: "s1", role: "storage", module: "node", port: 1 },
      }],
    );
  }));

/** Runs a program of its own. */
function run(body: string): { readonly status: number | null; readonly stderr: string } {
  const program = `import { makeLog } from ${JSON.stringify(import.meta.resolve("./log.ts"))}; ${body}`;
  const args = "Deno" in globalThis ? ["eval", program] : ["--input-type=module", "--eval", program];
  return spawnSync(process.execPath, args, { encoding: "utf8", timeout: 60_000 });
}

test("makeLog() without a file writes readable lines on stderr, which no fact can forge", () => {
  const { status, stderr } = run(`
    const log = makeLog({ node: "m1", role: "master", level: "info" });
    log("info", "elected\\nforged", { epoch: 3, tid: 1n, from: "a b\\u001b[2J", at: "10.0.0.1:9100" });
    log("debug", "hidden");
  `);
  assert.equal(status, 0, stderr);
  const [first, ...rest] = stderr.split("\n").filter((line) => line.includes("master"));
  assert.match(
    first ?? "",
    /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} info {4}master m1: elected\\u000aforged epoch=3 tid="0000000000000001" from="a b\\u001b\[2J" at=10\.0\.0\.1:9100$/,
  );
  assert.deepEqual(rest, []);
});

test("makeLog() writes what it has gathered when the process ends, by itself or by an error", () =>
  withFolder(({ file }) => {
    const begin = `const log = makeLog({ file: ${
      JSON.stringify(file)
    }, node: "s1", role: "storage", level: "info" });`;
    run(`${begin} log("info", "falls off the end");`);
    run(`${begin} log("info", "exits"); globalThis.process?.exit(3);`);
    run(`${begin} log("info", "throws"); throw new Error("on purpose");`);
    assert.deepEqual(linesOf(file).map(({ text }) => text), ["falls off the end", "exits", "throws"]);
  }));
