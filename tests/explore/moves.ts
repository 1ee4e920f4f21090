/** What may happen next in a world: every message that may arrive, every wait that may end, every loss that is left. */
import { agreementMoves, leaderGone } from "./agreement_moves.ts";
import { commitOf } from "./commit.ts";
import { NOW } from "./node.ts";
import type { Input } from "./node.ts";
import { OPERATOR } from "./packets.ts";
import { isEmpty } from "./pairs.ts";
import type { Conn } from "./pairs.ts";
import type { WorldSpec } from "./spec.ts";
import { fated } from "./told.ts";
import type { Draft, World } from "./world.ts";

/** Waits up to this may end at any time; no call may depend on a longer one. */
const SOON_MS = 1_000;
/** Longer ones end when all is quiet, until this is over: by then a storage has settled what was left to it. */
const LATE_MS = 400_000;

/** `step`: it happens sooner or later; `wait`: only so many are walked; `loss`: it may never happen. */
export interface Move {
  readonly kind: "step" | "wait" | "loss";
  readonly label: () => string;
  run(): Draft;
}

interface Place {
  readonly pair: number;
  readonly conn: number;
  readonly side: 0 | 1;
}

/** All that may happen in a state, in a fixed order. */
export function moves(world: World, spec: WorldSpec, draft: Draft): Move[] {
  const all: Move[] = [];
  starts(world, spec, draft, all);
  draft.pairs.forEach(({ conns }, pair) =>
    conns.forEach((_, conn) => {
      for (const side of [0, 1] as const) deliveries(world, spec, draft, { pair, conn, side }, all);
    })
  );
  world.nodes.forEach((_, node) => nodeMoves(world, spec, draft, node, all));
  order(world, spec, draft, all);
  agreementMoves(world, draft, all);
  const hasBegun = draft.told.calls.some(({ is }) => is !== "idle");
  if (!all.some(({ kind }) => kind === "step") && draft.told.calls.every(({ is }) => is !== "running")) {
    world.nodes.forEach((_, node) => lateMove(world, draft, node, all));
  }
  if (hasBegun && draft.budget["total"]! > 0) losses(world, spec, draft, all);
  return all;
}

/** A storage has waited so long that it asks what becomes of what it holds. */
function lateMove(world: World, draft: Draft, node: number, all: Move[]): void {
  const { name } = world.nodes[node]!;
  const dueMs = world.nodes[node]!.dueMs(draft.nodes[node]!);
  const facts = world.nodes[node]!.facts(draft.nodes[node]!);
  if (facts.is !== "storage" || facts.held.length === 0) return;
  if (dueMs === undefined || dueMs <= NOW.monoMs + SOON_MS || dueMs > NOW.monoMs + LATE_MS) return;
  all.push({
    kind: "step",
    label: () => `${name} has waited for long`,
    run: () => {
      const next = world.copy(draft);
      world.due(next, node);
      return next;
    },
  });
}

/** Whether the state has waits that aren't walked any more. */
export function hasWaits(world: World, draft: Draft): boolean {
  return world.nodes.some((node, at) => {
    const dueMs = node.dueMs(draft.nodes[at]!);
    return dueMs !== undefined && dueMs <= NOW.monoMs + SOON_MS;
  });
}

function starts(world: World, { calls }: WorldSpec, draft: Draft, all: Move[]): void {
  calls.forEach(({ client, after }, call) => {
    const { is } = draft.told.calls[call]!;
    const before = after === undefined ? "failed" : draft.told.calls[after]!.is;
    if (is !== "idle" || before === "idle" || before === "running") return;
    if (!world.isUp(draft, nodeNamed(world, `c${client}`))) return;
    all.push({
      kind: "step",
      label: () => `c${client} begins T${call + 1}`,
      run: () => {
        const next = world.copy(draft);
        startOf(world, { calls }, next, call);
        return next;
      },
    });
  });
}

