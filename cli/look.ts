/** One look at a cluster, to be judged: what its primary says, the clock and the disks of this machine. */
import { statfsSync } from "node:fs";
import { DatabaseError } from "../core/errors.ts";
import { askStatus, operatorsOf } from "./ask.ts";
import { isHere } from "./config.ts";
import { currentConfig } from "./config_questions.ts";
import type { Look } from "./judge.ts";
import type { Target } from "./target.ts";
import { list, listed } from "./tls_folder.ts";

/** Asks the primary, and looks at the disks of this machine. */
export async function look(target: Target, withinMs: number): Promise<Look> {
  const disks = target.kind === "folder"
    ? target.config.nodes.filter((node) => isHere(target.config, node) && node.role !== "admin").flatMap(
      diskOf,
    )
    : [];
  const certificates = certificatesOf(target);
  try {
    const status = await askStatus(target, { withinMs });
    // who has no primary knows of no configuration either
    const { settings } = status.state === "running"
      ? await currentConfig(target, withinMs)
      : { settings: [] };
    return { status, problem: "", wallMs: Date.now(), disks, certificates, settings };
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    return { status: undefined, problem: error.message, wallMs: Date.now(), disks, certificates };
  }
}

/** Those of a folder that are in use; else the one that we show. */
function certificatesOf(target: Target): { readonly of: string; readonly untilMs: number }[] {
  const own = operatorsOf(target);
  if (own === undefined) return [];
  const { tls } = target.kind === "folder" ? target.config : { tls: undefined };
  const found = tls === undefined ? [listed(own.cert, false)] : list(tls).filter(({ isOld }) => !isOld);
  return found.map(({ role, name, untilMs }) => ({ of: `${role} ${name}`, untilMs }));
}

function diskOf({ name, data }: { readonly name: string; readonly data: string }) {
  try {
    const { bavail, bsize } = statfsSync(data);
    return [{ node: name, freeBytes: bavail * bsize }];
  } catch (error) {
    if ((error as { code?: unknown }).code === "ENOENT") return []; // its folder isn't made yet
    throw error;
  }
}
