/** A host whose machine is a script and whose world is the test: what happens is noted in one list, in its order. */
import { setImmediate } from "node:timers/promises";
import type { Packet } from "../core/codec.ts";
import type { Conn } from "../core/ids.ts";
import { tell } from "../core/machine.ts";
import type { Effect, HostEvent, Now, PeerEvent } from "../core/machine.ts";
import type { WireError } from "../core/messages.ts";
import type { Store } from "../core/ports.ts";
import { Host } from "../roles/host.ts";
import { FakeClock, FakeTransport, helloBytes } from "./fakes.ts";
import { helloAs } from "./machines.ts";

/** An event of the scripted machine itself. */
export type Call = { readonly type: "call"; readonly text: string };
/** What the scripted machine hears. */
export type ScriptEvent = PeerEvent<string> | HostEvent<string, string> | Call;
/** What it does. */
export type ScriptEffect = Effect<string, string, string, string, string>;

/** A store that notes what it is asked, and fails or waits if it is told to. */
export class NotingStore implements Store<string, string, string> {
  readonly #note: (line: string) => void;
  /** What the next `apply` does instead of returning at once. */
  next: (() => void | Promise<void>) | undefined;
  nextRead: (() => Promise<string>) | undefined;
  free: number | undefined;

  constructor(note: (line: string) => void) {
    this.#note = note;
  }

  apply(writes: readonly string[], { durable }: { readonly durable: boolean }): void | Promise<void> {
    this.#note(`apply ${writes.join(" ")}${durable ? " durable" : ""}`);
    const { next } = this;
    this.next = undefined;
    return next?.();
  }

  read(query: string): string | Promise<string> {
    this.#note(`read ${query}`);
    return this.nextRead?.() ?? `${query}!`;
  }

  freeBytes(): number | undefined {
    return this.free;
  }

  close(): void {
    this.#note("close");
  }
}

/** A host whose machine is a script, and whose world notes everything in one list, in its order. */
export class HostStage {
  readonly clock = new FakeClock();
  readonly transport = new FakeTransport();
  readonly notes: string[] = [];
  readonly store = new NotingStore((line) => this.note(line));
  /** What the machine answers to an event; the default notes it and does nothing. */
  script: (event: ScriptEvent, now: Now) => ScriptEffect[] = () => [];
  dueMs: number | undefined;
  readonly ends: (WireError | undefined)[] = [];
  readonly host: Host<string, string, string, string, string, Call, string>;

  constructor() {
    const machine = {
      step: (event: ScriptEvent, now: Now) => {
        this.note(event.type === "call" ? `step ${event.text}` : `step ${event.type}`);
        return this.script(event, now);
      },
      due: () => this.dueMs,
    };
    this.host = new Host(machine, {
      clock: this.clock,
      transport: this.transport,
      store: this.store,
      log: (level, text) => this.note(`log ${level} ${text}`),
      output: (output) => this.note(`output ${output}`),
      stopped: (error) => this.ends.push(error),
    }, { hello: helloAs("storage", { name: "s1" }), serves: ["client"] });
    this.clock.run();
    this.takeNotes();
  }

  note(line: string): void {
    this.notes.push(line);
  }

  takeNotes(): string[] {
    return this.notes.splice(0);
  }

  call(...texts: readonly string[]): void {
    for (const text of texts) this.host.call({ type: "call", text });
  }

  /** A client that is identified and accepted. */
  open(): Conn {
    const conn = this.transport.conn();
    const before = this.script;
    this.script = (event) => (event.type === "identified" ? [{ do: "accept", conn }] : []);
    this.transport.report({ type: "accepted", conn, remote: "elsewhere" });
    this.hears(conn, helloBytes(helloAs("client")));
    this.clock.run();
    this.script = before;
    this.transport.takePackets(conn);
    this.takeNotes();
    return conn;
  }

  hears(conn: Conn, bytes: Uint8Array): void {
    this.transport.report({ type: "bytes", conn, bytes });
  }
}

/** A save. */
export const save = (write: string, durable: boolean = false): ScriptEffect => ({
  do: "save",
  write,
  durable,
});
/** A read. */
export const read = (query: string): ScriptEffect => ({ do: "read", query, context: query });
/** A word to a peer. */
export const say = (conn: Conn): ScriptEffect => tell(conn, "phase", { phase: "running", epoch: 1 });
/** A word to the program. */
export const output = (text: string): ScriptEffect => ({ do: "output", output: text });
/** A notification of a peer. */
export const news: Packet = {
  kind: "tell",
  message: { name: "phase", body: { phase: "running", epoch: 1 } },
};
/** A request of a peer. */
export const sync = (id: number): Packet => ({
  kind: "ask",
  id,
  withinMs: 1,
  message: { name: "sync", body: {} },
});
/** Lets promises that are settled run what waits for them. */
export const settled = (): Promise<void> => setImmediate();

/** Calls that do something: `save a`, `save! a`, `read a`, `say`, `output a`. */
export function byWords(conn: Conn): (event: ScriptEvent) => ScriptEffect[] {
  return (event) => {
    if (event.type !== "call") return [];
    const [verb, what = ""] = event.text.split(" ");
    switch (verb) {
      case "save":
        return [save(what)];
      case "save!":
        return [save(what, true)];
      case "read":
        return [read(what)];
      case "say":
        return [say(conn)];
      default:
        return [output(what)];
    }
  };
}
