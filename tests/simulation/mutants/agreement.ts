/**
 * Mutants of three masters' agreement. Left out: a leader that stays at a higher term. Nobody of that term takes its
 * entries, and a round of questions that no majority answers ends it: it is late, not wrong.
 */
import type { Body } from "../../../core/messages.ts";
import type { Cluster } from "../cluster.ts";
import type { AnyEffect, AnyMachine, MutantCase } from "./kit.ts";
import { bendAll, dieNow, lazily, LOSS, provoking, withBody, wrapAll } from "./kit.ts";

const DISAGREED = new RegExp(`holds something else|both lead|Cannot go on|two primaries|${LOSS.source}`);
/** A term that no log has. */
const TERM_HIGH = 1_000_000;
/** A leader that is killed on purpose is away until others have elected one. */
const AWAY_LONG_MS = 3000;
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
    mutate: ({ masters }) => {
      wrapAll(masters, () => (event, step) => {
        const effects = step(event);
        if (event.type !== "told" || event.message.name !== "append") return effects;
        const { prevIndex, entries } = event.message.body;
        const index = prevIndex + entries.length;
        return effects.map((effect) => saying(effect, "appended", () => ({ ok: true, index })));
      });
    },
    noticed: DISAGREED,
    seed: 11,
  },
];

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
