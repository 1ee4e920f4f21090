import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { neo } from "../tests/cli_world.ts";

const CONFIG = `cluster = "shop"
clusterId = "${"0".repeat(32)}"
partitions = 12
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

function line(second: number, node: string, level: string, text: string): string {
  const time = `2026-01-01T00:00:0${second}.000Z`;
  return `${JSON.stringify({ time, level, node, role: "x", text, count: second })}\n`;
}

async function logsOf(...args: readonly string[]): Promise<{ stdout: string; exitCode: number }> {
  const folder = mkdtempSync(join(tmpdir(), "neo-logs-"));
  try {
    writeFileSync(join(folder, "neo.toml"), CONFIG);
    mkdirSync(join(folder, "log"));
    const [m1, s1] = [join(folder, "log", "m1.log"), join(folder, "log", "s1.log")];
    writeFileSync(`${m1}.1`, line(1, "m1", "info", "one"));
    writeFileSync(m1, line(4, "m1", "error", "four"));
    writeFileSync(
      s1,
      line(2, "s1", "info", "two \u001b[2J") + line(3, "s1", "warning", "three") + "panicked\n",
    );
    return await neo(["logs", "-C", folder, ...args]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Which lines are shown, by the fact that each has. */
function counts(stdout: string): string[] {
  return stdout.trimEnd().split("\n").map((shown) => /count=(\d)/.exec(shown)?.[1] ?? "-");
}

const cases: readonly { args: readonly string[]; shown: readonly string[] }[] = [
  { args: [], shown: ["1", "2", "3", "-", "4"] },
  { args: ["s1"], shown: ["2", "3", "-"] },
  { args: ["--level", "warning"], shown: ["3", "-", "4"] },
  { args: ["--since", "2026-01-01T00:00:02Z", "--until", "2026-01-01T00:00:03Z"], shown: ["2"] },
  { args: ["--grep", "four"], shown: ["4"] },
];
for (const { args, shown } of cases) {
  test(`neo logs ${args.join(" ")} shows lines ${shown.join(" ")} of two nodes, by time (N12)`, async () => {
    const { stdout, exitCode } = await logsOf(...args);

    assert.equal(exitCode, 0);
    assert.deepEqual(counts(stdout), shown);
    assert.equal(stdout.includes("\u001b"), false, "nothing in a log steers a terminal");
  });
}

test("neo logs --json is one object a line, with all that was logged (N12)", async () => {
  const { stdout } = await logsOf("m1", "--json");

  const lines = stdout.trimEnd().split("\n").map((text) => JSON.parse(text));
  assert.deepEqual(lines.map(({ text, count, node }) => [text, count, node]), [["one", 1, "m1"], [
    "four",
    4,
    "m1",
  ]]);
});
