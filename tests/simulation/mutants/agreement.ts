/**
 * Mutants of three masters' agreement. Left out, as they do no harm by design:
 *
 * - A leader that stays at a higher term. Nobody of that term takes its entries, and a round of questions that no majority
 *   answers ends it: it is late, not wrong.
 * - A leader that counts entries of earlier terms. It adds the first entry of its own term before it says anything, and each
 *   message goes on to the end of its log: whoever has the older entry has that one as well. Only a message that is full is shorter.
 * - A master that votes though it was removed. Of 2k+1 the others are 2k, of whom k+1 hold the removal and vote for nobody without
 *   it: k-1 and the removed one are k, of k+1 that it takes. Of 2k+2 it is k and one, of k+2. Whoever holds it doesn't ask.
 * - A candidate that doesn't ask before it stands: it disturbs a leader, and wins no vote that it wouldn't get else.
 */
import type { Now } from "../../../core/machine.ts";
import type { Body } from "../../../core/messages.ts";
import type { Consensus } from "../../../roles/master/consensus.ts";
import type { Cluster } from "../cluster.ts";
import type { AnyEffect, AnyMachine, MutantCase } from "./kit.ts";
import { bendAll, dieNow, lazily, LOSS, provoking, withBody, wrapAll } from "./kit.ts";

const DISAGREED = new RegExp(`holds something else|both lead|Cannot go on|two primaries|${LOSS.source}`);
/** A term that no log has. */
const TERM_HIGH = 1_000_000;
/** A leader that is killed on purpose is away until others have elected one. */
const AWAY_LONG_MS = 3000;
/** So long a primary is cut off from all but one client. */
const APART_MS = 20_000;
/** So many answers come to a leader between its deaths. */
const ANSWERS_EACH = 20;

