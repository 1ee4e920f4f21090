/**
 * The rules of this repository that a machine can check. Each takes one file and says what is wrong.
 *
 * @module
 */

import { functionsOf } from "./function_length.ts";
import { type Import, importsOf, lineAt, type SourceFile, testTitlesOf } from "./source_text.ts";

/** What a rule found. Warnings are printed, errors fail the run. */
export interface Finding {
  readonly level: "error" | "warning";
  readonly path: string;
  readonly line: number;
  readonly message: string;
}

const FILE_LINES_WARN = 300;
const FILE_LINES_MAX = 500;
const FUNCTION_LINES_MAX = 70;

/** Which folders may name a package; a package that isn't listed here belongs to the tests and scripts. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  cborg: ["core", "objects"],
  "@logtape/logtape": ["adapters", "cli"],
  "@stricli/core": ["cli"],
  "@peculiar/x509": ["cli"],
  nodemailer: ["cli"],
  postgres: ["adapters"],
  "reflect-metadata": ["cli"],
  "smol-toml": ["adapters", "cli"],
  zod: ["cli"],
};

/** Which paths each folder may import: core knows nothing, roles decide, adapters do, objects model. */
const MAY_IMPORT: Readonly<Record<string, RegExp>> = {
  core: /^core\//,
  roles: /^(core\/|roles\/[^/]+$)/,
  adapters: /^(core|adapters)\//,
  objects: /^(core\/|objects\/|roles\/client\/|mod\.ts$)/,
};

/** Folders that decide: everything they know comes in as an argument or through a port. */
const PURE = ["core", "roles", "objects"];

/** Every rule that looks at one file. */
export function findingsIn(file: SourceFile): Finding[] {
  const rules = [fileLength, leftovers, places];
  if (file.path.endsWith(".ts")) rules.push(importRule, functionLength, timers, hiddenInputs);
  return rules.flatMap((rule) => rule(file));
}

/** Feature ids that stand in no test's title. Looks at `*_test.ts` and everything in `tests/`. */
export function featuresWithoutTest(files: readonly SourceFile[], ids: readonly string[]): Finding[] {
  const titles = files.filter((file) => isTest(file.path)).flatMap(testTitlesOf).join("\n");
  const proven = new Set(titles.match(/\b[A-Z]\d+\b/g));
  const missing = ids.filter((id) => !proven.has(id));
  if (missing.length === 0) return [];
  const message = `no test names ${missing.join(" ")}; put the id in the title of the test that proves it`;
  return [{ level: "error", path: "scripts/feature_ids.ts", line: 1, message }];
}

function isTest(path: string): boolean {
  return path.startsWith("tests/") || path.endsWith("_test.ts");
}

/** `roles` for `roles/master/phases.ts`, `mod.ts` for itself. */
function folderOf(path: string): string {
  return path.split("/", 1)[0] ?? path;
}

function error(file: SourceFile, line: number, message: string): Finding {
  return { level: "error", path: file.path, line, message };
}

/** One error for each match of `pattern`, in code or, with `text`, in everything that is written. */
function each(file: SourceFile, where: "code" | "text", pattern: RegExp, message: string): Finding[] {
  return [...file[where].matchAll(pattern)].map((match) =>
    error(file, lineAt(file[where], match.index), message.replace("%", match[0]))
  );
}

function fileLength(file: SourceFile): Finding[] {
  if (!file.path.endsWith(".ts")) return [];
  const lines = file.text.trimEnd().split("\n").length;
  if (lines <= FILE_LINES_WARN) return [];
  const level = lines > FILE_LINES_MAX && !isTest(file.path) ? "error" : "warning";
  const message = `${lines} lines; split files over ${FILE_LINES_WARN}, at most ${FILE_LINES_MAX}`;
  return [{ level, path: file.path, line: 1, message }];
}

function functionLength(file: SourceFile): Finding[] {
  return functionsOf(file.code).filter(({ lines }) => lines > FUNCTION_LINES_MAX).map((span) => ({
    level: isTest(file.path) ? "warning" : "error",
    path: file.path,
    line: span.line,
    message: `${span.name} has ${span.lines} lines, at most ${FUNCTION_LINES_MAX}`,
  }));
}

/** Put together here, so that this file doesn't hold what it looks for. */
const LEFTOVERS = new RegExp(`\\b(${["TO" + "DO", "FIX" + "ME", "X".repeat(3)].join("|")})\\b`, "g");

