/**
 * The real roles, with nothing hidden: their sources are copied to a folder of temporary files in which `#name` is the
 * ordinary property `$name`, and loaded from there. Only so can the state of a machine be read, kept and put back.
 * Nothing else is changed in them, and nothing of ours stands in the copied files.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";

/** What is loaded, by the name under which it is given: roles and what they need; the agreement of one is a test's. */
const ENTRIES = {
  master: "roles/master/master.ts",
  member: "roles/master/member.ts",
  consensus: "tests/solo_consensus.ts",
  metadata: "roles/master/metadata.ts",
  entries: "roles/master/entries.ts",
  storage: "roles/storage/storage.ts",
  client: "roles/client/client.ts",
  memory: "adapters/memory.ts",
  system: "adapters/system.ts",
  table: "core/partition_table.ts",
} as const;

/** The modules of the roles, of their memory disks, and what these need. */
export interface Roles {
  readonly master: typeof import("../../roles/master/master.ts");
  readonly member: typeof import("../../roles/master/member.ts");
  readonly consensus: typeof import("../solo_consensus.ts");
  readonly entries: typeof import("../../roles/master/entries.ts");
  readonly metadata: typeof import("../../roles/master/metadata.ts");
  readonly storage: typeof import("../../roles/storage/storage.ts");
  readonly client: typeof import("../../roles/client/client.ts");
  readonly memory: typeof import("../../adapters/memory.ts");
  readonly system: typeof import("../../adapters/system.ts");
  readonly table: typeof import("../../core/partition_table.ts");
}

/** This checkout. */
const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const PRIVATE = /(?<![\w$"'`#&])#([A-Za-z_]\w*)/g;
const IMPORT = /(\bfrom\s+|\bimport\s+)"([^"]+)"/g;

/** A source with its private names laid open, and its packages named so that they are found from anywhere. */
function opened(source: string): string {
  return source.replaceAll(PRIVATE, "$$$1").replaceAll(IMPORT, (all, word: string, specifier: string) => {
    if (specifier.startsWith(".") || specifier.startsWith("node:")) return all;
    return `${word}"${import.meta.resolve(specifier)}"`;
  });
}

/** The files that the entries need, with their new text. */
function collect(root: string): Map<string, string> {
  const found = new Map<string, string>();
  const visit = (path: string): void => {
    if (found.has(path)) return;
    const source = readFileSync(path, "utf8");
    found.set(path, opened(source));
    for (const [, , specifier] of source.matchAll(IMPORT)) {
      if (specifier!.startsWith(".")) visit(join(dirname(path), specifier!));
    }
  };
  for (const entry of Object.values(ENTRIES)) visit(join(root, entry));
  return found;
}

/** Writes the copy, once for each text of the sources; gives its folder. */
function copyOf(root: string): string {
  const files = [...collect(root)].map(([path, text]) => [relative(root, path), text] as const);
  const hash = createHash("sha256").update(JSON.stringify(files)).digest("hex").slice(0, 16);
  const folder = join(tmpdir(), `neo-explore-${process.getuid?.() ?? 0}-${hash}`);
  if (existsSync(folder)) return folder;
  const fresh = mkdtempSync(join(tmpdir(), "neo-explore-"));
  for (const [path, text] of files) {
    mkdirSync(dirname(join(fresh, path)), { recursive: true });
    writeFileSync(join(fresh, path), text);
  }
  try {
    renameSync(fresh, folder);
  } catch (error) {
    rmSync(fresh, { recursive: true });
    if (!existsSync(folder)) throw error; // else another process was faster, with the same text
  }
  return folder;
}

/** Loads the roles of a checkout, this one unless told. */
export async function loadRoles(root: string = ROOT): Promise<Roles> {
  const folder = copyOf(root);
  const loaded = Object.entries(ENTRIES).map(async ([name, path]) => {
    return [name, await import(pathToFileURL(join(folder, path)).href)] as const;
  });
  return Object.fromEntries(await Promise.all(loaded)) as unknown as Roles;
}
