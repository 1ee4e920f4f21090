/** One look at a cluster, to be judged: what its primary says, the clock and the disks of this machine. */
import { statfsSync } from "node:fs";
import { DatabaseError } from "../core/errors.ts";
import { askStatus } from "./ask.ts";
import { isHere } from "./config.ts";
import type { Look } from "./judge.ts";
import type { Target } from "./target.ts";

/** Asks the primary, and looks at the disks of this machine. */
export async function look(target: Target, withinMs: number): Promise<Look> {
  const disks = target.kind === "folder"
    ? target.config.nodes.filter((node) => isHere(target.config, node) && node.role !== "admin").flatMap(
      diskOf,
    )
    : [];
  try {
    return { status: await askStatus(target, { withinMs }), problem: "", wallMs: Date.now(), disks };
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    return { status: undefined, problem: error.message, wallMs: Date.now(), disks };
  }
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
