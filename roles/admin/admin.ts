/**
 * The admin role: the operator's gateway. It follows the primary as clients do, and passes an operator's questions on; while no
 * primary is there it answers `status` from what it saw last, and says so.
 *
 * States: `seeking` a primary, or following one. It keeps nothing.
 */
import { unreachable } from "../../core/errors.ts";
import type { Conn } from "../../core/ids.ts";
import { REQUEST_TIMEOUT_MS } from "../../core/limits.ts";
import { answer, refuse } from "../../core/machine.ts";
import type { Effect, HostEvent, Machine, Now, PeerEvent } from "../../core/machine.ts";
import { messages } from "../../core/messages.ts";
import type { Answer, AnswerMessage, AskMessage, AskName, Hello, WireError } from "../../core/messages.ts";
import { isReadable } from "../../core/partition_table.ts";
import type { Digest } from "../../core/ports.ts";
import { helloOf } from "../hello.ts";
import { PRIMARY, Seeker } from "../seeker.ts";
import { Settings } from "../settings.ts";
import type { SettingsOutput } from "../settings.ts";
import { View } from "../view.ts";

interface Asker {
  readonly conn: Conn;
  readonly id: number;
}

/** What an admin attaches to its questions: for whom it asks. */
export type AdminContext = { readonly of: "table" } | { readonly of: "forward"; readonly asker: Asker };
/** Effects of an admin. */
export type AdminEffect = Effect<AdminContext, never, never, never, SettingsOutput>;
/** Events of an admin. */
export type AdminEvent = PeerEvent<AdminContext> | HostEvent<never, never>;

/** What an admin starts from. */
export interface AdminStart {
  readonly cluster: string;
  readonly clusterId: string;
  readonly masters: readonly string[];
  readonly name: string;
  readonly address: string;
  readonly digest: Digest;
  /** What is configured. */
  readonly settings?: Settings;
}

/** Whether operators ask it, so that it is passed on. */
function isOperators(name: AskName): boolean {
  return messages[name].route.includes("A>A");
}

/** An admin. */
export class AdminMachine implements Machine<AdminEvent, AdminEffect> {
  #start: AdminStart;
  #seeker: Seeker;
  #view: View;
  #effects: AdminEffect[] = [];
  #settings: Settings;

  constructor(start: AdminStart) {
    this.#start = start;
    this.#settings = start.settings ?? new Settings();
    this.#view = new View(start.digest);
    this.#seeker = new Seeker(start.masters, () => this.hello());
  }

  /** What this node says of itself. */
  hello(): Hello {
    const { cluster, clusterId, name, address } = this.#start;
    const { epoch, tableDigest } = this.#view;
    return helloOf({ role: "admin", cluster, clusterId, name, address, epoch, tableDigest });
  }

