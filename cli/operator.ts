/**
 * Asks a cluster's primary something as its operator, and waits for the answer that is wanted. It is a machine as the
 * nodes have them, so it finds the primary the way they do.
 */
import { RefusedError, UnreachableError } from "../core/errors.ts";
import type { DatabaseError } from "../core/errors.ts";
import type { Conn } from "../core/ids.ts";
import { ask } from "../core/machine.ts";
import type { Effect, HostEvent, Machine, Now, PeerEvent } from "../core/machine.ts";
import type { Answer, Body, Hello, WireError } from "../core/messages.ts";
import { Seeker } from "../roles/seeker.ts";

/** What an operator may ask: what an admin passes on. */
export type OperatorQuestion =
  | "status"
  | "stop"
  | "listNodes"
  | "addNode"
  | "dropNode"
  | "killNode"
  | "drainNode"
  | "tweak"
  | "setReplicas"
  | "showTable"
  | "listMasters"
  | "addMaster"
  | "removeMaster"
  | "stepDown"
  | "verifyTable"
  | "truncate"
  | "pack"
  | "setBackup"
  | "copyCells"
  | "getConfig"
  | "changeConfig"
  | "configHistory"
  | "configStatus"
  | "listAudit"
  | "listClients"
  | "listSizes"
  | "killClient";
/** How it ended. */
export type OperatorOutput =
  | { readonly answer: Answer<OperatorQuestion> }
  | { readonly error: DatabaseError };

/** What is asked, and for how long. */
export interface OperatorOptions {
  readonly question: OperatorQuestion;
  readonly body: Body<OperatorQuestion>;
  /** It changes something: it isn't asked again when its answer was lost. */
  readonly once?: boolean;
  readonly addresses: readonly string[];
  readonly hello: Hello;
  readonly withinMs: number;
  /** Whether an answer is the one that is wanted; if not, it is asked again when the cluster has changed. */
  readonly isWanted: (answer: Answer<OperatorQuestion>) => boolean;
}

type OperatorEvent = PeerEvent<OperatorQuestion> | HostEvent<never, never>;
type OperatorEffect = Effect<OperatorQuestion, never, never, never, OperatorOutput>;

/** Causes that pass: a primary that isn't there, or isn't the primary any more. */
const PASSING: readonly string[] = ["lost", "timedOut", "stopping", "notPrimary"];

/** One question to the primary. */
export class Operator implements Machine<OperatorEvent, OperatorEffect> {
  readonly #options: OperatorOptions;
  readonly #seeker: Seeker;
  #endMs = Infinity;
  #asking = false;
  #changed = false; // since the question that is open was asked
  #waits = false; // for a primary's first word
  #unwanted: Answer<OperatorQuestion> | undefined;
  #over = false;

  constructor(options: OperatorOptions) {
    this.#options = options;
    this.#seeker = new Seeker(options.addresses, () => options.hello, ["master", "admin"]);
  }

  step(event: OperatorEvent, now: Now): OperatorEffect[] {
    if (this.#over) return [];
    switch (event.type) {
      case "opened":
        this.#endMs = now.monoMs + this.#options.withinMs;
        return this.#seeker.begin();
      case "identified":
        // what is asked once is asked when the primary has spoken: another master would turn the question away unread
        this.#waits = this.#options.once === true;
        return [...this.#seeker.identified(event), ...(this.#waits ? [] : this.#ask(event.conn, now))];
      case "told":
        return this.#news(event.conn, now);
      case "answered":
        return this.#answered(event.conn, event.message.body as Answer<OperatorQuestion>, now);
      case "failed":
        return this.#failed(event.error);
      case "lost": {
        const unsure = this.#asking && this.#options.once === true;
        this.#asking = false;
        this.#seeker.lost(event.error, now);
        return unsure ? this.#unsure(event.error) : this.#failed(event.error);
      }
      case "due":
        return now.monoMs >= this.#endMs ? this.#late() : this.#seeker.due(now);
      case "terminate":
        return this.#late();
      default:
        return [];
    }
  }

  due(): number | undefined {
    return this.#over ? undefined : Math.min(this.#endMs, this.#seeker.dueMs ?? Infinity);
  }

  #ask(conn: Conn, now: Now): OperatorEffect[] {
    this.#asking = true;
    this.#waits = false;
    this.#changed = false;
    const { question, body } = this.#options;
    const withinMs = Math.max(1, Math.ceil(this.#endMs - now.monoMs));
    return [ask(conn, question, body, { context: question, withinMs })];
  }

  #news(conn: Conn, now: Now): OperatorEffect[] {
    this.#seeker.served();
    if (this.#asking) this.#changed = true;
    else if (this.#unwanted !== undefined || this.#waits) return this.#ask(conn, now);
    return [];
  }

  #answered(conn: Conn, answer: Answer<OperatorQuestion>, now: Now): OperatorEffect[] {
    this.#asking = false;
    if (this.#options.isWanted(answer)) return this.#end({ answer });
    this.#unwanted = answer;
    return this.#changed ? this.#ask(conn, now) : [];
  }

  /** The connection ended before the answer came: it may be done. */
  #unsure({ message }: WireError): OperatorEffect[] {
    const text =
      `Cannot tell whether it was done: the primary's answer was lost (${message}); look before you repeat it`;
    return this.#end({ error: new UnreachableError(text, { code: "lost" }) });
  }

  #failed(error: WireError): OperatorEffect[] {
    if (error.code === "notPrimary" && this.#asking) {
      this.#asking = false;
      this.#waits = true; // until there is a primary
    }
    if (PASSING.includes(error.code)) return [];
    return this.#end({ error: new RefusedError(error.code, error.message) });
  }

  /** The time is over: an unwanted answer is better than none. */
  #late(): OperatorEffect[] {
    if (this.#unwanted !== undefined) return this.#end({ answer: this.#unwanted });
    const where = this.#options.addresses.join(", ");
    const why = this.#seeker.problem?.message ?? "no answer came";
    return this.#end({ error: new UnreachableError(`Cannot reach the primary master at ${where}: ${why}`) });
  }

  #end(output: OperatorOutput): OperatorEffect[] {
    this.#over = true;
    return [{ do: "output", output }, { do: "stop" }];
  }
}