/** A program commits something on top of the newest that its client may read. */
export function startOf(
  world: World,
  { calls }: Pick<WorldSpec, "calls">,
  draft: Draft,
  call: number,
  tag: string = `T${call + 1}`,
): void {
  const { client, writes, checks = [], ageMs = NOW.wallMs } = calls[call]!;
  const name = `c${client}`;
  const based = (oids: readonly number[]) =>
    oids.map((number) => ({
      oid: BigInt(number),
      base: newestOf(world, draft, BigInt(number), BigInt(draft.told.last[name]!)),
    }));
  const request = commitOf(tag, based(writes), based(checks), ageMs);
  const bases = [...request.writes, ...request.checks].map(({ base }) => base).join();
  draft.told = fated(draft.told, call, { is: "running" });
  const event = { type: "call", call, name: "commit", request, withinMs: Infinity };
  world.hear(draft, nodeNamed(world, name), [{ key: `${tag} ${call} on ${bases}`, event }]);
}

/** The newest revision of an object up to a tid, as whoever loads it there would see it. */
function newestOf(world: World, draft: Draft, oid: bigint, upTo: bigint): bigint {
  let newest = 0n;
  world.nodes.forEach((node, at) => {
    const facts = node.facts(draft.nodes[at]!);
    if (facts.is !== "storage") return;
    const tids = [
      ...(facts.final.get(oid) ?? []).map(({ tid }) => tid),
      ...facts.held.flatMap(({ tid, oids }) => (tid !== undefined && oids.includes(oid) ? [tid] : [])),
    ];
    for (const tid of tids) if (tid <= upTo && tid > newest) newest = tid;
  });
  return newest;
}

/** The operator says the next thing to the primary, when that takes orders. */
function order(world: World, { orders = [] }: WorldSpec, draft: Draft, all: Move[]): void {
  const left = draft.budget["orders"] ?? 0;
  const message = orders[orders.length - left];
  const node = world.nodes.findIndex((one, at) => {
    const facts = one.facts(draft.nodes[at]!);
    return facts.is === "master" && facts.phase === "running";
  });
  if (!message || node < 0) return;
  all.push({
    kind: "step",
    label: () => `the operator wants ${message.name} (${orders.length - left + 1})`,
    run: () => {
      const next = world.copy(draft);
      next.budget = { ...next.budget, orders: left - 1 };
      const event = { type: "asked", conn: OPERATOR, id: left, withinMs: SOON_MS, message };
      world.hear(next, node, [{ key: `order ${left}`, event }]);
      return next;
    },
  });
}

/** What one end of a connection may hear next. */
function deliveries(world: World, spec: WorldSpec, draft: Draft, place: Place, all: Move[]): void {
  const conn = draft.pairs[place.pair]!.conns[place.conn]!;
  const end = conn.ends[place.side];
  const node = world.nodeOf(place.pair, conn, place.side);
  if (end.phase === "gone") return;
  if (!world.isUp(draft, node)) {
    // whoever seeks the primary knocks until it is there; a client goes on without a storage
    const isKnocked = conn.target === "primary" && !isElsewhere(world, draft, node);
    if (place.side === 1 && end.phase === "dialing" && !isKnocked) {
      refusal(world, draft, place, all);
    }
    return;
  }
  end.lanes.forEach((lane, at) => {
    if (lane.length === 0 || (at > 0 && end.phase !== "open")) return;
    const writesMax = Math.min(lane.length, at === 0 ? 1 : spec.gather ?? 1);
    for (let writes = 1; writes <= writesMax; writes++) {
      delivery(world, spec, draft, { ...place, lane: at, writes }, all);
    }
  });
  if (end.closed >= 0 && (end.phase === "open" ? isEmpty(end) : end.lanes[0].length === 0)) {
    all.push({
      kind: "step",
      label: () => `${world.nodes[node]!.name} hears that ${nameOf(world, place.pair, conn)} is over`,
      run: () => {
        const next = world.copy(draft);
        world.hear(next, node, world.lose(next, place));
        return next;
      },
    });
  }
}

