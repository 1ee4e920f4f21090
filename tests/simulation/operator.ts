/** A person with a command line: asks the admin one thing at a time, and goes. */
import type { Conn } from "../../core/ids.ts";
import { ask } from "../../core/machine.ts";
import type { Effect, HostEvent, Machine, PeerEvent } from "../../core/machine.ts";
import type { Hello } from "../../core/messages.ts";

/** What the person wants. */
export interface Command {
  readonly type: "command";
  readonly name: "status" | "stop";
}

type OperatorEvent = PeerEvent<null> | HostEvent<never, never> | Command;
type OperatorEffect = Effect<null, never, never, never, never>;

const WITHIN_MS = 30_000;

/** Makes a connection for each command. */
export class OperatorMachine implements Machine<OperatorEvent, OperatorEffect> {
  readonly #address: string;
  readonly #hello: Hello;
  #wanted: Command["name"][] = [];

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
        this.#wanted.push(event.name);
        return [{ do: "connect", address: this.#address, target: "admin", hello: this.#hello }];
      case "identified":
        return this.#ask(event.conn);
      case "answered":
      case "failed":
        return [{ do: "close", conn: event.conn, error: { code: "lost", message: "The command is done" } }];
      case "terminate":
        return [{ do: "stop" }];
      default:
        return [];
    }
  }

  #ask(conn: Conn): OperatorEffect[] {
    const name = this.#wanted.shift() ?? "status";
    return [{ do: "accept", conn }, ask(conn, name, {}, { context: null, withinMs: WITHIN_MS })];
  }
}
