/** Mutants of who hears what first, and of what is decided before its time. */
import type { Conn, NodeIndex, Partition, Tid, Ttid } from "../../../core/ids.ts";
import { toTid, ZERO_TID } from "../../../core/ids.ts";
import { labelOf } from "../trace.ts";
import type { AnyEffect, AnyMachine, MutantCase, Viewed } from "./kit.ts";
import { answering, bendAll, dieNow, LOSS, provoking, withBody, without, wrapAll } from "./kit.ts";

interface LockContext {
  readonly of: string;
  readonly ttid: Ttid;
}

/** How long a `finish` is on its way while a voter of it ends and comes back. */
const HELD_MS = 600;
/** How late answers to clients come. */
const LATE_MS = 1500;
/** How long the other copy goes on when one has become readable. */
const OPENED_MS = 50;
/** How late table changes come. */
const LATE_STEPS = 40;

/** Too early, or in another order. */
export const orderMutants: readonly MutantCase[] = [
  {
    breaks: "a transaction is unlocked before all have locked it",
    mutate: ({ master }) =>
      wrapAll([master], () => (event, step) => {
        const effects = step(event);
        const early = effects.flatMap((effect) => {
          const of = effect.do === "ask" && effect.message.name === "lock" && effect.context as LockContext;
          if (!of || of.of !== "lock") return [];
          return step({
            type: "answered",
            conn: effect.conn,
            context: of,
            message: { name: "lock", body: {} },
          });
        });
        return [...effects, ...early];
      }),
    noticed: LOSS,
    seed: 2,
  },
  {
    breaks: "transactions are published out of the order of their tids (trap 13)",
    mutate: ({ master }) => wrapAll([master], () => (event, step) => swapped(step(event))),
    noticed: /published tid|heard of tid/,
    seed: 1,
  },
  {
    breaks: "a table change comes behind the unlocks that rely on it (C6, trap 6)",
    mutate: ({ master }) => {
      const late: { readonly effect: AnyEffect; steps: number }[] = [];
      wrapAll([master], () => (event, step) => {
        if (event.type === "opened") late.length = 0;
        const effects = step(event);
        const isChange = (effect: AnyEffect) => labelOf(effect) === "tell tableChange";
        late.push(...effects.filter(isChange).map((effect) => ({ effect, steps: 0 })));
        for (const one of late) one.steps += 1;
        const count = late.filter(({ steps }) => steps > LATE_STEPS).length;
        return [
          ...effects.filter((effect) => !isChange(effect)),
          ...late.splice(0, count).map(({ effect }) => effect),
        ];
      });
    },
    noticed: /./,
    seed: 4,
  },
  {
    breaks: "verification completes a transaction at one of its holders only (B2)",
    mutate: ({ master }) =>
      wrapAll([master], () => {
        const [first, leftOut] = [new Map<Ttid, Conn>(), new Set<string>()];
        const isFirst = ({ conn, context }: Extract<AnyEffect, { do: "ask" }>) => {
          const { ttid } = context as LockContext;
          if (!first.has(ttid)) first.set(ttid, conn);
          if (first.get(ttid) === conn) return true;
          leftOut.add(`${ttid} ${conn}`);
          return false;
        };
        return (event, step) =>
          step(event).flatMap((effect): AnyEffect[] => {
            if (effect.do === "tell" && effect.message.name === "unlock") {
              const { ttid } = effect.message.body;
              const conns = effect.conns.filter((conn) => !leftOut.has(`${ttid} ${conn}`));
              return conns.length > 0 ? [{ ...effect, conns }] : [];
            }
            if (effect.do !== "ask" || effect.message.name !== "lock") return [effect];
            if ((effect.context as LockContext).of !== "verify" || isFirst(effect)) return [effect];
            const { conn, context } = effect;
            return step({ type: "answered", conn, context, message: { name: "lock", body: {} } });
          });
      }),
    isFlapping: true,
    noticed: LOSS,
    seed: 16,
  },
  {
    breaks: "a copy is readable though it has missed something (A2, trap 3)",
    mutate: ({ master }) =>
      wrapAll([master], (machine) => (event, step) => {
        if (event.type !== "asked" || event.message.name !== "catchUp") return step(event);
        const covered = lastTidOf(machine);
        const cells = event.message.body.cells.map((cell) =>
          cell.covered === null ? cell : { ...cell, covered }
        );
        return step(withBody(event, { cells }));
      }),
    isFlapping: true,
    noticed: LOSS,
    seed: 1,
  },
  {
    breaks: "a stale end of replication is accepted (trap 4)",
    mutate: ({ master }) =>
      wrapAll([master], (machine) => {
        const done = new Map<string, number>();
        return (event, step) => {
          if (event.type !== "asked" || event.message.name !== "catchUp") return step(event);
          const { conn } = event;
          const cells = event.message.body.cells.map((cell) => {
            const key = `${conn} ${cell.partition}`;
            const before = done.get(key) ?? cell.since;
            if (cell.covered !== null) done.set(key, cell.since);
            return before === cell.since ? cell : { ...cell, covered: lastTidOf(machine) };
          });
          return step(withBody(event, { cells }));
        };
      }),
    isFlapping: true,
    noticed: LOSS,
    seed: 72,
  },
  {
    isRare: true,
    breaks: "a target is a tid that is only allocated (A3)",
    mutate: ({ master }) =>
      wrapAll([master], () => {
        let allocated = 0n;
        return (event, step) =>
          step(event).map((effect) => {
            if (effect.do === "ask" && effect.message.name === "lock") allocated = effect.message.body.tid;
            return answering("catchUp", ({ target }) => {
              return { target: allocated > target ? toTid(allocated) : target };
            })(effect);
          });
      }),
    isFlapping: true,
    noticed: LOSS,
    seed: 169,
  },
  {
    breaks:
      "votes of an earlier session or of a cell that was outdated count, and any lock is answered (A1, A5, A14)",
    mutate: (cluster) => {
      const { master, storages, clients, network, world } = cluster;
      currentEvidence(master);
      const [away] = storages;
      for (const { node: client } of clients) {
        const provoke = provoking(cluster, () => {
          network.hold(client.name, master.name, world.nowMs + HELD_MS);
          dieNow(away!, world);
        });
        wrapAll([client], () => (event, step) => {
          const effects = step(event);
          if (effects.some((effect) => labelOf(effect) === "ask finish")) provoke();
          return effects;
        });
      }
      for (const storage of storages) {
        storage.bend = (effects) =>
          effects.map((effect) =>
            effect.do === "refuse" && effect.error.code === "unknownTransaction"
              ? { do: "answer", conn: effect.conn, id: effect.id, message: { name: "lock", body: {} } }
              : effect
          );
      }
    },
    isFlapping: true,
    noticed: LOSS,
    seed: 2,
  },
  {
    breaks: "a lockless vote counts as a lock (trap 2, A7)",
    mutate: (cluster) => {
      const { master, storages, clients, indexes, network, world } = cluster;
      bendAll(
        storages,
        answering("vote", ({ evidence }) => ({
          evidence: { ...evidence, cells: evidence.cells.map((cell) => ({ ...cell, locked: true })) },
        })),
      );
      let lagging = "";
      // who has a lock says so late, so that several commits wait for it that the lagging copy has taken without one
      const slow = provoking(cluster, () => {
        for (const { name } of storages) {
          if (name === lagging) continue;
          for (const client of clients) network.holdOneWay(name, client.name, world.nowMs + LATE_MS);
        }
      });
      const provoke = provoking(cluster, () => {
        for (const other of storages) if (other.isUp && other.name !== lagging) dieNow(other, world);
      });
      wrapAll([master], () => {
        const names = new Map<Conn, string>();
        return (event, step) => {
          if (event.type === "identified") names.set(event.conn, event.hello.name);
          if (event.type === "asked" && event.message.name === "catchUp") {
            lagging = names.get(event.conn)!;
            slow();
          }
          const effects = step(event);
          const opens = effects.some((effect) =>
            effect.do === "tell" && effect.message.name === "tableChange"
            && effect.message.body.cells.some(({ state, node }) =>
              state === "upToDate" && indexes.get(lagging) === node
            )
          );
          if (opens) world.after(OPENED_MS, provoke);
          return effects;
        };
      });
    },
    isFlapping: true,
    work: ["counters"],
    noticed: LOSS,
    seed: 7,
  },
  {
    breaks: "an unlock isn't sent",
    mutate: ({ master }) => (master.bend = without("tell unlock", 40)),
    noticed: /can't commit|not all is over: .*transactions/,
    seed: 1,
  },
  {
    breaks: "a connection loses a write and goes on (C4)",
    mutate: ({ network }) => (network.lossRate = 0.01),
    noticed: /can't commit|wait for ever|not all is over|read|had been acknowledged/,
    seed: 1,
  },
  {
    breaks: "copies are made without some of the rows",
    mutate: ({ storages }) => {
      for (const { plan } of storages) {
        plan.disk!.bend = (round) => ({
          ...round,
          writes: round.writes.map((write) =>
            write.op === "copy" ? { ...write, revisions: write.revisions.slice(1) } : write
          ),
        });
      }
    },
    noticed: LOSS,
    seed: 1,
  },
  {
    breaks: "what isn't locked any more is never settled (A12)",
    mutate: ({ storages }) =>
      wrapAll(
        storages,
        () => (event, step) => step(event).filter((effect) => labelOf(effect) !== "ask settle"),
      ),
    noticed: /can't commit|not all is over|wait for ever/,
    seed: 51,
  },
];