function leftovers(file: SourceFile): Finding[] {
  return each(file, "text", LEFTOVERS, "% is left; do it, or open an issue");
}

/** A path into somebody's machine, or a host that only one network knows. */
const PLACES = new RegExp(
  `(?<![\\w.~*\\-/])/(${["work", "root", "home", "Users"].join("|")})/`
    + "|https?://[\\w.-]*(mirror|proxy|artifact|\\.internal|\\.local\\b|\\.lan\\b)[\\w.-]*"
    + "|https?://(?!registry\\.npmjs\\.org)registry[\\w.-]+",
  "g",
);

function places(file: SourceFile): Finding[] {
  return each(file, "text", PLACES, "% belongs to one machine; take it from the environment");
}

const TIMERS =
  /\b(setTimeout|setInterval|setImmediate|Atomics\s*\.\s*wait(Async)?|AbortSignal\s*\.\s*timeout)\b|(?<!\.)\bsleep(?=\s*\()/g;

function timers(file: SourceFile): Finding[] {
  if (file.path === "adapters/system.ts" || isTest(file.path)) return [];
  const message = "% is a timer; they live in adapters/system.ts, ask its Clock for a deadline";
  const modules = importsOf(file).filter(({ specifier }) => /^(node:)?timers(\/|$)/.test(specifier));
  return [
    ...each(file, "code", TIMERS, message),
    ...modules.map(({ specifier, line }) => error(file, line, message.replace("%", specifier))),
  ];
}

const HIDDEN_INPUTS =
  /\b(Date\s*\.\s*now|new Date(?=\s*(\(\s*\)|[^(\s]))|performance\s*\.\s*now|Math\s*\.\s*random|crypto\s*\.\s*(subtle|getRandomValues|randomUUID)|(process|Buffer|Deno)(?=\s*\.))\b|\b(Date\s*\(\s*\))/g;

/** Time, chance and the machine reach core and roles as arguments and ports, or no run could be replayed. */
function hiddenInputs(file: SourceFile): Finding[] {
  const folder = folderOf(file.path);
  if (!isTest(file.path) && PURE.includes(folder)) {
    return each(file, "code", HIDDEN_INPUTS, `% reaches around the ports, which ${folder} must not`);
  }
  return [];
}

function importRule(file: SourceFile): Finding[] {
  if (isTest(file.path)) return [];
  return importsOf(file).flatMap((found) => {
    const message = whyNot(file.path, found);
    return message === undefined ? [] : [error(file, found.line, message)];
  });
}

/** Why this file may not import that, if so. */
function whyNot(path: string, { specifier, dynamic }: Import): string | undefined {
  const folder = folderOf(path);
  if (!specifier.startsWith(".")) return whyNotPackage(folder, specifier);
  const target = resolve(path, specifier);
  if (path === "mod.ts" && !dynamic && !/^(core|roles|objects)\//.test(target)) {
    return `mod.ts must not import ${target} statically: Node 20 can't load every adapter`;
  }
  const allowed = MAY_IMPORT[folder];
  if (allowed === undefined || allowed.test(target)) return undefined;
  if (folder === "roles" && mayShareRole(path, target)) return undefined;
  return `${folder} must not import ${target}; it may import ${allowed.source}`;
}

/** A role sees its own folder; `roles/mod.ts`, which lists what the roles give, sees every role. */
function mayShareRole(path: string, target: string): boolean {
  const role = path.split("/").slice(0, -1).join("/");
  return path === "roles/mod.ts"
    ? target.startsWith("roles/")
    : role !== "roles" && target.startsWith(`${role}/`);
}

function whyNotPackage(folder: string, specifier: string): string | undefined {
  if (["cli", "scripts"].includes(folder)) return undefined;
  if (specifier.startsWith("node:")) {
    return folder === "adapters" ? undefined : `${specifier} belongs in adapters, cli, scripts and tests`;
  }
  const name = specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/");
  const folders = PACKAGES[name];
  if (folders?.includes(folder)) return undefined;
  const where = folders === undefined ? "scripts and tests" : folders.join(" and ");
  return `${folder} must not import ${name}, which belongs in ${where}`;
}

/** `roles/host.ts` for `../host.ts` in `roles/master/phases.ts`. */
function resolve(path: string, specifier: string): string {
  const parts = path.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
}