  /** The cluster as it is known here, undefined before a primary was heard; and whether one is followed. */
  get seen(): { readonly follows: boolean; readonly phase: string } {
    const follows = this.#seeker.conn !== undefined && this.#view.table !== undefined;
    return { follows, phase: follows ? this.#view.phase : "noPrimary" };
  }

  due(): number | undefined {
    return this.#seeker.dueMs;
  }

  step(event: AdminEvent, now: Now): AdminEffect[] {
    switch (event.type) {
      case "opened":
        this.#effects.push(...this.#seeker.begin());
        break;
      case "identified":
        if (event.target === PRIMARY) this.#effects.push(...this.#seeker.identified(event));
        else this.#effects.push({ do: "accept", conn: event.conn });
        break;
      case "asked":
        this.#asked({ conn: event.conn, id: event.id }, event.message, event.withinMs);
        break;
      case "told":
        if (event.conn === this.#seeker.conn) this.#told(event);
        break;
      case "answered":
        this.#answered(event.context, event.message);
        break;
      case "failed":
        if (event.context.of === "forward") this.#effects.push(refuse(event.context.asker, event.error));
        break;
      case "lost":
        if (event.target === PRIMARY) this.#lost(event.error, now);
        break;
      case "due":
        this.#effects.push(...this.#seeker.due(now));
        break;
      case "terminate":
        this.#seeker.end();
        this.#effects.push({ do: "stop" });
        break;
      case "impatient":
      case "saved":
      case "read":
      case "room":
        break; // everybody is accepted at once, and nothing is kept
      default:
        unreachable(event);
    }
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  #told({ conn, message }: Extract<AdminEvent, { type: "told" }>): void {
    if (message.name === "welcome") {
      const problem = this.#view.welcome(message.body);
      if (problem === undefined) {
        this.#seeker.served();
        return this.#log("info", `Following the primary: cluster is ${message.body.phase}`);
      }
      const error: WireError = { code: "staleEpoch", message: `Cannot follow this primary: ${problem}` };
      this.#effects.push({ do: "close", conn, error });
      return;
    }
    if (message.name === "config") return void this.#effects.push(...this.#settings.take(message.body, conn));
    const before = new Map([...this.#view.nodes].map(([index, { state }]) => [index, state]));
    const question = this.#view.told(conn, message, { of: "table" } as const);
    if (question) this.#effects.push(question);
    if (message.name === "phase") this.#log("info", `Cluster is ${message.body.phase}`);
    for (const { index, name, state } of this.#view.nodes.values()) {
      if (before.get(index) === state) continue;
      this.#log(state === "unavailable" ? "warning" : "info", `Storage ${name} is ${state}`);
    }
  }

  #asked(asker: Asker, message: AskMessage, withinMs: number): void {
    const { conn } = this.#seeker;
    if (!isOperators(message.name)) {
      const text = `Cannot serve ${message.name}: an admin takes what operators ask`;
      this.#effects.push(refuse(asker, { code: "denied", message: text }));
    } else if (conn !== undefined) {
      const context = { of: "forward", asker } as const;
      const within = Math.min(withinMs, REQUEST_TIMEOUT_MS);
      this.#effects.push({ do: "ask", conn, message, context, withinMs: within });
    } else if (message.name === "status" && this.#view.table) {
      this.#effects.push(answer(asker, "status", this.#lastSeen()));
    } else {
      const why = this.#seeker.problem?.message ?? "none has answered yet";
      this.#effects.push(refuse(asker, { code: "lost", message: `Cannot ask the primary: ${why}` }));
    }
  }

  #answered(context: AdminContext, message: AnswerMessage): void {
    if (context.of === "table") {
      if (message.name === "askTable") this.#view.replace(message.body.image);
    } else this.#effects.push({ do: "answer", ...context.asker, message });
  }

  #lost(error: WireError, now: Now): void {
    if (this.#seeker.conn !== undefined) this.#log("warning", `Lost the primary: ${error.message}`);
    this.#seeker.lost(error, now);
  }

  /** What was known when the primary was lost. */
  #lastSeen(): Answer<"status"> {
    const { clusterId, cluster, epoch, lastTid, nodes, table } = this.#view;
    const cellsOf = (index: number) => table!.cellsOf(index as never);
    return {
      clusterId,
      cluster,
      state: "noPrimary",
      primary: "",
      epoch,
      generation: table!.generation,
      version: table!.version,
      partitions: table!.partitions,
      replicas: table!.replicas,
      origin: "",
      backup: null,
      pack: null,
      oldestSnapshot: null,
      lastTid,
      clients: 0,
      waitingFor: "a primary master",
      nodes: [...nodes.values()].map(({ index, name, role, address, state }) => ({
        index,
        name,
        role,
        address,
        state,
        cells: cellsOf(index).length,
        readable: cellsOf(index).filter(({ cell }) => isReadable(cell)).length,
        problem: null,
      })),
    };
  }

  #log(level: "info" | "warning", text: string): void {
    this.#effects.push({ do: "log", module: "cluster", level, text });
  }
}
