import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { temporaryFolder } from "../tests/cli_world.ts";
import type { NodeConfig } from "./config.ts";
import {
  claimPidFile,
  clearPidFile,
  isRunning,
  processInfo,
  processStateOf,
  removePidFile,
  signalProcess,
  writePidFile,
} from "./pid_file.ts";
import { until } from "./wait.ts";

const linux = process.platform === "linux" ? {} : { skip: "needs /proc" };

function nodeIn(folder: string): NodeConfig {
  return { name: "s1", role: "storage", address: "127.0.0.1:0", data: join(folder, "s1"), process: "s1" };
}

async function withNode(work: (node: NodeConfig) => void | Promise<void>): Promise<void> {
  const folder = temporaryFolder();
  try {
    await work(nodeIn(folder.path));
  } finally {
    folder.remove();
  }
}

test("processStateOf() is running for a file that this process wrote, stopped once it is removed (T24)", () =>
  withNode((node) => {
    assert.equal(processStateOf(node).state, "stopped");
    writePidFile(node, { address: "127.0.0.1:9101", listens: true }, "1.2.3");

    const found = processStateOf(node);

    assert.ok(found.state === "running");
    assert.equal(found.file.pid, process.pid);
    assert.equal(found.file.address, "127.0.0.1:9101");
    removePidFile(node);
    assert.equal(processStateOf(node).state, "stopped");
  }));

test(
  "processStateOf() is crashed when another process has the id now (T24)",
  linux,
  () =>
    withNode((node) => {
      writePidFile(node, { address: "127.0.0.1:9101", listens: true }, "1.2.3");
      const path = join(node.data, "neo.pid");
      const file = JSON.parse(readFileSync(path, "utf8"));
      writeFileSync(path, JSON.stringify({ ...file, startTime: file.startTime - 1 }));

      assert.equal(processStateOf(node).state, "crashed");
    }),
);

test("claimPidFile() gives way to a process that was quicker, and replaces what one that is no more left (T24)", () =>
  withNode((node) => {
    const path = join(node.data, "neo.pid");
    assert.equal(claimPidFile(node, "1.2.3"), undefined);
    const own = readFileSync(path, "utf8");
    assert.equal(claimPidFile(node, "1.2.4")?.pid, process.pid);
    assert.equal(readFileSync(path, "utf8"), own, "nothing of it is taken away");
    for (const left of ["{", JSON.stringify({ ...JSON.parse(own), pid: 2 ** 22 + 1 })]) {
      writeFileSync(path, left);
      assert.equal(claimPidFile(node, "1.2.5"), undefined);
      assert.equal(processStateOf(node).state, "running");
    }
    assert.deepEqual(readdirSync(node.data), ["neo.pid"]);
  }));

test("processStateOf() is stopped for a file that nobody can read", () =>
  withNode((node) => {
    writePidFile(node, { address: "127.0.0.1:9101", listens: true }, "1.2.3");
    for (const text of ["", "{", "null", `{"pid": "x"}`]) {
      writeFileSync(join(node.data, "neo.pid"), text);
      assert.equal(processStateOf(node).state, "stopped");
    }
  }));

test("isRunning() is false for a zombie, which still answers signals (T24)", linux, async () => {
  // The shell becomes a program that never asks for its children: one that ends then stays a zombie.
  const parent = spawn("sh", ["-c", "sleep 60 & echo $!; exec sleep 60"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const ended = once(parent, "exit");
  const [line] = await once(parent.stdout, "data");
  const pid = Number(String(line));
  const program = () => readFileSync(`/proc/${parent.pid}/comm`, "utf8").trim();
  assert.ok(await until(() => program() === "sleep", 10_000));
  process.kill(pid, "SIGKILL");
  assert.ok(await until(() => processInfo(pid)?.state === "Z", 10_000));

  const zombie = { pid, startTime: processInfo(pid)!.startTime };

  assert.ok(process.kill(pid, 0));
  assert.equal(isRunning(zombie), false);
  parent.kill("SIGKILL");
  await ended;
});

test(
  "isRunning() follows a process to its end, and clearPidFile() takes its file away",
  linux,
  () =>
    withNode(async (node) => {
      const child = spawn("sleep", ["60"], { stdio: "ignore" });
      const pid = child.pid!;
      const file = {
        pid,
        startTime: processInfo(pid)!.startTime,
        role: "",
        name: "",
        address: "",
        version: "",
        listens: true,
      };
      writePidFile(node, { address: "127.0.0.1:9101", listens: true }, "1.2.3");
      writeFileSync(join(node.data, "neo.pid"), JSON.stringify(file));
      clearPidFile(node);
      assert.equal(processStateOf(node).state, "running");

      const ended = once(child, "exit");
      assert.ok(signalProcess(file, "SIGKILL"));
      await ended;

      assert.equal(processStateOf(node).state, "crashed");
      assert.equal(signalProcess(file, "SIGKILL"), false);
      clearPidFile(node);
      assert.equal(processStateOf(node).state, "stopped");
    }),
);
