/**
 * What a role is: a machine that decides and does nothing else. Events and the time go in, effects come out; the
 * order of effects is a promise. `roles/host.ts` runs a machine in production and in the simulator.
 */
import type { Conn } from "./ids.ts";
import type { LogLevel, LogModule } from "./log_modules.ts";
import type {
  Answer,
  AnswerMessage,
  AskMessage,
  AskName,
  Body,
  Hello,
  TellMessage,
  TellName,
  WireError,
} from "./messages.ts";

/** The time of a round, read after its mailbox was drained. */
export interface Now {
  /** For deadlines, heartbeats and elections: never goes back. */
  readonly monoMs: number;
  /** For tids, dates and logs only: may jump. */
  readonly wallMs: number;
}

/** What `roles/peer.ts` tells a machine about its connections. `C` is what the machine attaches to its questions. */
export type PeerEvent<C> =
  /** A peer has said who it is; the machine answers with `accept`, `reject`, or keeps it waiting. */
  | {
    readonly type: "identified";
    readonly conn: Conn;
    readonly hello: Hello;
    readonly incoming: boolean;
    readonly target?: string;
    /** Whom its certificate shows, such as `client app`, if it has one. */
    readonly holder?: string;
  }
  /** An incoming peer has waited for as long as it could: reject it with what it waited for. */
  | { readonly type: "impatient"; readonly conn: Conn }
  | {
    readonly type: "asked";
    readonly conn: Conn;
    readonly id: number;
    readonly withinMs: number;
    readonly message: AskMessage;
  }
  | { readonly type: "told"; readonly conn: Conn; readonly message: TellMessage }
  | { readonly type: "answered"; readonly conn: Conn; readonly context: C; readonly message: AnswerMessage }
  | {
    readonly type: "failed";
    readonly conn: Conn;
    readonly context: C;
    readonly name: AskName;
    readonly error: WireError;
  }
  /** After everything that the connection delivered, and after `failed` for each open question. */
  | { readonly type: "lost"; readonly conn: Conn; readonly error: WireError; readonly target?: string };

/** What the host itself tells a machine. `R` is what the machine attaches to its reads. */
export type HostEvent<R, A> =
  /** First event of a machine. */
  | { readonly type: "opened" }
  /** All saves of this round are done, and flushed if one was durable. */
  | { readonly type: "saved" }
  | { readonly type: "read"; readonly context: R; readonly result: A }
  /** A deadline of `Machine.due()` has come. */
  | { readonly type: "due" }
  /** Bytes that the database may still take. */
  | { readonly type: "room"; readonly freeBytes: number }
  /** The operator asks this node to end: SIGTERM, Ctrl-C or a test. */
  | { readonly type: "terminate" };

/** How long peers are waited for. */
export interface PeerTimes {
  /** Silence after which a peer is asked whether it is there; three times unanswered, it is lost. */
  readonly keepaliveMs: number;
  /** The same of a primary, where there are several masters, and between masters. */
  readonly primaryKeepaliveMs: number;
  /** A peer that takes nothing of what is sent to it for this long is dropped. */
  readonly writeTimeoutMs: number;
}

/** Decided work, as plain data. Saves come before everything that is said, whatever their order here. */
export type Effect<C = unknown, W = unknown, Q = unknown, R = unknown, O = unknown> =
  | { readonly do: "save"; readonly write: W; readonly durable: boolean }
  | { readonly do: "read"; readonly query: Q; readonly context: R }
  | {
    readonly do: "ask";
    readonly conn: Conn;
    readonly message: AskMessage;
    readonly context: C;
    readonly withinMs: number;
  }
  | { readonly do: "tell"; readonly conns: readonly Conn[]; readonly message: TellMessage }
  | { readonly do: "answer"; readonly conn: Conn; readonly id: number; readonly message: AnswerMessage }
  | { readonly do: "refuse"; readonly conn: Conn; readonly id: number; readonly error: WireError }
  | { readonly do: "accept"; readonly conn: Conn }
  /** Says why, then closes. */
  | { readonly do: "reject"; readonly conn: Conn; readonly error: WireError }
  | { readonly do: "close"; readonly conn: Conn; readonly error: WireError }
  /** Makes a connection and identifies; `identified` or `lost` follows with `target`. */
  | {
    readonly do: "connect";
    readonly address: string;
    readonly target: string;
    readonly hello: Hello;
    /** Whether it is asked after `primaryKeepaliveMs` of silence if it is there: another may take over from it. */
    readonly closely?: boolean;
  }
  | {
    readonly do: "log";
    readonly module: LogModule;
    readonly level: LogLevel;
    readonly text: string;
    readonly facts?: { readonly [name: string]: unknown };
  }
  /** These certificates, by fingerprint, are revoked, and no others: who came by one of them goes. */
  | { readonly do: "distrust"; readonly fingerprints: readonly string[] }
  /** So long peers are waited for from now on, those who are there too. */
  | { readonly do: "retime"; readonly times: PeerTimes }
  /** For the program around the machine: results of calls, changes to show. After saves and sends. */
  | { readonly do: "output"; readonly output: O }
  /** The node ends, in order (`error` undefined) or because it can't go on. */
  | { readonly do: "stop"; readonly error?: WireError };

/** A role. `E` are its own events besides those of peers and host. */
export interface Machine<E, F> {
  /** Decides. Reads no clock, opens no socket, awaits nothing. */
  step(event: E, now: Now): F[];
  /** The earliest `monoMs` at which the machine wants a `due` event. */
  due(): number | undefined;
  /** Where it stands: what each of its log lines says besides its own facts. */
  readonly standing?: Standing | undefined;
}

/** The epoch that a node knows of, and its phase in it. */
export interface Standing {
  readonly epoch: number;
  readonly phase: string;
}

/** A question to a peer. */
export function ask<N extends AskName, C>(
  conn: Conn,
  name: N,
  body: Body<N>,
  options: { context: C; withinMs: number },
) {
  return { do: "ask", conn, message: { name, body } as unknown as AskMessage, ...options } as const;
}

/** A notification to one or many peers; it is encoded once. */
export function tell<N extends TellName>(conns: Conn | readonly Conn[], name: N, body: Body<N>) {
  const all: readonly Conn[] = typeof conns === "number" ? [conns] : (conns as readonly Conn[]);
  return { do: "tell", conns: all, message: { name, body } as unknown as TellMessage } as const;
}

/** The answer to a question. */
export function answer<N extends AskName>(
  to: { readonly conn: Conn; readonly id: number },
  name: N,
  body: Answer<N>,
) {
  return {
    do: "answer",
    conn: to.conn,
    id: to.id,
    message: { name, body } as unknown as AnswerMessage,
  } as const;
}

/** The refusal of a question. */
export function refuse(to: { readonly conn: Conn; readonly id: number }, error: WireError) {
  return { do: "refuse", conn: to.conn, id: to.id, error } as const;
}
