/** A person with a command line: asks the admin one thing at a time, and goes. */
import type { Conn } from "../../core/ids.ts";
import type { Effect, HostEvent, Machine, PeerEvent } from "../../core/machine.ts";
import type { AnswerMessage, AskMessage, Hello, WireError } from "../../core/messages.ts";

/** What the person wants. */
export interface Command {
  readonly type: "command";
  readonly id: number;
  readonly message: AskMessage;
}

/** What came of a command. */
export type CommandEnd =
  & { readonly id: number }
  & ({ readonly answer: AnswerMessage } | { readonly error: WireError });

type OperatorEvent = PeerEvent<null> | HostEvent<never, never> | Command;
type OperatorEffect = Effect<null, never, never, never, CommandEnd>;

const WITHIN_MS = 30_000;

/** Makes a connection for each command. */
export class OperatorMachine implements Machine<OperatorEvent, OperatorEffect> {
  readonly #address: string;
  readonly #hello: Hello;
  #wanted: Command[] = [];
  #asked = new Map<Conn, number>();

  constructor(address: string, hello: Hello) {
    this.#address = address;
    this.#hello = hello;
  }

  due(): undefined {
    return undefined;
  }

  step(event: OperatorEvent): OperatorEffect[] {
    switch (event.type) {
      case "command":
        this.#wanted.push(event);
        return [{ do: "connect", address: this.#address, target: "admin", hello: this.#hello }];
      case "identified":
        return this.#ask(event.conn);
      case "answered":
        return this.#end(event.conn, (id) => ({ id, answer: event.message }));
      case "failed":
        return this.#end(event.conn, (id) => ({ id, error: event.error }));
      case "lost":
        return this.#lost(event.conn, event.error);
      case "terminate":
        return [{ do: "stop" }];
      default:
        return [];
    }
  }

  #ask(conn: Conn): OperatorEffect[] {
    const command = this.#wanted.shift();
    if (command === undefined) return [];
    const { id, message } = command;
    this.#asked.set(conn, id);
    return [{ do: "accept", conn }, { do: "ask", conn, message, context: null, withinMs: WITHIN_MS }];
  }

  #end(conn: Conn, endOf: (id: number) => CommandEnd): OperatorEffect[] {
    const id = this.#asked.get(conn);
    this.#asked.delete(conn);
    const close = { do: "close", conn, error: { code: "lost", message: "The command is done" } } as const;
    return id === undefined ? [close] : [close, { do: "output", output: endOf(id) }];
  }

  /** A connection that didn't come about, or ended too early: so does the command. */
  #lost(conn: Conn, error: WireError): OperatorEffect[] {
    const id = this.#asked.get(conn) ?? this.#wanted.shift()?.id;
    this.#asked.delete(conn);
    return id === undefined ? [] : [{ do: "output", output: { id, error } }];
  }
}