/** Whether another master than this one leads, and is there. */
function isElsewhere(world: World, { log: { leader }, ...draft }: Draft, node: number): boolean {
  return leader >= 0 && leader !== node && world.isUp(draft as Draft, leader);
}

function refusal(world: World, draft: Draft, { pair, conn }: Place, all: Move[]): void {
  const at = draft.pairs[pair]!.conns[conn]!;
  const dialler = world.nodeOf(pair, at, 0);
  all.push({
    kind: "step",
    label: () =>
      `${world.nodes[dialler]!.name} can't connect to ${world.nodes[world.nodeOf(pair, at, 1)]!.name}`,
    run: () => {
      const next = world.copy(draft);
      const why = world.packets.id({
        kind: "error",
        error: { code: "lost", message: "Lost the connection: refused" },
      });
      world.hear(next, dialler, world.lose(next, { pair, conn, side: 0 }, why));
      return next;
    },
  });
}

function delivery(
  world: World,
  spec: WorldSpec,
  draft: Draft,
  at: Place & { readonly lane: number; readonly writes: number },
  all: Move[],
): void {
  const conn = draft.pairs[at.pair]!.conns[at.conn]!;
  const node = world.nodeOf(at.pair, conn, at.side);
  const from = world.nodes[world.nodeOf(at.pair, conn, 1 - at.side)]!.name;
  const label = () => {
    const words = conn.ends[at.side].lanes[at.lane]!.slice(0, at.writes).flat().map((packet) =>
      wordOf(world, packet)
    );
    const again = conn.nr > 1 ? ` (connection ${conn.nr})` : "";
    return `${world.nodes[node]!.name} <- ${from}${again}: ${words.join(", ")}`;
  };
  const taken = (): { next: Draft; inputs: Input[] } => {
    const next = world.copy(draft);
    return { next, inputs: world.take(next, at) };
  };
  all.push({
    kind: "step",
    label,
    run: () => {
      const { next, inputs } = taken();
      world.hear(next, node, inputs);
      return next;
    },
  });
  if (!mayCrash(world, draft, node) || world.nodes[node]!.role === "client") return;
  const { inputs } = taken();
  const { saves } = world.nodes[node]!.hear(draft.nodes[node]!, inputs);
  for (let save = 1; save <= saves; save++) {
    for (const kept of [0, Infinity]) {
      all.push({
        kind: "loss",
        label: () =>
          `${label()}, and it crashes behind save ${save}, ${
            kept === 0 ? "with" : "without"
          } what isn't flushed lost`,
        run: () => {
          const { next, inputs } = taken();
          next.log = leaderGone(world, draft, node);
          next.nodes[node] = world.nodes[node]!.hearAndCrash(next.nodes[node]!, inputs, save, kept);
          gone(world, spec, next, node, false);
          return next;
        },
      });
    }
  }
}

/** What nodes do by themselves. */
function nodeMoves(world: World, _spec: WorldSpec, draft: Draft, node: number, all: Move[]): void {
  const { name, role } = world.nodes[node]!;
  if (!world.isUp(draft, node)) {
    if (role === "client") return;
    all.push({
      kind: "step",
      label: () => `${name} starts again`,
      run: () => {
        const next = world.copy(draft);
        world.boot(next, node);
        return next;
      },
    });
    return;
  }
  const dueMs = world.nodes[node]!.dueMs(draft.nodes[node]!);
  if (dueMs === undefined || dueMs > NOW.monoMs + SOON_MS) return;
  const isNow = dueMs <= NOW.monoMs;
  if (!isNow && draft.budget["timers"]! <= 0) return;
  all.push({
    kind: isNow ? "step" : "wait",
    label: () => `${name} has waited`,
    run: () => {
      const next = world.copy(draft);
      if (!isNow) next.budget = { ...next.budget, timers: next.budget["timers"]! - 1 };
      world.due(next, node);
      return next;
    },
  });
}

