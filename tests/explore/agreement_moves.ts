/** What may happen next in the agreement of several masters: entries become held, questions are answered, another one leads. */
import type { Agreed, Log, MemberFacts } from "./agreement.ts";
import type { Move } from "./moves.ts";
import type { Draft, World } from "./world.ts";

/** All of it. Masters are the first nodes of a world. */
export function agreementMoves(world: World, draft: Draft, all: Move[]): void {
  world.nodes.forEach(({ name, role }, node) => {
    if (role !== "master" || !world.isUp(draft, node)) return;
    const facts = memberOf(world, draft, node);
    if (!facts) return;
    const { log } = draft;
    if (!leads(world, draft, node)) return others(world, draft, node, facts, all);
    if (facts.unheld.length > 0) {
      all.push({
        kind: "step",
        label: () => `what ${name} proposes is held`,
        run: () =>
          heard(world, draft, node, { type: "held", count: facts.unheld.length }, {
            ...log,
            entries: [...log.entries, ...facts.unheld],
          }),
      });
    }
    if (facts.asked > 0) {
      all.push({
        kind: "step",
        label: () => `${name} is confirmed`,
        run: () => heard(world, draft, node, { type: "confirmed", round: facts.asked }, log),
      });
    }
  });
}

function others(world: World, draft: Draft, node: number, facts: MemberFacts, all: Move[]): void {
  const { log } = draft;
  const { name } = world.nodes[node]!;
  const isVacant = log.leader < 0 || !leads(world, draft, log.leader);
  if (!isVacant && facts.leader !== log.leader) {
    const leader = world.nodes[log.leader]!.name;
    all.push({
      kind: "step",
      label: () => `${name} hears that ${leader} leads`,
      run: () => heard(world, draft, node, { type: "follows", term: log.term, leader: log.leader }, log),
    });
  }
  const left = draft.budget["elections"] ?? 0;
  if (!isVacant && left <= 0) return;
  const flight = isVacant ? log.flight : memberOf(world, draft, log.leader)!.unheld;
  for (const held of flight.length > 0 ? [[], flight] : [[]]) {
    const what = flight.length === 0 ? "" : held.length > 0 ? ", what was proposed is held" : ", without it";
    all.push({
      kind: isVacant ? "step" : "loss",
      label: () => `${name} is elected${what}`,
      run: () => {
        const entries = [...log.entries, ...held];
        const term = log.term + 1;
        const budget = isVacant ? draft.budget : { ...draft.budget, elections: left - 1 };
        return heard(world, { ...draft, budget }, node, { type: "leads", term, entries }, {
          term,
          leader: node,
          entries,
          flight: [],
        });
      },
    });
  }
}

function heard(world: World, draft: Draft, node: number, agreed: Agreed, log: Log): Draft {
  const next = world.copy(draft);
  next.log = log;
  world.hear(next, node, [{ key: JSON.stringify(agreed), event: { ...agreed } }]);
  return next;
}

/** Whether a master is the one who leads, in the process that was elected. */
function leads(world: World, draft: Draft, node: number): boolean {
  return draft.log.leader === node && memberOf(world, draft, node)?.leader === node;
}

/** A leader is lost: what it had proposed may be held, or not. */
export function leaderGone(world: World, draft: Draft, node: number): Log {
  const facts = memberOf(world, draft, node);
  return facts && leads(world, draft, node) ? { ...draft.log, flight: facts.unheld } : draft.log;
}

function memberOf(world: World, draft: Draft, node: number): MemberFacts | undefined {
  const facts = world.nodes[node]!.facts(draft.nodes[node]!);
  return facts.is === "master" ? facts.member : undefined;
}
