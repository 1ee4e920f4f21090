// deno-lint-ignore-file no-console
/**
 * Checks the rules that this repository sets itself: who may import whom, lengths, leftovers, timers,
 * machine paths, and features without a test. The rules stand in `tidy_rules.ts`.
 *
 *     deno task tidy
 *
 * @module
 */

import { readdirSync, readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import process from "node:process";
import { FEATURE_IDS } from "./feature_ids.ts";
import { type SourceFile, sourceFile } from "./source_text.ts";
import { featuresWithoutTest, type Finding, findingsIn } from "./tidy_rules.ts";

/** Folders whose files nobody writes by hand. */
const SKIPPED = new Set(["node_modules", ".git", ".dprint", "coverage"]);
const TEXT = /(\.(ts|js|json|jsonc|md|yml|yaml|toml|sh|lock)|^run|^\.gitignore|^LICENSE)$/;

/** Every text file below `root`, in the order of their paths. */
export function readTree(root: string): SourceFile[] {
  const files: SourceFile[] = [];
  const visit = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory() && !SKIPPED.has(entry.name)) visit(path);
      if (!entry.isFile() || !TEXT.test(entry.name)) continue;
      files.push(sourceFile(relative(root, path).replaceAll(sep, "/"), readFileSync(path, "utf8")));
    }
  };
  visit(root);
  return files.sort((a, b) => a.path < b.path ? -1 : 1);
}

/** All findings in `files`, warnings first. */
export function tidy(files: readonly SourceFile[]): Finding[] {
  const findings = [...files.flatMap(findingsIn), ...featuresWithoutTest(files, FEATURE_IDS)];
  return findings.sort((a, b) => a.level < b.level ? 1 : a.level > b.level ? -1 : 0);
}

function main(): void {
  const files = readTree(join(import.meta.dirname ?? ".", ".."));
  const findings = tidy(files);
  for (const { level, path, line, message } of findings) console.log(`${level}: ${path}:${line} ${message}`);
  const errors = findings.filter(({ level }) => level === "error").length;
  console.log(`tidy: ${files.length} files, ${errors} errors, ${findings.length - errors} warnings`);
  if (errors > 0) process.exitCode = 1;
}

if (import.meta.main) main();