/** What a primary has published. */
function lastTidOf(machine: AnyMachine): Tid {
  return toTid((machine as AnyMachine & Viewed).view?.lastTid ?? ZERO_TID);
}

/** Two transactions that are published in one step come in the other order. */
function swapped(effects: readonly AnyEffect[]): AnyEffect[] {
  const ends = effects.flatMap((effect, i) => (labelOf(effect) === "tell unlock" ? [i] : []));
  const starts = effects.flatMap((effect, i) => (labelOf(effect) === "answer finish" ? [i] : []));
  if (ends.length < 2 || starts.length !== ends.length) return [...effects];
  const groups = starts.map((start, i) => effects.slice(start, ends[i]! + 1));
  return [...effects.slice(0, starts[0]), ...groups.reverse().flat(), ...effects.slice(ends.at(-1)! + 1)];
}

/** Whatever a vote says of session and cell counts as current. */
function currentEvidence(master: Parameters<typeof wrapAll>[0][number]): void {
  const sinces = new Map<string, number>();
  wrapAll([master], () => {
    const sessions = new Map<NodeIndex, number>();
    return (event, step) => {
      let inner = event;
      if (event.type === "asked" && event.message.name === "finish") {
        const evidence = event.message.body.evidence.map(({ node, session, cells }) => ({
          node,
          session: sessions.get(node) ?? session,
          cells: cells.map((cell) => ({
            ...cell,
            since: sinceOf(sinces, cell.partition, node) ?? cell.since,
          })),
        }));
        inner = withBody(event, { evidence });
      }
      const effects = step(inner);
      for (const effect of effects) {
        if (effect.do === "ask" && effect.message.name === "fence") {
          sessions.set(effect.message.body.node, effect.message.body.session);
        }
        if (effect.do !== "tell" || effect.message.name !== "tableChange") continue;
        for (const { partition, node, since } of effect.message.body.cells) {
          sinces.set(`${partition}@${node}`, since);
        }
      }
      return effects;
    };
  });
}

function sinceOf(
  sinces: ReadonlyMap<string, number>,
  partition: Partition,
  node: NodeIndex,
): number | undefined {
  return sinces.get(`${partition}@${node}`);
}
