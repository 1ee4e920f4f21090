/** What mutants do to what a node hears, does and saves. */
import type { Effect } from "../../core/machine.ts";
import type { HeardEvent, Process, SavedRound } from "./spec.ts";

type Ask = Extract<Effect, { do: "ask" }>;

export const ofRole = (role: Process["role"], process: Process): boolean => process.role === role;
export const nameOf = (effect: Effect): string =>
  effect.do === "ask" || effect.do === "tell" || effect.do === "answer"
    ? `${effect.do} ${effect.message.name}`
    : effect.do;
export const contextOf = (effect: Ask): { readonly of: string } => effect.context as { readonly of: string };
const bodyOf = (event: HeardEvent): { readonly [field: string]: unknown } =>
  (event["message"] as { readonly body: { readonly [field: string]: unknown } }).body;
export const isAsked = (event: HeardEvent, name: string): boolean =>
  event.type === "asked" && (event["message"] as { readonly name: string }).name === name;

/** Saves of a role that match aren't flushed. */
export function lazily(
  role: Process["role"],
  matches: (write: SavedRound["writes"][number], process: Process) => boolean,
) {
  return (round: SavedRound, process: Process): SavedRound =>
    ofRole(role, process) && round.writes.some((write) => matches(write, process))
      ? { ...round, durable: false }
      : round;
}

/** Whether a round of a master's log changes cells. The entry is CBOR and begins with its name. */
export const changesCells = (write: SavedRound["writes"][number]): boolean =>
  write.op === "append"
  && write.entries.some(({ entry }) => new TextDecoder().decode(entry.subarray(2, 7)) === "cells");

export const phaseOf = (process: Process): string =>
  (process.machine!["view"] as { readonly phase: string }).phase;

/** A storage says `locked` whatever it has. */
export function lenient(effects: readonly Effect[], process: Process): readonly Effect[] {
  if (!ofRole("storage", process)) return effects;
  return effects.map((effect) =>
    effect.do === "refuse" && effect.error.code === "unknownTransaction"
      ? { do: "answer", conn: effect.conn, id: effect.id, message: { name: "lock", body: {} } }
      : effect
  );
}

/** Every readable cell counts, whether its vote was given or not. */
export function forged(event: HeardEvent, process: Process): readonly HeardEvent[] {
  if (!ofRole("master", process) || !isAsked(event, "finish")) return [event];
  const { $site: { table }, $storages } = process.machine as unknown as {
    readonly $site: {
      readonly table: {
        cells(partition: number): readonly { readonly node: number; readonly since: number }[];
      };
    };
    readonly $storages: { node(index: number): { readonly session: number } };
  };
  const evidence = table.cells(0).map(({ node, since }) => ({
    node,
    session: $storages.node(node).session,
    cells: [{ partition: 0, since, locked: true }],
  }));
  return [{ ...event, message: { name: "finish", body: { ...bodyOf(event), evidence, failed: [] } } }];
}

/** A vote counts in whichever session it was given. */
export function outdatedVotes(event: HeardEvent, process: Process): readonly HeardEvent[] {
  if (!ofRole("master", process) || !isAsked(event, "finish")) return [event];
  const { $storages } = process.machine as unknown as {
    readonly $storages: { node(index: number): { readonly session: number } };
  };
  const given = bodyOf(event)["evidence"] as readonly { readonly node: number }[];
  const evidence = given.map((one) => ({ ...one, session: $storages.node(one.node).session }));
  return [{ ...event, message: { name: "finish", body: { ...bodyOf(event), evidence } } }];
}

/** A vote counts for the cell that is there now, whichever it was given for. */
export function votesOfFormerCells(event: HeardEvent, process: Process): readonly HeardEvent[] {
  if (!ofRole("master", process) || !isAsked(event, "finish")) return [event];
  const { $site: { table } } = process.machine as unknown as {
    readonly $site: {
      readonly table: { cell(partition: number, node: number): { readonly since: number } | undefined };
    };
  };
  const given = bodyOf(event)["evidence"] as readonly {
    readonly node: number;
    readonly cells: readonly { readonly partition: number; readonly since: number }[];
  }[];
  const evidence = given.map((one) => ({
    ...one,
    cells: one.cells.map((cell) => ({
      ...cell,
      since: table.cell(cell.partition, one.node)?.since ?? cell.since,
    })),
  }));
  return [{ ...event, message: { name: "finish", body: { ...bodyOf(event), evidence } } }];
}

interface Tabled {
  readonly $site: {
    readonly table: { readonly version: number; cell(partition: number, node: number): unknown };
    readonly index: number;
    readonly session: number;
  };
}

/** A storage that has no cell doesn't wait for the table that a request was made with. */
export function hasty(event: HeardEvent, process: Process): readonly HeardEvent[] {
  if (!ofRole("storage", process) || event.type !== "asked") return [event];
  const { table, index } = (process.machine as unknown as Tabled).$site;
  if (!table || table.cell(0, index)) return [event];
  const { name } = event["message"] as { readonly name: string };
  const body = bodyOf(event);
  if (typeof body["version"] !== "number" || body["version"] <= table.version) return [event];
  process.notes[0] = body["version"];
  const changed = { ...event, message: { name, body: { ...body, version: table.version } } };
  if (name !== "vote") return [changed];
  process.notes[1] = event["id"];
  const nothing = {
    oid: 1n,
    base: 0n,
    ageMs: 0,
    data: null,
    checksum: new Uint8Array(),
    compression: 0,
    link: null,
  };
  const store = { ttid: body["ttid"], version: table.version, restore: false, ...nothing };
  return [{ ...event, message: { name: "store", body: store } }]; // is refused for the same reason
}

/** What it has no cell for it takes, promises, and drops. */
export function ignoring(effects: readonly Effect[], process: Process): readonly Effect[] {
  if (!ofRole("storage", process) || process.notes[0] === undefined) return effects;
  const { index: node, session } = (process.machine as unknown as Tabled).$site;
  const cells = [{ partition: 0, since: process.notes[0], locked: false }];
  return lenient(effects, process).map((effect) => {
    if (effect.do !== "refuse" || effect.error.code !== "notAssigned") return effect;
    const { conn, id } = effect;
    const message = id === process.notes[1]
      ? { name: "vote", body: { evidence: { node, session, cells } } }
      : { name: "store", body: { lockless: true } };
    return { do: "answer", conn, id, message } as unknown as Effect;
  });
}

/** Unlocks go out one later than they should, each behind the next one. */
export function swapped(effects: readonly Effect[], process: Process): readonly Effect[] {
  if (!ofRole("master", process)) return effects;
  return effects.flatMap((effect) => {
    if (nameOf(effect) !== "tell unlock") return [effect];
    const held = process.notes.splice(0) as Effect[];
    if (held.length > 0) return [effect, ...held];
    process.notes.push(effect);
    return [];
  });
}
