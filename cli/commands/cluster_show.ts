/** `neo cluster show` */
import { hexOf } from "../../core/ids.ts";
import { dateOfTid } from "../../core/tid.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { askStatus } from "../ask.ts";
import { backupAnswer, backupInWords, backupOf } from "../backup_view.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { inLine } from "../output.ts";
import { packAnswer, packInWords, packOf } from "../pack_view.ts";
import { oldestAnswer, oldestOf } from "../snapshot_view.ts";
import { resolveTarget } from "../target.ts";

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  clusterId: is.text,
  state: is.text,
  primary: is.text,
  epoch: is.count,
  generation: is.count,
  tableVersion: is.count,
  partitions: is.count,
  replicas: is.count,
  storages: is.count,
  origin: is.said("Of the file that was imported first; empty: of none", is.text),
  lastTid: is.id,
  lastTime: is.nullable(is.time),
  clients: is.count,
  waitingFor: is.text,
  oldestSnapshot: oldestAnswer,
  backup: backupAnswer,
  pack: packAnswer,
  uri: is.text,
});

/** Prints what a cluster is. */
export default async function clusterShow(
  { output, world }: Cli,
  flags: CommonFlags & { readonly wait: number },
): Promise<void> {
  const target = resolveTarget(flags.cluster, world);
  const status = await askStatus(target, { withinMs: flags.wait });
  const { nodes, lastTid, generation, version, ...rest } = status;
  const backup = backupOf(status) ?? null;
  const pack = packOf(status) ?? null;
  const oldest = oldestOf(status) ?? null;
  const storages = nodes.filter(({ role, index }) => role === "storage" && index > 0).length;
  const lastTime = lastTid === 0n ? null : new Date(dateOfTid(lastTid)).toISOString();
  const view = {
    ...rest,
    generation,
    tableVersion: version,
    storages,
    lastTid: hexOf(lastTid),
    lastTime,
    backup,
    pack,
    oldestSnapshot: oldest,
    uri: target.uri,
  };
  if (output.json) return output.printJson<Of<typeof answer>>(view);
  const lines: readonly (readonly [string, string])[] = [
    ["Cluster", view.cluster],
    ["Id", view.clusterId],
    ["State", view.state],
    ["Primary", `${view.primary}, epoch ${view.epoch}`],
    ["Table", `version ${generation}.${version}, ${view.partitions} partitions`],
    ["Copies", `${view.replicas + 1} of each partition, on ${storages} storages`],
    ["Last tid", lastTime === null ? "none" : `${view.lastTid} at ${lastTime}`],
    ...(backup === null
      ? []
      : [
        [
          "Backup",
          `${backupInWords(backup).slice("backup ".length)}${backup.problem && `; ${backup.problem}`}`,
        ] as const,
      ]),
    ...(pack === null ? [] : [["History", packInWords(pack).slice("history is ".length)] as const]),
    ...(oldest === null
      ? []
      : [
        [
          "Oldest",
          `snapshot ${oldest.tid} of client ${inLine(oldest.client)}, open since ${oldest.since}`,
        ] as const,
      ]),
    ["Clients", String(view.clients)],
    ["URI", view.uri],
  ];
  for (const [name, value] of lines) output.print(`${output.style("dim", `${name}:`.padEnd(10))}${value}`);
}
