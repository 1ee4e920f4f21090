/** What checkers see of machines while they run. */
import type { Cluster } from "./cluster.ts";
import type { History } from "./history.ts";
import type { Step } from "./trace.ts";

/** What a storage holds that isn't final, and what waits there. */
interface StorageLoad {
  readonly transactions: number;
  readonly parked: number;
  readonly reads: number;
}

/** What a client has under way. */
interface ClientLoad {
  readonly commits: number;
  readonly reads: number;
}

/** How a master sees its cluster. */
export interface MasterView {
  readonly phase: string;
  readonly epoch: number;
  readonly pending: number;
  readonly table: string;
}

/** How the master that runs sees it, if one does. */
export function masterOf(cluster: Cluster): MasterView | undefined {
  return (cluster.master.machine as { readonly view?: MasterView } | undefined)?.view;
}

/**
 * What isn't over yet, a line a node: finishes that wait at the master, what storages hold or keep waiting, what clients
 * have under way. A client that has nothing to do waits for no deadline either.
 */
export function remainsOf(cluster: Cluster): string[] {
  const { master, storages, clients } = cluster;
  const view = masterOf(cluster);
  const all = [remains(master.name, view && { pending: view.pending })];
  if (view && view.phase !== "running") all.push(`${master.name} is ${view.phase}`);
  for (const { name, machine } of storages) {
    const { transactions, parked, reads } = (machine as { readonly load?: StorageLoad })?.load ?? {};
    all.push(remains(name, machine && { transactions, parked, reads }));
  }
  for (const { name, node: { machine }, session } of clients) {
    const { commits, reads } = (machine as { readonly load?: ClientLoad })?.load ?? {};
    const deadlines = machine?.due() === undefined ? 0 : 1;
    all.push(
      remains(
        name,
        machine && { workers: session?.running, calls: session?.calls, commits, reads, deadlines },
      ),
    );
  }
  return all.filter((line) => line !== "");
}

/** A node and the counts that aren't 0; empty when all are. A node that is down isn't in order, nor is an unknown count. */
function remains(name: string, counts: { readonly [what: string]: number | undefined } | undefined): string {
  if (counts === undefined) return `${name} is down`;
  const open = Object.entries(counts).filter(([, count]) => count !== 0);
  return open.length === 0 ? "" : `${name}: ${open.map(([what, count]) => `${count} ${what}`).join(", ")}`;
}

/** What a master publishes has growing tids, whichever process of it. */
export function watchPublication(history: History): (step: Step) => void {
  let last = 0n;
  return ({ node, effects }) => {
    for (const effect of effects) {
      const isFinish = effect.do === "answer" && effect.message.name === "finish";
      const isInvalidation = effect.do === "tell" && effect.message.name === "invalidate";
      if (!isFinish && !isInvalidation) continue;
      const { tid } = effect.message.body as { tid: bigint };
      if (tid < last || (tid === last && isFinish)) {
        history.breach(`${node} published tid ${tid} after ${last}`);
      }
      last = tid;
    }
  };
}
