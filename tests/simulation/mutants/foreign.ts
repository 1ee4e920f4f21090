/** Mutants by somebody who hadn't seen the others: small mistakes in a role, as they happen when one is tired. */
import type { Conn, Tid, Ttid } from "../../../core/ids.ts";
import { toTid, ZERO_TID } from "../../../core/ids.ts";
import type { Cluster } from "../cluster.ts";
import { labelOf } from "../trace.ts";
import type { AnyEffect, MutantCase, Wrapped } from "./kit.ts";
import { answering, bendAll, dieNow, LOSS, provoking, withBody, wrapAll } from "./kit.ts";

/** A question of a client that its master has and hasn't answered. */
interface Asked {
  readonly conn: Conn;
  readonly id: number;
}

/** By then a finish has arrived, and its answer hasn't. */
const FINISHED_MS = 6;
/** How long a lock is on its way. */
const LOCKED_MS = 60;
/** How long a disk is full. */
const FULL_MS = 15_000;
/** A master hears the others between its answer and the end of the session that follows. */
const HELD_MS = 29;
/** By then an unlock has arrived. */
const UNLOCKED_MS = 5;
/** When the caller of a commit gives it up. */
const CANCEL_MS = 25;

/** One condition with a case less, one step too soon, one thing twice. */
export const foreignMutants: readonly MutantCase[] = [
  {
    breaks: "a primary doesn't know which tids its predecessor gave (5, verification)",
    mutate: ({ storages }) => bendAll(storages, answering("fence", (body) => ({ ...body, lastTids: [] }))),
    noticed: /published tid|sync gave tid|heard of tid|had been acknowledged|can't commit/,
    seed: 1,
  },
  {
    breaks: "a commit whose answer was lost counts as refused (5.8)",
    mutate: (cluster) => {
      for (const { node: client } of cluster.clients) {
        const provoke = provoking(cluster, () => resetBetween(cluster, client.name, cluster.master.name));
        wrapAll([client], () => (event, step) => {
          const isLost = event.type === "failed" && event.name === "finish" && event.error.code === "lost";
          const effects = step(isLost ? { ...event, error: { ...event.error, code: "aborted" } } : event);
          const isAsked = effects.some((effect) => labelOf(effect) === "ask finish");
          if (isAsked) cluster.world.after(FINISHED_MS, provoke);
          return effects;
        });
      }
    },
    noticed: /was refused .* and is there/,
    seed: 1,
  },
  {
    breaks: "a sync shows what is only accepted (6, publication)",
    mutate: (cluster) => {
      const { master, storages, network, world } = cluster;
      const provoke = provoking(cluster, () => {
        for (const { name } of storages) network.holdOneWay(master.name, name, world.nowMs + LOCKED_MS);
      });
      wrapAll([master], () => {
        let accepted = ZERO_TID;
        const early = answering("sync", (body) => ({
          ...body,
          lastTid: accepted > body.lastTid ? accepted : body.lastTid,
        }));
        return (event, step) =>
          step(event).map((effect) => {
            if (effect.do !== "ask" || effect.message.name !== "lock") return early(effect);
            accepted = effect.message.body.tid;
            provoke();
            return effect;
          });
      });
    },
    noticed: /read object|read accounts|read apart|was read as|heard of tid|lists:|lost update|was told of/,
    seed: 3,
  },
  {
    breaks: "a source of a copy leaves out the transaction that is the target itself (T8)",
    mutate: ({ storages }) =>
      wrapAll(storages, () => (event, step) => {
        if (event.type !== "asked") return step(event);
        const { name, body } = event.message;
        if (name !== "rows" && name !== "slices" && name !== "keys") return step(event);
        return step(withBody(event, { upTo: toTid(body.upTo > 0n ? body.upTo - 1n : 0n) }));
      }),
    isFlapping: true,
    noticed: LOSS,
    seed: 1,
  },
  {
    breaks: "what was copied while the cluster recovered counts as all that there is (6, catch-up)",
    mutate: ({ storages }) =>
      wrapAll(storages, () => {
        let lastTid = ZERO_TID;
        return (event, step) => {
          if (event.type === "asked" && event.message.name === "start") {
            lastTid = event.message.body.lastTid as Tid;
          }
          return step(event).map((effect): AnyEffect => {
            if (effect.do !== "ask" || effect.message.name !== "catchUp") return effect;
            const { epoch, cells } = effect.message.body;
            const all = cells.map((cell) => ({ ...cell, covered: cell.covered ?? lastTid }));
            return { ...effect, message: { name: "catchUp", body: { epoch, cells: all } } };
          });
        };
      }),
    isFlapping: true,
    noticed: LOSS,
    seed: 1,
  },
  {
    breaks: "verification takes a transaction that is final at home for dropped (5, verification)",
    mutate: (cluster) => {
      const { master, storages, world } = cluster;
      for (const { plan } of storages) plan.disk!.lazyMs = Infinity;
      let turn = 0;
      const provoke = provoking(cluster, () => {
        const storage = storages[turn++ % storages.length]!;
        for (const node of [storage, master]) world.after(UNLOCKED_MS, () => dieNow(node, world));
      });
      wrapAll([master], () => (event, step) => {
        const isFate = event.type === "answered" && event.context.of === "verifyFate";
        const effects = step(isFate ? { ...event, message: { name: "fate", body: { tid: null } } } : event);
        if (effects.some((effect) => labelOf(effect) === "tell unlock")) provoke();
        return effects;
      });
    },
    noticed: LOSS,
    seed: 3,
  },
  {
    breaks: "an outcome is said to be none while the finish is still judged (B11, X7)",
    mutate: (cluster) => {
      const { master, storages, clients, network, world } = cluster;
      const [full, ...others] = storages;
      let isFull = false;
      const fill = provoking(cluster, () => {
        isFull = true;
        full!.fillDisk(true);
        world.after(FULL_MS, () => {
          isFull = false;
          full!.fillDisk(false);
        });
      });
      for (const { node: client } of clients) {
        wrapAll([client], () => (event, step) => {
          const effects = step(event);
          for (const effect of effects) {
            if (labelOf(effect) === "ask vote" && !isFull) fill();
            if (effect.do !== "ask" || effect.message.name !== "finish") continue;
            if (effect.message.body.failed.length === 0 || !cluster.isDisturbed) continue;
            // the others are heard before one is outdated: the finish waits until then
            for (const { name } of others) network.holdOneWay(name, master.name, world.nowMs + HELD_MS);
            const { call } = effect.context as unknown as { readonly call: number };
            world.after(CANCEL_MS, () => client.call({ type: "cancel", call }));
          }
          return effects;
        });
      }
      wrapAll([master], () => hasty());
    },
    isFlapping: true,
    noticed: /was refused .* and is there/,
    seed: 1,
  },
];

