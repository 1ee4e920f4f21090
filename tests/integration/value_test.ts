/** A value that is larger than anybody should hold in memory. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { CliCluster, testWith, within } from "./kit.ts";

const MIB = 1024 * 1024;
const VALUE_BYTES = 256 * MIB;
const GROWTH_BYTES_MAX = 64_000_000;
const PIECES = VALUE_BYTES / 65_536;
const WITHIN_MS = 240_000;

/** The memory of a process: what it has, and the most that it ever had. */
function bytesOf(pid: number, kind: "VmRSS" | "VmHWM"): number {
  return 1024
    * Number(new RegExp(`${kind}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]);
}

const linux = { met: process.platform === "linux", reason: "the memory of a process is read from /proc" };

testWith(
  linux,
  "T19 a value of 256 MiB goes in and out; client and storages grow by 64 MB at most",
  async () => {
    await using cluster = await CliCluster.started({ storages: 2, replicas: 1 });
    const program = fileURLToPath(new URL("value_child.ts", import.meta.url));
    const options = process.versions["deno"] === undefined ? [] : ["run", "-A", "--quiet", "--no-check"];
    const args = [...options, program, cluster.uri, String(PIECES)];
    const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
    const exit = once(child, "exit");
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    await within("the child's connection", lines.next());

    const storages = cluster.nodes("storage").map(({ name }) => ({ name, pid: cluster.pid(name) }));
    const before = storages.map(({ pid }) => bytesOf(pid, "VmRSS"));
    child.stdin.write("go\n");
    const said = await within("the value's way in and out", lines.next(), WITHIN_MS);
    const grown = storages.map(({ name, pid }, at) => ({
      name,
      grewBytes: bytesOf(pid, "VmHWM") - before[at]!,
    }));
    grown.push({ name: "client", ...JSON.parse(`${said.value}`) });
    child.stdin.end();
    assert.deepEqual(await within("the child's end", exit), [0, null]);

    for (const { name, grewBytes } of grown) {
      assert.ok(
        grewBytes <= GROWTH_BYTES_MAX,
        `${name} grew by ${grewBytes} bytes: ${JSON.stringify(grown)}`,
      );
    }
  },
);
