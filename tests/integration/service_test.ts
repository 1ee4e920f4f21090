/** A node that systemd runs: what it is told, and by what (T24). */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { readPidFile } from "../../cli/pid_file.ts";
import { CliCluster, eventually } from "./kit.ts";

test("what a unit runs tells systemd when it is ready and when it stops, with no more rights than it needs (T24, N14)", async () => {
  await using cluster = await CliCluster.init({ storages: 1, partitions: 6 });
  await cluster.ok("service", "install", "--to", cluster.beside("units"));
  await cluster.start("m1");
  // in place of systemd-notify: writes down what it is told
  const bin = cluster.beside("bin");
  mkdirSync(bin);
  const told = cluster.beside("told");
  writeFileSync(join(bin, "systemd-notify"), `#!/bin/sh\necho "$NOTIFY_SOCKET $*" >> '${told}'\n`);
  chmodSync(join(bin, "systemd-notify"), 0o755);

  const PATH = `${bin}:${process.env["PATH"]}`;
  const env = { ...cluster.around.env, PATH, NOTIFY_SOCKET: "/run/stand-in" };
  const child = spawn("sh", [join(cluster.folder, "service", "s1.sh")], { env, stdio: "ignore" });
  const ended = once(child, "exit");
  try {
    await eventually(
      "the word that it is ready",
      () => existsSync(told) && /--ready/.test(readFileSync(told, "utf8")),
    );
    assert.equal(
      readFileSync(told, "utf8"),
      `/run/stand-in --pid=${child.pid} --ready --status=s1 listens\n`,
    );
    const file = readPidFile(cluster.node("s1"));
    assert.equal(file?.pid, child.pid);
    assert.ok((file?.startTime ?? 0) > 0, "it knows when it began, though it mustn't look");
    await eventually("its service", () => cluster.log("s1").some(({ text }) => text === "Serving"));
  } finally {
    child.kill("SIGTERM");
    await ended;
  }
  assert.match(readFileSync(told, "utf8"), /--stopping\n$/);
});

test("a service whose process was killed comes back, and never beside one that runs (T24)", async () => {
  await using cluster = await CliCluster.init({ storages: 1, partitions: 6 });
  await cluster.ok("service", "install", "--to", cluster.beside("units"));
  const script = join(cluster.folder, "service", "s1.sh");
  const { env } = cluster.around;
  const begin = () => spawn("sh", [script], { env, stdio: "ignore" });
  const isOn = (pid: number | undefined) => {
    const file = readPidFile(cluster.node("s1"));
    return file?.pid === pid && file?.listens === true;
  };
  const first = begin();
  await eventually("the first", () => isOn(first.pid));
  const second = begin();
  const [code] = await once(second, "exit");
  assert.equal(code, 1, "the first one runs");
  assert.ok(isOn(first.pid));

  const killed = once(first, "exit");
  first.kill("SIGKILL");
  await killed;
  assert.ok(isOn(first.pid), "its pid file is left");
  const third = begin();
  const ended = once(third, "exit");
  try {
    await eventually("the third", () => isOn(third.pid));
  } finally {
    third.kill("SIGTERM");
    await ended;
  }
});