/** The connections between two nodes end. */
function resetBetween({ network }: Cluster, one: string, other: string): void {
  for (const link of network.links) {
    const names = link.ends.map(({ transport }) => transport.node);
    if (link.alive && names.includes(one) && names.includes(other)) link.reset();
  }
}

/** Says at once that nothing became of a transaction whose finish waits, and goes on with that finish later. */
function hasty(): Wrapped {
  const waiting = new Map<number, Ttid>(); // by request
  return (event, step) => {
    const { conn, id } = event as unknown as Asked;
    if (event.type === "asked" && event.message.name === "outcome") {
      const { ttid } = event.message.body;
      if ([...waiting.values()].includes(ttid)) {
        return [{ do: "answer", conn, id, message: { name: "outcome", body: { tid: null } } } as AnyEffect];
      }
    }
    const effects = step(event);
    if (event.type === "asked" && event.message.name === "finish") waiting.set(id, event.message.body.ttid);
    for (const effect of effects) {
      if (effect.do === "answer" || effect.do === "refuse") waiting.delete(effect.id);
      if (effect.do !== "ask" || effect.message.name !== "lock") continue;
      const { ttid } = effect.message.body;
      for (const [request, of] of waiting) if (of === ttid) waiting.delete(request);
    }
    return effects;
  };
}
