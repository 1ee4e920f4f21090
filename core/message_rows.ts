/** What a row of the table of messages says. */
import type { Type } from "./schema.ts";

/** Lanes of a connection, most urgent first. Only lanes overtake each other. */
export const lanes = { liveness: 0, commit: 1, bulk: 2 } as const;
/** The name of a lane. */
export type Lane = keyof typeof lanes;

/** Fields of a message. */
export type Fields = { readonly [name: string]: Type<unknown> };
/** A request: it has an answer, or an error. */
export interface Ask<B extends Fields, A extends Fields> {
  readonly kind: "ask";
  readonly code: number;
  readonly route: string;
  readonly lane: Lane;
  readonly body: B;
  readonly answer: A;
}
/** A notification. */
export interface Tell<B extends Fields> {
  readonly kind: "tell";
  readonly code: number;
  readonly route: string;
  readonly lane: Lane;
  readonly body: B;
}

/** A row of a request. */
export function ask<B extends Fields, A extends Fields>(
  code: number,
  route: string,
  lane: Lane,
  body: B,
  answer: A,
): Ask<B, A> {
  return { kind: "ask", code, route, lane, body, answer };
}

/** A row of a notification. */
export function tell<B extends Fields>(code: number, route: string, lane: Lane, body: B): Tell<B> {
  return { kind: "tell", code, route, lane, body };
}
