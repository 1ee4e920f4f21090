/**
 * What a commit does when others want the same objects: it gives locks to older transactions where a storage says
 * `deadlock`, and has its conflicts resolved by its program, whose locks stay meanwhile.
 */
import type { Conn, Oid } from "../../core/ids.ts";
import type { Resolution } from "./calls.ts";
import { isBefore, itemOf } from "./plan.ts";
import type { Conflict, Running } from "./plan.ts";
import type { Site } from "./site.ts";
import type { Votes } from "./votes.ts";

/** Locks and conflicts of commits. */
export class Contention {
  #site: Site;
  #votes: Votes;

  constructor(site: Site, votes: Votes) {
    this.#site = site;
    this.#votes = votes;
  }

  /** An older transaction waits for an object at a storage: obeyed now, or when `finish` turns out to be in vain. */
  deadlock(running: Running, conn: Conn, oid: Oid): void {
    if (running.step === "finishing") running.deadlocks.push({ conn, oid });
    else if (isBefore(running)) this.#votes.relock(running, conn, oid);
  }

  /** The primary has answered `missing`: what was put off is done. */
  obey(running: Running): void {
    for (const { conn, oid } of running.deadlocks.splice(0)) this.#votes.relock(running, conn, oid);
  }

  /** All nodes have answered, some with conflicts: its program is told, if it can resolve them. False: it can't. */
  tell(running: Running): boolean {
    const { conflicts, items, commit, call } = running;
    const all: Conflict[] = [...conflicts.values()];
    const isWrite = ({ oid }: Conflict): boolean => {
      const item = items.get(oid);
      return item?.mode === "store" && item.link === null && item.data !== null;
    };
    if (commit.resolves !== true || !all.every(isWrite)) return false;
    const round = running.resolving.round + 1;
    running.step = "resolving";
    running.resolving = { round, conflicts: all };
    this.#site.emit({ do: "output", output: { type: "conflict", call, round, conflicts: all } });
    return true;
  }

  /** Sends what its program made of the conflicts it was told of, on top of what was saved. False: they can't be resolved. */
  resolve(running: Running, resolutions: readonly Resolution[] | undefined): boolean {
    const { conflicts, items } = running;
    const data = new Map(resolutions?.map((resolution) => [resolution.oid, resolution.data]));
    const again = new Set<Oid>();
    for (const { oid, saved } of running.resolving.conflicts) {
      const resolved = data.get(oid);
      if (resolved === undefined) return false;
      if (conflicts.get(oid)?.saved !== saved) continue; // it has changed once more
      const { partitions } = this.#site.view.table!;
      items.set(oid, itemOf({ oid, base: saved, data: resolved }, partitions, this.#site.ports));
      conflicts.delete(oid);
      again.add(oid);
    }
    running.step = "voting";
    this.#votes.prune(running);
    for (const voter of [...running.voters.values()]) {
      const own = voter.oids.filter((oid) => again.has(oid));
      if (own.length > 0 && voter.state !== "failed") this.#votes.sendAgain(running, voter, own);
    }
    return true;
  }
}
