import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { neo, spawnNeo, temporaryFolder } from "../tests/cli_world.ts";
import { FollowedLog } from "./log_follow.ts";

function line(text: string): string {
  return `${
    JSON.stringify({ time: "2026-01-01T00:00:00.000Z", level: "info", node: "s1", role: "storage", text })
  }\n`;
}

test("FollowedLog gives what is new, a line when it is whole, over rotation and emptying (N12)", () => {
  const folder = mkdtempSync(join(tmpdir(), "neo-follow-"));
  const path = join(folder, "s1.log");
  const log = new FollowedLog(path, "s1");
  const fresh = (): string[] => [...log.fresh()].map(({ text }) => text);
  try {
    assert.deepEqual(fresh(), [], "there is no file yet");
    writeFileSync(path, line("one") + line("two é"));
    assert.deepEqual(fresh(), ["one", "two é"]);
    assert.deepEqual(fresh(), []);
    const three = line("three é");
    const cut = Buffer.from(three).indexOf(0xc3) + 1; // within a character
    appendFileSync(path, Buffer.from(three).subarray(0, cut));
    assert.deepEqual(fresh(), []);
    appendFileSync(path, Buffer.from(three).subarray(cut));
    assert.deepEqual(fresh(), ["three é"]);

    appendFileSync(path, line("four"));
    renameSync(path, `${path}.1`);
    writeFileSync(path, line("five"));
    assert.deepEqual(fresh(), ["four", "five"], "the end of the old file, then the new one");
    truncateSync(path);
    appendFileSync(path, line("six"));
    assert.deepEqual(fresh(), ["six"]);
  } finally {
    log.close();
    rmSync(folder, { recursive: true });
  }
});

test("FollowedLog puts a line of many blocks together once, when it ends (N12)", () => {
  const folder = mkdtempSync(join(tmpdir(), "neo-follow-"));
  const path = join(folder, "s1.log");
  const log = new FollowedLog(path, "s1");
  try {
    const long = "é".repeat(3_000_000);
    const text = line(long);
    writeFileSync(path, text.slice(0, 1_000));
    assert.deepEqual([...log.fresh()], []);
    appendFileSync(path, text.slice(1_000) + line("short"));
    assert.deepEqual([...log.fresh()].map(({ text }) => text.length), [long.length, 5]);
  } finally {
    log.close();
    rmSync(folder, { recursive: true });
  }
});

const CONFIG = `cluster = "shop"
clusterId = "${"0".repeat(32)}"
partitions = 1
replicas = 0
[[node]]
name = "m1"
role = "master"
address = "127.0.0.1:1"
data = "m1"
[[node]]
name = "s1"
role = "storage"
address = "127.0.0.1:2"
data = "s1"
`;

test("neo logs -f prints what stands there, then what comes, and ends at Ctrl-C (N12)", async () => {
  const { path: folder, env, remove } = temporaryFolder();
  mkdirSync(join(folder, "log"));
  writeFileSync(join(folder, "neo.toml"), CONFIG);
  const file = join(folder, "log", "s1.log");
  writeFileSync(`${file}.1`, line("zero"));
  writeFileSync(file, line("one"));
  const child = spawnNeo(["logs", "-f", "--json", "-C", folder], { env, cwd: folder });
  try {
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async (): Promise<string> => JSON.parse((await lines.next()).value as string).text;
    assert.deepEqual([await next(), await next()], ["zero", "one"]);
    appendFileSync(file, line("two"));
    assert.equal(await next(), "two");
    writeFileSync(join(folder, "log", "m1.log"), line("a node that starts now"));
    assert.equal(await next(), "a node that starts now");
    renameSync(file, `${file}.1`);
    writeFileSync(file, line("three"));
    assert.equal(await next(), "three");
    child.kill("SIGINT");
    await once(child, "close");
    const interrupted = (listener: (signal: "SIGINT") => void) => {
      queueMicrotask(() => listener("SIGINT"));
      return () => {};
    };
    const again = await neo(["logs", "-f", "-C", folder], { env, cwd: folder, onSignal: interrupted });
    assert.deepEqual([again.exitCode, again.stderr], [130, ""]);
    assert.match(again.stdout, /s1: three\n$/);
  } finally {
    child.kill("SIGKILL");
    remove();
  }
});
