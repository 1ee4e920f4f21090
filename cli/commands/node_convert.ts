/** `neo node convert` */
import { existsSync, rmSync } from "node:fs";
import { resolve } from "node:path";
import { StoreOpenError } from "../../adapters/store_errors.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { processesOf } from "../config.ts";
import type { ClusterConfig, NodeConfig } from "../config.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { copyStore } from "../convert_store.ts";
import { runningPidOf } from "../daemons.ts";
import { CliError } from "../exit.ts";
import { changeNode } from "../new_storage.ts";
import { nextCommand } from "../next.ts";
import {
  createStore,
  databaseFileOf,
  databaseUriOf,
  dropStore,
  openStore,
  retireStore,
  storeNameOf,
} from "../stores.ts";
import type { StoreOf } from "../stores.ts";
import { resolveFolder } from "../target.ts";

/** Where data may go. */
export const stores = ["sqlite", "postgres"] as const;

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  name: is.text,
  to: is.said("Where its data are now", is.text),
  retired: is.said("Where they were, under another name; yours to delete", is.text),
  transactions: is.count,
  revisions: is.count,
  bytes: is.count,
  next: is.step,
});

type Flags = CommonFlags & {
  readonly to: (typeof stores)[number];
  readonly database: string | undefined;
  readonly passwordFile: string | undefined;
};

/** Moves a stopped storage's data to a server, or to a file. Nothing is deleted; neo.toml changes when the copy is whole. */
export default async function nodeConvert({ output, world }: Cli, flags: Flags, name: string): Promise<void> {
  const config = resolveFolder(flags.cluster, world);
  const node = stoppedStorage(config, name, flags);
  const { database: _, passwordFile: __, ...rest } = node;
  const wanted: NodeConfig = { ...rest, ...placeOf(flags, config, name, world.cwd) };
  if (storeNameOf(wanted) === storeNameOf(node)) {
    throw new CliError("refused", `Cannot convert ${name}: its data are in ${storeNameOf(node)} already`);
  }
  const from = await openStore(node);
  let moved;
  try {
    await makeWay(wanted, from.state.identity.diskId);
    await createStore(wanted, from.state.identity);
    const to = await openStore(wanted);
    try {
      moved = await copyStore(from, to, (done, of) => output.progress(`${done} of ${of} partitions`));
    } finally {
      await to.close();
      output.endProgress();
    }
  } finally {
    await from.close();
  }
  changeNode(config, name, (part) => partWith(part, wanted));
  const retired = await retireStore(node);
  const next = nextCommand(`start ${name}`, flags);
  const { cluster } = config;
  if (output.json) {
    return output.printJson<Of<typeof answer>>({
      cluster,
      name,
      to: storeNameOf(wanted),
      retired,
      ...moved,
      next,
    });
  }
  output.print(`${output.style("bold", cluster)}: the data of ${name} are in ${storeNameOf(wanted)} now`);
  output.print(
    `Moved ${moved.revisions} revisions of ${moved.transactions} transactions, ${moved.bytes} bytes; all compared`,
  );
  output.print(`What it had before stays in ${retired}; delete it when nobody needs it`);
  output.print(`Next: ${next}`);
}

function stoppedStorage(config: ClusterConfig, name: string, flags: CommonFlags): NodeConfig {
  const node = config.nodes.find((one) => one.name === name && one.role === "storage");
  if (node === undefined) {
    throw new CliError("notFound", `Cannot convert ${name}: no storage of this machine has this name`);
  }
  const group = processesOf(config).find(({ nodes }) => nodes.includes(node));
  if (group === undefined) {
    throw new CliError("usage", `Cannot convert ${name} here: another machine runs it`);
  }
  if (runningPidOf(group) === undefined) return node;
  const hint = `stop it first: ${nextCommand(`stop ${group.name}`, flags)}`;
  throw new CliError("refused", `Cannot convert ${name}: it runs`, { hint });
}

function placeOf(
  { to, database, passwordFile }: Flags,
  { cluster }: ClusterConfig,
  name: string,
  cwd: string,
): Pick<NodeConfig, "database" | "passwordFile"> {
  if (to === "sqlite") {
    if (database === undefined) return {};
    throw new CliError("usage", "Cannot convert to sqlite with --database: the file lies in the data folder");
  }
  if (database === undefined) {
    throw new CliError("usage", "Cannot convert to postgres without --database URI");
  }
  const uri = databaseUriOf(database, cluster, name);
  return {
    database: uri,
    ...(passwordFile === undefined ? {} : { passwordFile: resolve(cwd, passwordFile) }),
  };
}

/** Takes away what an earlier attempt has left, which was broken off: it has the node's own disk id, and neo.toml doesn't name it. */
async function makeWay(wanted: StoreOf & Pick<NodeConfig, "name">, diskId: string): Promise<void> {
  let left;
  try {
    left = await openStore(wanted);
  } catch (error) {
    if (error instanceof StoreOpenError && error.reason === "missing") return;
    if (error instanceof CliError && error.outcome === "notFound") return;
    throw error;
  }
  const isOwn = left.state.identity.diskId === diskId;
  await left.close();
  if (!isOwn) {
    const hint = "name another schema, or take what is there away";
    throw new CliError("refused", `Cannot convert ${wanted.name}: ${storeNameOf(wanted)} is another node's`, {
      hint,
    });
  }
  if (wanted.database !== undefined) return await dropStore(wanted);
  const file = databaseFileOf(wanted);
  for (const suffix of ["", "-wal", "-shm"]) if (existsSync(file + suffix)) rmSync(file + suffix);
}

function partWith(part: string, { database, passwordFile }: NodeConfig): string {
  const kept = part.replace(/^[ \t]*(database|passwordFile)[ \t]*=.*\n?/gm, "").trimEnd();
  const lines = Object.entries({ database, passwordFile }).flatMap(([key, value]) =>
    value === undefined ? [] : [`${key} = ${JSON.stringify(value)}`]
  );
  return `${[kept, ...lines].join("\n")}\n\n`;
}