function mayCrash(world: World, draft: Draft, node: number): boolean {
  return draft.budget["total"]! > 0 && (draft.budget[`crash ${world.nodes[node]!.name}`] ?? 0) > 0;
}

/** What may go wrong between rounds. */
function losses(world: World, spec: WorldSpec, draft: Draft, all: Move[]): void {
  world.nodes.forEach(({ name }, node) => {
    if (!world.isUp(draft, node) || !mayCrash(world, draft, node)) return;
    const unflushed = world.nodes[node]!.unflushed(draft.nodes[node]!);
    for (const kept of unflushed > 0 ? [0, unflushed] : [0]) {
      for (const drop of [false, true]) {
        all.push({
          kind: "loss",
          label: () =>
            `${name} crashes${unflushed > kept ? `, ${unflushed} rounds aren't flushed` : ""}${
              drop ? ", what it said is lost" : ""
            }`,
          run: () => {
            const next = world.copy(draft);
            next.log = leaderGone(world, draft, node);
            next.nodes[node] = world.nodes[node]!.crash(next.nodes[node]!, kept);
            gone(world, spec, next, node, drop);
            return next;
          },
        });
      }
    }
  });
  if (draft.budget["cuts"]! <= 0) return;
  draft.pairs.forEach(({ conns }, pair) =>
    conns.forEach((conn, at) => {
      if (conn.ends.some(({ phase, closed }) => phase === "dialing" || phase === "gone" || closed >= 0)) {
        return;
      }
      if (spec.faults.cutPairs && !spec.faults.cutPairs.includes(pairOf(world, pair))) return;
      for (const drop of [[false, false], [true, true], [true, false], [false, true]] as const) {
        if (conn.ends.some((end, side) => drop[side] && isEmpty(end))) continue;
        all.push({
          kind: "loss",
          label: () => `${nameOf(world, pair, conn)} breaks, lost on the way: ${drop}`,
          run: () => {
            const next = world.copy(draft);
            next.budget = {
              ...next.budget,
              cuts: next.budget["cuts"]! - 1,
              total: next.budget["total"]! - 1,
            };
            world.cut(next, { pair, conn: at }, drop);
            return next;
          },
        });
      }
    })
  );
}

/** A process has ended. */
function gone(world: World, { calls }: WorldSpec, draft: Draft, node: number, drop: boolean): void {
  const { name } = world.nodes[node]!;
  const key = `crash ${name}`;
  draft.budget = { ...draft.budget, [key]: draft.budget[key]! - 1, total: draft.budget["total"]! - 1 };
  world.vanish(draft, node, drop);
  if (world.nodes[node]!.role !== "client") return;
  calls.forEach(({ client }, call) => {
    const { is } = draft.told.calls[call]!;
    if (name === `c${client}` && (is === "idle" || is === "running")) {
      draft.told = fated(draft.told, call, { is: "dead" });
    }
  });
}

function nodeNamed(world: World, name: string): number {
  return world.nodes.findIndex((node) => node.name === name);
}

/** `c1-s1`: by places of the pair's nodes, whoever dialled. */
function nameOf(world: World, pair: number, { nr }: Conn): string {
  return nr > 1 ? `${pairOf(world, pair)} (connection ${nr})` : pairOf(world, pair);
}

function pairOf(world: World, pair: number): string {
  const [first, second] = world.between[pair]!;
  return `${world.nodes[first]!.name}-${world.nodes[second]!.name}`;
}

function wordOf(world: World, id: number): string {
  const packet = world.packets.get(id);
  switch (packet.kind) {
    case "hello":
    case "error":
      return packet.kind;
    case "refuse":
      return `refused (${packet.error.code})`;
    case "answer":
      return `${packet.message.name} answered`;
    default:
      return packet.message.name;
  }
}
