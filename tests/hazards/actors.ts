/** A node's process as a test looks at it: all that its machine was told, and what it decided. */
import assert from "node:assert/strict";
import type { Conn } from "../../core/ids.ts";
import type { Effect, Machine } from "../../core/machine.ts";
import type { Body, Name, WireError } from "../../core/messages.ts";
import type { HandStore } from "./hands.ts";

/** An event of a machine, as a test looks at it: `asked lock`, `failed vote`, `lost`, `saved`. */
export interface Heard {
  readonly what: string;
  readonly conn: Conn | undefined;
  readonly body: unknown;
  readonly error: WireError | undefined;
  /** What the machine decided on it. */
  readonly effects: readonly Effect[];
}

/** A node's process. */
export interface Actor<M> {
  readonly name: string;
  readonly machine: M;
  /** All that its machine was told, oldest first. */
  readonly heard: readonly Heard[];
  /** Its store, for nodes that keep something. */
  readonly store: HandStore<unknown, unknown, unknown>;
  /** How it ended, once it has. */
  ended: { readonly error?: WireError } | undefined;
  /** Whether it was killed. */
  killed: boolean;
  /** Gives the machine an event. */
  post(event: unknown): void;
  terminate(): void;
  /** Ends it as kill -9 and a power failure do: what wasn't flushed is lost, what was written still arrives. */
  kill(): void;
}

type Event = {
  readonly type: string;
  readonly conn?: Conn;
  readonly name?: string;
  readonly message?: { readonly name: string; readonly body: unknown };
  readonly error?: WireError;
};

/** The machine, and a record of what it is told. */
export function watched(machine: Machine<Event, never>, heard: Heard[]): never {
  const step: typeof machine.step = (event, now) => {
    const name = event.message?.name ?? event.name;
    const what = name === undefined ? event.type : `${event.type} ${name}`;
    const effects: Effect[] = [];
    heard.push({ what, conn: event.conn, body: event.message?.body, error: event.error, effects });
    effects.push(...machine.step(event, now));
    return effects as never;
  };
  return { step, due: () => machine.due() } as never;
}

/** What a node was asked or told by this name, oldest first. */
export function bodiesOf<N extends Name>(actor: Actor<unknown>, name: N): Body<N>[] {
  return actor.heard.flatMap(({ what, body }) =>
    what === `asked ${name}` || what === `told ${name}` ? [body as Body<N>] : []
  );
}

/** The place of the first (or, from `after` on, the next) such event; it must be there. */
export function placeOf(actor: Actor<unknown>, what: string, after: number = 0): number {
  const at = actor.heard.findIndex((one, place) => place >= after && one.what === what);
  assert.ok(at >= 0, `${actor.name} heard: ${what}`);
  return at;
}

/** Whether it was told so. */
export function hasHeard(actor: Actor<unknown>, what: string): boolean {
  return actor.heard.some((one) => one.what === what);
}