/** What breaks the rules of one log for all masters. */
export const agreementMutants: readonly MutantCase[] = [
  {
    breaks: "a master's vote for another isn't flushed (X1)",
    masters: 3,
    mutate: (cluster) => {
      forget(cluster, "save ballot");
      const { masters, world } = cluster;
      for (const master of masters) {
        const provoke = provoking(cluster, () => {
          dieNow(master, world, AWAY_LONG_MS); // its own vote was flushed with its first entry
          for (const other of masters) if (other !== master) dieNow(other, world);
        });
        wrapAll([master], (machine) => (event, step) => {
          const before = roleOf(machine);
          const effects = step(event);
          if (before === "candidate" && roleOf(machine) === "leader") provoke();
          return effects;
        });
      }
    },
    noticed: DISAGREED,
    seed: 1,
  },
  {
    breaks: "a master says that it has entries before they are flushed (X1)",
    masters: 3,
    mutate: (cluster) => {
      forget(cluster, "save append");
      const provoke = provoking(cluster, () => {
        for (const master of cluster.masters) dieNow(master, cluster.world);
      });
      wrapAll(cluster.masters, () => (event, step) => {
        if (event.type === "told" && event.message.name === "appended") provoke();
        return step(event);
      });
    },
    noticed: DISAGREED,
    seed: 1,
  },
  {
    breaks: "a master votes for one whose log is shorter (X1)",
    masters: 3,
    mutate: (cluster) => {
      for (const master of cluster.masters) {
        let answers = 0;
        const provoke = provoking(cluster, () => dieNow(master, cluster.world, AWAY_LONG_MS));
        wrapAll([master], () => (event, step) => {
          if (event.type !== "told") return step(event);
          const { name, body } = event.message;
          if (name === "canvass") return step(withBody(event, { lastTerm: TERM_HIGH }));
          // the last one is slow to take entries, so that its log is shorter when the leader dies
          const isSlow = cluster.isDisturbed && master === cluster.masters.at(-1);
          if (isSlow && name === "append" && body.entries.length > 0) return [];
          if (name === "appended" && ++answers % ANSWERS_EACH === 0) provoke();
          return step(event);
        });
      }
    },
    noticed: DISAGREED,
    seed: 2,
  },
  {
    breaks: "a master votes for everybody who asks (X1)",
    masters: 3,
    mutate: ({ masters }) =>
      bendAll(masters, (effect) => saying(effect, "ballot", () => ({ granted: true }))),
    noticed: DISAGREED,
    seed: 1,
  },
  {
    breaks: "a master says that it has entries whose place it didn't find (X1)",
    masters: 3,
    mutate: (cluster) => {
      const { masters, world } = cluster;
      const [slow] = masters;
      let deaths = 0;
      for (const master of masters) {
        let answers = 0;
        const provoke = provoking(cluster, () => {
          deaths += 1;
          dieNow(master, world, AWAY_LONG_MS);
        });
        wrapAll([master], () => (event, step) => {
          if (event.type !== "told") return step(event);
          const { name, body } = event.message;
          // one is slow to take entries from every second leader, so that the next one finds a gap there
          const isSlow = cluster.isDisturbed && master === slow && deaths % 2 === 0;
          if (isSlow && name === "append" && body.entries.length > 0) return [];
          if (name === "appended" && master !== slow && ++answers % ANSWERS_EACH === 0) provoke();
          const effects = step(event);
          if (name !== "append") return effects;
          const index = body.prevIndex + body.entries.length;
          return effects.map((effect) => saying(effect, "appended", () => ({ ok: true, index })));
        });
      }
    },
    noticed: DISAGREED,
    seed: 4,
  },
  {
    breaks: "a log that had been flushed lacks its end after a restart: what is held is cut off (X1)",
    masters: 3,
    mutate: (cluster) => {
      const { masters, world } = cluster;
      for (const master of masters) {
        master.plan.disk!.bendState = (state) => ({ ...state, entries: state.entries.slice(0, -1) });
        let answers = 0;
        const provoke = provoking(cluster, () => {
          dieNow(master, world, AWAY_LONG_MS);
          for (const other of masters) if (other !== master) dieNow(other, world);
        });
        wrapAll([master], () => (event, step) => {
          const isAnswer = event.type === "told" && event.message.name === "appended";
          if (isAnswer && ++answers % ANSWERS_EACH === 0) provoke();
          return step(event);
        });
      }
    },
    noticed: DISAGREED,
    seed: 1,
  },
  {
    breaks: "a primary says what is newest without asking the others whether it still leads (B5, X1)",
    masters: 3,
    mutate: (cluster) => {
      cluster.between = unasked;
      const { masters, network, nodes, world, clients } = cluster;
      const kept = clients[0]!.node;
      let cutMs = 0; // until
      for (const master of masters) {
        let frozenMs = 0; // it doesn't see that nobody answers it
        const provoke = provoking(cluster, () => {
          frozenMs = world.nowMs + APART_MS;
          cutMs = frozenMs;
          for (const node of nodes) {
            if (node !== kept && node !== master) network.hold(master.name, node.name, frozenMs);
          }
        });
        wrapAll([master], () => (event, step) => {
          if (event.type === "asked" && event.message.name === "sync" && world.nowMs > cutMs) {
            provoke();
          }
          return step(event);
        });
        const { wrap } = master;
        master.wrap = (machine: AnyMachine) => {
          const wrapped = wrap(machine as never) as AnyMachine;
          const due = (): number | undefined => (world.nowMs < frozenMs ? undefined : wrapped.due());
          return { due, step: (event: unknown, now: Now) => wrapped.step(event as never, now) } as never;
        };
      }
    },
    noticed: /sync gave tid/,
    seed: 1,
  },
];

/** An agreement that is sure of everything. */
function unasked(consensus: Consensus): Consensus {
  return {
    get metadata() {
      return consensus.metadata;
    },
    get circle() {
      return consensus.circle;
    },
    propose: (entry) => consensus.propose(entry),
    saved: () => consensus.saved(),
    compact: () => consensus.compact(),
    confirm: (done) => done(),
    medianMs: (now) => consensus.medianMs(now),
  };
}

/** No master flushes that; what a crash finds unflushed is gone. */
function forget({ masters }: Cluster, label: string): void {
  for (const master of masters) {
    master.plan.disk!.lazyMs = Infinity;
    master.bend = lazily(label);
  }
}

/** Another body in what masters tell each other under that name. */
function saying<N extends "ballot" | "appended">(
  effect: AnyEffect,
  name: N,
  change: (body: Body<N>) => Partial<Body<N>>,
): AnyEffect {
  if (effect.do !== "tell" || effect.message.name !== name) return effect;
  const body = effect.message.body as Body<N>;
  return { ...effect, message: { name, body: { ...body, ...change(body) } } } as AnyEffect;
}

/** What a master is in its agreement with others. */
function roleOf(machine: AnyMachine): string | undefined {
  return (machine as AnyMachine & { readonly part?: { readonly role: string } }).part?.role;
}
