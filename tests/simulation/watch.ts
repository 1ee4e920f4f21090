/** What checkers see of machines while they run. */
import type { MemberMachine } from "../../roles/master/member.ts";
import type { Cluster } from "./cluster.ts";
import { simDigest } from "./digest.ts";
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
  readonly lastTid: bigint;
  readonly table: string;
}

/** How the newest primary that runs sees it, if one does. */
export function masterOf(cluster: Cluster): MasterView | undefined {
  const views = cluster.masters.flatMap(({ machine }) =>
    (machine as { readonly view?: MasterView } | undefined)?.view ?? []
  );
  return views.sort((a, b) => b.epoch - a.epoch)[0];
}

/** The same is held at the same place of every master's log, whichever process of it, and a term has one leader. */
export function watchAgreement(history: History, masters: Cluster["masters"]): (step: Step) => void {
  const known = new Map<number, string>(); // what the log has made up to a place
  const seen = new Map<string, number>();
  const leaders = new Map<number, string>(); // of each term
  return ({ node }) => {
    const master = node.startsWith("m") ? masters.find(({ name }) => name === node) : undefined;
    const machine = master?.machine as Partial<MemberMachine> | undefined;
    const part = machine?.part;
    if (part?.role === "leader") {
      const leader = leaders.get(part.term) ?? node;
      leaders.set(part.term, leader);
      if (leader !== node) history.breach(`${leader} and ${node} both lead in term ${part.term}`);
    }
    if (part === undefined || seen.get(node) === part.commit) return;
    const held = machine?.held; // takes its time: an image of all metadata
    if (held === undefined) return;
    seen.set(node, part.commit);
    const digest = simDigest(held.image).join(" ");
    const other = known.get(held.commit) ?? digest;
    known.set(held.commit, other);
    if (other !== digest) {
      history.breach(`${node} holds something else up to place ${held.commit} than others`);
    }
  };
}

/**
 * What isn't over yet, a line a node: finishes that wait at the master, what storages hold or keep waiting, what clients
 * have under way. A client that has nothing to do waits for no deadline either.
 */
export function remainsOf(cluster: Cluster): string[] {
  const { storages, clients } = cluster;
  const view = masterOf(cluster);
  const all = [remains("the primary", view && { pending: view.pending })];
  if (view && view.phase !== "running") all.push(`the primary is ${view.phase}`);
  if (view && /\d[OF]/.test(view.table)) {
    all.push(`not all copies are readable, or some should go: ${view.table}`);
  }
  for (const { name, machine, plan: { disk } } of storages) {
    if (!cluster.indexes.has(name)) continue; // what was dropped keeps what it has, until somebody erases it
    const { transactions, parked, reads } = (machine as { readonly load?: StorageLoad })?.load ?? {};
    all.push(remains(name, machine && { transactions, parked, reads, rows: disk?.temporary ?? 0 }));
  }
  for (const { name, node: { machine }, session, feed } of clients) {
    if (feed?.last !== undefined && view && feed.last !== view.lastTid) {
      all.push(`${name}: its change feed is at ${feed.last}, ${view.lastTid} is published`);
    }
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

/** Learns by which number the newest primary calls each storage. */
export function watchMembers(indexes: Map<string, number>): (step: Step) => void {
  const names = new Map<unknown, string>(); // by connection of the newest primary
  return ({ node, event, effects }) => {
    if (!node.startsWith("m")) return;
    if (event.type === "identified") {
      const { conn, hello } = event as unknown as { conn: unknown; hello: { name: string } };
      names.set(`${node} ${conn}`, hello.name);
    }
    for (const effect of effects) {
      if (effect.do === "reject" && effect.error.code === "unknownNode") {
        indexes.delete(names.get(`${node} ${effect.conn}`) ?? "");
      }
      if (effect.do !== "ask" || effect.message.name !== "fence") continue;
      const name = names.get(`${node} ${effect.conn}`);
      if (name !== undefined) indexes.set(name, effect.message.body.node);
    }
  };
}

/** What a master publishes has growing tids, whichever process of it; and an epoch has one primary. */
export function watchPublication(
  history: History,
  startsOf: (node: string) => number,
): (step: Step) => void {
  const lasts = new Map<string, bigint>(); // a deposed primary may say late what its successor has published
  const primaries = new Map<number, string>();
  return ({ node, effects }) => {
    for (const effect of effects) {
      if (effect.do === "ask" && (effect.message.name === "fence" || effect.message.name === "lock")) {
        const { epoch } = effect.message.body;
        const who = `${node}, process ${startsOf(node)}`;
        const primary = primaries.get(epoch) ?? who;
        primaries.set(epoch, primary);
        if (primary !== who) history.breach(`epoch ${epoch} has two primaries: ${primary} and ${who}`);
      }
      const isFinish = effect.do === "answer" && effect.message.name === "finish";
      const isInvalidation = effect.do === "tell" && effect.message.name === "invalidate";
      if (!isFinish && !isInvalidation) continue;
      const { tid } = effect.message.body as { tid: bigint };
      const last = lasts.get(node) ?? 0n;
      if (tid < last || (tid === last && isFinish)) {
        history.breach(`${node} published tid ${tid} after ${last}`);
      }
      lasts.set(node, tid);
    }
  };
}
