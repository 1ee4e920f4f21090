/** What a point is, and short ways to say which steps it looks at. */
import type { Conn } from "../../../core/ids.ts";
import type { Effect } from "../../../core/machine.ts";
import type { Answer, AskName, Body, TellName } from "../../../core/messages.ts";
import { labelOf } from "../trace.ts";
import type { Context, Happened, NodeView, View } from "./view.ts";

/** A step with what was known before it. */
export interface Seen {
  readonly node: NodeView;
  readonly view: View;
  readonly event: Happened;
  readonly effects: readonly Effect[];
}

/** A situation that must be met now and then, and which promise it is about. */
export interface Point {
  readonly name: string;
  /** A row of the failure matrix (5.8), a rule of the architecture (A5, A6), a trap. */
  readonly of: string;
  /** The role that takes the step, and what is in it. */
  readonly on: string;
  readonly seen: (seen: Seen, what: Effect | Happened) => boolean;
}

type Role = "master" | "storage" | "client";
/** The part of a point that says when. */
export type When = Pick<Point, "on" | "seen">;

/** How a role's event is named. */
export function eventKey(role: string, event: Happened): string {
  switch (event.type) {
    case "asked":
    case "told":
    case "answered":
      return `${role} ${event.type} ${event.message.name}`;
    case "failed":
      return `${role} failed ${event.name}`;
    case "read":
      return `${role} read ${event.context.for}`;
    default:
      return `${role} ${event.type}`;
  }
}

/** How its effect is named. */
export function effectKey(role: string, effect: Effect): string {
  return effect.do === "refuse" ? `${role} > refuse ${effect.error.code}` : `${role} > ${labelOf(effect)}`;
}

/** A role is asked something. */
export function isAsked<N extends AskName>(
  role: Role,
  name: N,
  test: (body: Body<N>, seen: Seen & { readonly conn: Conn }) => boolean = () => true,
): When {
  return {
    on: `${role} asked ${name}`,
    seen: (seen, what) => {
      const { message, conn } = what as Extract<Happened, { type: "asked" }>;
      return test(message.body as Body<N>, { ...seen, conn });
    },
  };
}

/** A role is told something. */
export function isTold<N extends TellName>(
  role: Role,
  name: N,
  test: (body: Body<N>, seen: Seen & { readonly conn: Conn }) => boolean = () => true,
): When {
  return {
    on: `${role} told ${name}`,
    seen: (seen, what) => {
      const { message, conn } = what as Extract<Happened, { type: "told" }>;
      return test(message.body as Body<N>, { ...seen, conn });
    },
  };
}

/** A question of a role is answered. */
export function isAnswered<N extends AskName>(
  role: Role,
  name: N,
  test: (body: Answer<N>, context: Context, seen: Seen) => boolean = () => true,
): When {
  return {
    on: `${role} answered ${name}`,
    seen: (seen, what) => {
      const { message, context } = what as Extract<Happened, { type: "answered" }>;
      return test(message.body as Answer<N>, context, seen);
    },
  };
}

/** A question of a role fails with that code. */
export function fails(
  role: Role,
  name: AskName,
  code: string,
  test: (seen: Seen) => boolean = () => true,
): When {
  return {
    on: `${role} failed ${name}`,
    seen: (seen, what) => (what as Extract<Happened, { type: "failed" }>).error.code === code && test(seen),
  };
}

/** A role sends a question. */
export function asks<N extends AskName>(
  role: Role,
  name: N,
  test: (body: Body<N>, context: Context, seen: Seen) => boolean = () => true,
): When {
  return {
    on: `${role} > ask ${name}`,
    seen: (seen, what) => {
      const { message, context } = what as Extract<Effect, { do: "ask" }>;
      return test(message.body as Body<N>, context as Context, seen);
    },
  };
}

/** A role tells something. */
export function tells<N extends TellName>(
  role: Role,
  name: N,
  test: (body: Body<N>, seen: Seen) => boolean = () => true,
): When {
  return {
    on: `${role} > tell ${name}`,
    seen: (seen, what) => test((what as Extract<Effect, { do: "tell" }>).message.body as Body<N>, seen),
  };
}

/** A role answers. */
export function answers<N extends AskName>(
  role: Role,
  name: N,
  test: (body: Answer<N>, seen: Seen & { readonly to: Conn }) => boolean = () => true,
): When {
  return {
    on: `${role} > answer ${name}`,
    seen: (seen, what) => {
      const { message, conn } = what as Extract<Effect, { do: "answer" }>;
      return test(message.body as Answer<N>, { ...seen, to: conn });
    },
  };
}

/** A role refuses with that code. */
export function refuses(
  role: Role,
  code: string,
  test: (seen: Seen, refusal: Extract<Effect, { do: "refuse" }>) => boolean = () => true,
): When {
  return {
    on: `${role} > refuse ${code}`,
    seen: (seen, what) => test(seen, what as Extract<Effect, { do: "refuse" }>),
  };
}

/** A role saves something. */
export function saves(
  role: Role,
  op: string,
  test: (write: Readonly<Record<string, unknown>>, seen: Seen) => boolean = () => true,
): When {
  return {
    on: `${role} > save ${op}`,
    seen: (seen, what) =>
      test((what as Extract<Effect, { do: "save" }>).write as Readonly<Record<string, unknown>>, seen),
  };
}

/** Something happens to a role. */
export function happens(
  role: Role,
  type: Happened["type"],
  test: (seen: Seen & { readonly conn: Conn }) => boolean = () => true,
): When {
  return { on: `${role} ${type}`, seen: (seen) => test({ ...seen, conn: seen.event.conn }) };
}

/** Whether a step has an effect of that label. */
export function has({ effects }: Pick<Seen, "effects">, label: string): boolean {
  return effects.some((effect) => labelOf(effect) === label);
}

/** Whether it has nothing but log lines. */
export function isSilent({ effects }: Pick<Seen, "effects">): boolean {
  return effects.every((effect) => effect.do === "log");
}

/** Whether it logs that. */
export function logs({ effects }: Pick<Seen, "effects">, start: string): boolean {
  return effects.some((effect) => effect.do === "log" && effect.text.startsWith(start));
}

/** The ttids of its saves of that kind. */
export function savedTtids({ effects }: Pick<Seen, "effects">, op: string): bigint[] {
  return effects.flatMap((effect) => {
    const write = effect.do === "save" ? (effect.write as { op: string; ttid: bigint }) : undefined;
    return write?.op === op ? [write.ttid] : [];
  });
}
