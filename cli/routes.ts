/** A table of commands, as a list: for the manual, for hints, for completion, for tests. */
import type { Command, RouteMap } from "@stricli/core";
import { declarationOf } from "./command_spec.ts";
import type { Declaration } from "./command_spec.ts";
import type { Cli } from "./context.ts";

/** A command with the words that lead to it. */
export interface Route {
  readonly path: readonly string[];
  readonly command: Command<Cli>;
  readonly declaration: Declaration;
}

/** A command, or a table of them. */
export type Target = Command<Cli> | RouteMap<Cli>;

/** Every command of a table, in the order of the help. */
export function routes(from: Target, path: readonly string[] = []): Route[] {
  if (!("getAllEntries" in from)) {
    const declaration = declarationOf(from);
    if (declaration === undefined) throw new TypeError(`neo ${path.join(" ")} wasn't made by command()`);
    return [{ path, command: from, declaration }];
  }
  return from.getAllEntries().flatMap(({ name, target }) =>
    routes(target, [...path, name["convert-camel-to-kebab"]])
  );
}

/**
 * The words of a command line that lead to a command, as far as they do.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { root } from "./app.ts";
 * import { pathIn } from "./routes.ts";
 * assert.deepEqual(pathIn(["node", "add", "s3"], root), ["node", "add"]);
 * assert.deepEqual(pathIn(["node", "--json"], root), ["node"]);
 * ```
 */
export function pathIn(words: readonly string[], from: Target): string[] {
  const path: string[] = [];
  let at = from;
  for (const word of words) {
    if (!("getAllEntries" in at)) break;
    const entries: readonly { readonly name: object; readonly target: Target }[] = at.getAllEntries();
    const entry = entries.find(({ name }) => Object.values(name).includes(word));
    if (entry === undefined) break;
    path.push(word);
    at = entry.target;
  }
  return path;
}
