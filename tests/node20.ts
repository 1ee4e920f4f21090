/** The library as Node 20 sees it: that one strips no types, so a copy without them is made for it. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import * as nodeModule from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { majorOf } from "../scripts/node_tests.ts";
import { type Import, importsOf, sourceFile } from "../scripts/source_text.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** Every module that `entry` imports, and their imports in turn, by path from the repository's root. */
export function moduleGraph(
  entry: string,
  options: { readonly dynamic: boolean },
): Map<string, readonly Import[]> {
  const graph = new Map<string, readonly Import[]>();
  const visit = (path: string): void => {
    if (graph.has(path)) return;
    const file = sourceFile(path, readFileSync(join(ROOT, path), "utf8"));
    const imports = importsOf(file).filter(({ dynamic }) => options.dynamic || !dynamic);
    graph.set(path, imports);
    for (const { specifier } of imports) if (specifier.startsWith(".")) visit(join(dirname(path), specifier));
  };
  visit(entry);
  return graph;
}

/** A Node 20 of this machine, or why there is none: `NEO_NODE20`, else the `node` of the path. */
export function findNode20(): { readonly met: boolean; readonly reason: string; readonly node: string } {
  const node = process.env["NEO_NODE20"] ?? "node";
  const { stdout } = spawnSync(node, ["--version"], { encoding: "utf8" });
  const met = majorOf(stdout ?? "") === 20 && nodeModule.stripTypeScriptTypes !== undefined;
  return { met, node, reason: "no Node 20: the path has none, and NEO_NODE20 doesn't name one" };
}

/** Runs a module under Node 20, beside a copy of `mod.js` and all that it can import; gives what it has printed. */
export async function runInNode20(node: string, source: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "neo-node20-"));
  try {
    for (const path of moduleGraph("mod.ts", { dynamic: true }).keys()) {
      const copy = join(folder, toJs(path));
      mkdirSync(dirname(copy), { recursive: true });
      const stripped = nodeModule.stripTypeScriptTypes(readFileSync(join(ROOT, path), "utf8"));
      writeFileSync(copy, stripped.replace(/(from |import\()"(\.[^"]+)\.ts"/g, '$1"$2.js"'));
    }
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
    writeFileSync(join(folder, "main.js"), source);
    const child = spawn(node, ["main.js"], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
    const [printed, complaint, [exitCode]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, "exit"),
    ]);
    if (exitCode !== 0) throw new Error(`Node 20 ended with ${exitCode}: ${complaint}`);
    return printed;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function toJs(path: string): string {
  return path.replace(/\.ts$/, ".js");
}
