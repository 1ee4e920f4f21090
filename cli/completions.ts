/** What the last word of a command line may be. */
import { configKeys } from "../core/config_keys.ts";
import { CliError } from "./exit.ts";
import { inputsOf } from "./manual.ts";
import type { ManualInput } from "./manual.ts";
import { pathIn, routes } from "./routes.ts";
import type { Target } from "./routes.ts";
import { clustersByName, resolveFolder } from "./target.ts";
import type { Surroundings } from "./target.ts";

/** Names that stand for nodes, in arguments and behind flags. */
const NODES: readonly string[] = ["NODE", "NAME", "OF"];
const NODE_FLAGS: readonly string[] = ["--node", "--replace", "--ignore", "--from"];

/** Words behind `neo`, of which the last one is completed; empty: a new word begins. */
export function completions(words: readonly string[], around: Surroundings, commands: Target): string[] {
  const last = words.at(-1) ?? "";
  const { before, cluster } = withoutCluster(words.slice(0, -1));
  if (cluster === undefined) return begins(Object.keys(clustersByName(around.env)), last);
  const path = pathIn(before, commands);
  const below = routes(commands).filter((route) => path.every((word, at) => route.path[at] === word));
  const next = [...new Set(below.flatMap((route) => route.path[path.length] ?? []))];
  const isUnknown = before.some((word, at) => at >= path.length && !word.startsWith("-"));
  if (next.length > 0) return isUnknown ? [] : begins(next, last);
  const [route] = below;
  if (!route) return [];
  const { flags, arguments: args } = inputsOf(route);
  const asked = flags.find(({ name, short }) =>
    name === before.at(-1) || (short !== undefined && short === before.at(-1))
  );
  if (asked !== undefined && asked.accepts?.type !== "boolean") {
    return begins(valuesOf(asked, cluster, around), last);
  }
  if (last.startsWith("-")) return begins([...flags.map(({ name }) => name), "--help"], last);
  const given = before.slice(path.length).filter((word) => !word.startsWith("-")).length;
  const argument = args[given] ?? (args.at(-1)?.repeated ? args.at(-1) : undefined);
  return argument === undefined ? [] : begins(valuesOf(argument, cluster, around), last);
}

/** What stands before, without what names the cluster; `cluster` undefined: that is what is being typed. */
function withoutCluster(words: readonly string[]): { before: string[]; cluster: string | undefined } {
  const before: string[] = [];
  let cluster = "";
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    if (word !== "-C" && word !== "--cluster") before.push(word);
    else if (at === words.length - 1) return { before, cluster: undefined };
    else cluster = words[++at]!;
  }
  return { before, cluster };
}

function valuesOf(
  { name, placeholder = name, accepts }: ManualInput,
  cluster: string,
  around: Surroundings,
): readonly string[] {
  const some = accepts?.enum;
  if (some !== undefined) return some.map(String);
  if (placeholder === "KEY") return configKeys.map(({ key }) => key);
  if (placeholder === "KEY=VALUE") return configKeys.map(({ key }) => `${key}=`);
  return NODES.includes(placeholder) || NODE_FLAGS.includes(name) ? nodesOf(cluster, around) : [];
}

/** Names of the nodes; none where there is no cluster. */
function nodesOf(cluster: string, around: Surroundings): string[] {
  try {
    return resolveFolder(cluster || undefined, around).nodes.map(({ name }) => name);
  } catch (error) {
    if (error instanceof CliError) return [];
    throw error;
  }
}

function begins(words: readonly string[], start: string): string[] {
  return words.filter((word) => word.startsWith(start)).sort();
}
