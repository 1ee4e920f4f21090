/** Every command of the command line on real clusters: what it prints for people, and for programs, and how it ends. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { root } from "../../cli/app.ts";
import { routes } from "../../cli/routes.ts";
import { checkContract, neo, routeIn, spawnNeo } from "../cli_world.ts";
import { ELSEWHERE, STEPS } from "./contract_steps.ts";
import type { Step } from "./contract_steps.ts";
import { CliCluster } from "./kit.ts";

const golden = new URL("../golden/commands.txt", import.meta.url);
/** `NEO_UPDATE=1` writes what is said instead of comparing it: read the difference before you keep it. */
const updates = process.env["NEO_UPDATE"] === "1";
const HISTORY = fileURLToPath(new URL("../vectors/history.zdump", import.meta.url));
// deno-lint-ignore no-control-regex
const ESCAPE = /\u001b/;

const PLAN = `cluster = "wiki"
here = "db1"
replicas = 1
partitions = 4
[[node]]
name = "m1"
role = "master"
[[node]]
name = "s1"
role = "storage"
[[node]]
name = "s2"
role = "storage"
host = "db2"
address = "db2:9100"
`;

const SETTINGS = `[cluster]
"storage.copyBytesPerS" = 7000000
`;

/** What is other in each run, by a word for it; columns move with it. */
function settled(text: string, folder: string): string {
  return text.replaceAll(folder, "FOLDER")
    .replaceAll(HISTORY, "HISTORY")
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z/g, (time) => time.startsWith("2021") ? time : "TIME")
    .replace(/\d{4}-\d\d-\d\d(?= |$)/gm, "DAY")
    .replace(/(127\.0\.0\.1|\[::1\]):\d+/g, "$1:PORT")
    .replace(/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{32,64}\b/g, "ID")
    .replace(/(^\S+ +\w+ +running +\S+ +)\d+/gm, "$1PID")
    .replace(/DAY +[0-9a-f]{16}$/gm, "DAY  ID")
    .replace(/\b\d+\.\d%/g, "USE")
    .replace(/(?<=\S) {2,}/g, "  ");
}

/** What only a run knows, by the name that steps have for it. */
type Values = { readonly [name: string]: () => string | Promise<string> };

/** The words of a step, with what only this run knows. */
function wordsOf({ line }: Step, values: Values): Promise<string[]> {
  return Promise.all(
    line.split(" ").map((word) => {
      const [, name] = /^\{(\w+)\}$/.exec(word) ?? [];
      return name === undefined ? word : values[name]!();
    }),
  );
}

test("every command says to people and to programs what it has promised, and ends as it has", async () => {
  await using shop = await CliCluster.init({ storages: 2, partitions: 4 });
  const folder = shop.beside("");
  const around = { env: { ...shop.around.env, NEO_CLUSTER: shop.folder, NEO_AUTHOR: "eva" }, cwd: folder };
  const written = (name: string, text: string) => () => {
    writeFileSync(shop.beside(name), text);
    return shop.beside(name);
  };
  const values: Values = {
    plan: written("plan.toml", PLAN),
    settings: written("settings.toml", SETTINGS),
    history: () => HISTORY,
    middle: () => "03e0000400000000",
    last: () => "03e0000900000000",
    newest: async () => {
      const { transactions } = (await neo(["tx", "list", "--limit", "1", "--json"], around)).json;
      return transactions[0].tid;
    },
    first: () => "03e0000100000000",
    follower: async () => {
      const { masters } = (await neo(["master", "list", "--json"], around)).json;
      return masters.find(({ isPrimary }: { isPrimary: boolean }) => !isPrimary).name;
    },
    session: async () => {
      await shop.connect();
      const { clients } = (await neo(["client", "list", "--json"], around)).json;
      return String(clients[0].session);
    },
  };
  const texts: string[] = [];
  for (const step of STEPS) {
    const { line, exit = 0, golden: isGolden = true } = step;
    const { exitCode, stdout, stderr } = await neo(await wordsOf(step, values), around);
    if (step.reloads) shop.reload();
    assert.ok([exit].flat().includes(exitCode), `neo ${line}: ${exitCode}: ${stdout}${stderr}`);
    assert.doesNotMatch(stdout + stderr, ESCAPE, line);
    if (exitCode === 0) assert.notEqual(stdout, "", line);
    if (isGolden && !line.includes("--json")) {
      texts.push(`$ neo ${line}\n${settled(stdout, folder.replace(/\/$/, ""))}`);
    }
  }
  const now = texts.join("\n");
  if (updates) writeFileSync(golden, now);
  else {assert.deepEqual(
      now.split("\n"),
      readFileSync(golden, "utf8").split("\n"),
      "read it, then NEO_UPDATE=1",
    );}
});

test("neo config watch prints each revision as it comes, until it has seen enough", async () => {
  await using shop = await CliCluster.started({ single: true, partitions: 1 });
  for (const [at, flags] of [[1, []], [2, ["--json"]]] as const) {
    const args = ["config", "watch", "--count", "1", ...flags];
    const child = spawnNeo(args, shop.around);
    const closed = once(child, "close");
    let stdout = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text);
    await once(child.stderr, "data"); // it has looked, and waits
    await shop.ok("config", "set", `storage.copyBytesPerS=${at}000000`, "--reason", "slow");
    const [exitCode] = await closed;
    assert.equal(exitCode, 0);
    await checkContract(args, exitCode, stdout);
    if (at === 1) assert.match(stdout, /^revision 1 by .*: slow\n.*storage\.copyBytesPerS/);
    else assert.deepEqual(JSON.parse(stdout).revision, 2);
  }
});

test("every command is run above, for people and for programs", () => {
  const inJson = (isJson: boolean) =>
    new Set(
      STEPS.filter(({ line }) => line.includes("--json") === isJson)
        .map(({ line }) => routeIn(line.split(" "))?.path.join(" ")),
    );
  const [text, json] = [inJson(false), inJson(true)];
  const watched = ["config watch"];
  for (const [command, path] of Object.entries(ELSEWHERE)) {
    const text = readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
    const line = command.split(" ").map((word) => `"${word}"`).join(", ");
    assert.ok(text.includes(line), `${path} doesn't run neo ${command}`);
  }
  for (const { path } of routes(root)) {
    const name = path.join(" ");
    if (name in ELSEWHERE || watched.includes(name)) continue;
    const what = "add lines with it to STEPS in tests/integration/contract_steps.ts, then NEO_UPDATE=1; "
      + "or name the test that runs it in ELSEWHERE";
    assert.ok(text.has(name), `neo ${name} isn't run: ${what}`);
    assert.ok(json.has(name), `neo ${name} --json isn't run: ${what}`);
  }
});
