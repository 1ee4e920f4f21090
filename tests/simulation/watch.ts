/** What checkers see of machines while they run. */
import type { Cluster } from "./cluster.ts";
import type { History } from "./history.ts";
import type { Step } from "./trace.ts";

/** What a storage holds that isn't final, and what waits there. */
export interface StorageLoad {
  readonly transactions: number;
  readonly parked: number;
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

/** How the storages that run see themselves. */
export function loadsOf(cluster: Cluster): (StorageLoad | undefined)[] {
  return cluster.storages.map(({ machine }) =>
    (machine as { readonly load?: StorageLoad } | undefined)?.load
  );
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
