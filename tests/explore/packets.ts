/** What travels between nodes. */
import type { messages, WireError } from "../../core/messages.ts";

/** What travels: a hello, or one message of any kind. */
export type Packet =
  | { readonly kind: "hello"; readonly hello: unknown }
  | { readonly kind: "ask"; readonly id: number; readonly withinMs: number; readonly message: Message }
  | { readonly kind: "tell"; readonly message: Message }
  | { readonly kind: "answer"; readonly id: number; readonly message: Message }
  | { readonly kind: "refuse"; readonly id: number; readonly error: WireError }
  | { readonly kind: "error"; readonly error: WireError };

/** A message, whatever it says. */
export interface Message {
  readonly name: keyof typeof messages;
  readonly body: { readonly [field: string]: unknown };
}

/** What both sides hear of a connection that broke. */
export const BROKEN: Packet = {
  kind: "error",
  error: { code: "lost", message: "Lost the connection: it broke" },
};
/** Connection numbers of a pair begin at a multiple of this. */
export const CONNS_MAX = 100;
/** The operator's connection, who isn't a node: what is said there goes nowhere. */
export const OPERATOR = -1;
