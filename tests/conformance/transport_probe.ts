/** What transport tests hold in their hands: timers that they fire themselves, and transports that are watched. */
import assert from "node:assert/strict";
import type { Later } from "../../adapters/system.ts";
import type { Conn } from "../../core/ids.ts";
import type { Transport, TransportEvent } from "../../core/ports.ts";

/** A test that waits for longer has failed; nothing is ever expected to take time. */
const PATIENCE_MS = 30_000;

/** Odd, so that pieces fit nowhere exactly. */
export const FILL_BYTES = 16_411;

/** Timers that only the test lets fire. */
export class ManualTimers {
  readonly #open = new Set<{ readonly ms: number; readonly task: () => void }>();

  readonly later: Later = (ms, task) => {
    const timer = { ms, task };
    this.#open.add(timer);
    return () => void this.#open.delete(timer);
  };

  /** What is waited for, in milliseconds. */
  get waits(): number[] {
    return [...this.#open].map(({ ms }) => ms);
  }

  fire(): void {
    const due = [...this.#open];
    this.#open.clear();
    for (const { task } of due) task();
  }
}

/** Bytes of which each tells its place. */
export function patternOf(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at++) bytes[at] = at * 31 + (at >> 8);
  return bytes;
}

/** Like `deepEqual`, whose difference of megabytes nobody could wait for. */
export function assertBytes(actual: Uint8Array, expected: Uint8Array): void {
  assert.equal(actual.length, expected.length, "number of bytes");
  const different = actual.findIndex((byte, at) => byte !== expected[at]);
  assert.equal(different, -1, "place of the first byte that differs");
}

/** A transport that is watched: what breaks the rules that hold for every event is kept in `violations`. */
export class Probe {
  readonly events: TransportEvent[] = [];
  readonly violations: string[] = [];
  /** Runs within the sink, after the event was noted. */
  react: (event: TransportEvent) => void = () => {};
  readonly #transport: Transport;
  readonly #stages = new Map<Conn, "asked" | "open" | "closed">();
  readonly #paused = new Set<Conn>();
  readonly #owed = new Set<Conn>();
  #watchers: (() => void)[] = [];
  #calling = false;

  constructor(transport: Transport) {
    this.#transport = transport;
    transport.onEvent((event) => {
      this.#judge(event);
      this.events.push(event);
      this.react(event);
      for (const watch of this.#watchers) watch();
    });
  }

  listen(address = "127.0.0.1:0"): Promise<string> {
    return this.#call(() => this.#transport.listen(address));
  }

  connect(address: string): Conn {
    const conn = this.#call(() => this.#transport.connect(address));
    if (this.#stages.has(conn)) this.violations.push(`${conn} was used before`);
    this.#stages.set(conn, "asked");
    return conn;
  }

  write(conn: Conn, bytes: Uint8Array): boolean {
    const more = this.#call(() => this.#transport.write(conn, bytes));
    if (more && this.#owed.has(conn)) this.violations.push(`write to ${conn} is welcome before drained`);
    if (!more) this.#owed.add(conn);
    return more;
  }

  /** Writes until the transport has enough, or `most` pieces of 16 KB; gives what was written. */
  fill(conn: Conn, most = 4_096): Uint8Array {
    const pattern = patternOf(FILL_BYTES);
    const pieces: Uint8Array[] = [];
    while (pieces.length < most) {
      const piece = new Uint8Array(pattern);
      new DataView(piece.buffer).setUint32(0, pieces.length);
      pieces.push(piece);
      if (!this.write(conn, piece)) return joined(pieces);
    }
    assert.ok(pieces.length < 4_096, "write() never says that it is enough");
    return joined(pieces);
  }

  setReading(conn: Conn, on: boolean): void {
    if (on) this.#paused.delete(conn);
    else this.#paused.add(conn);
    this.#call(() => this.#transport.setReading(conn, on));
  }

  close(conn: Conn): void {
    this.#call(() => this.#transport.close(conn));
  }

  destroy(conn: Conn): void {
    this.#call(() => this.#transport.destroy(conn));
  }

  shutdown(): Promise<void> {
    return this.#call(() => this.#transport.shutdown());
  }

  of<T extends TransportEvent["type"]>(type: T, conn?: Conn): Extract<TransportEvent, { type: T }>[] {
    return this.events.filter((event): event is Extract<TransportEvent, { type: T }> =>
      event.type === type && (conn === undefined || event.conn === conn)
    );
  }

  received(conn: Conn): Uint8Array {
    return joined(this.of("bytes", conn).map(({ bytes }) => bytes));
  }

  text(conn: Conn): string {
    return new TextDecoder().decode(this.received(conn));
  }

  /** Fulfilled as soon as `holds()` after an event. */
  until(what: string, holds: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const alarm = setTimeout(() => {
        const seen = this.events.map(({ type, conn }) => `${type} ${conn}`).slice(-20).join(", ");
        reject(new Error(`never came: ${what}; last events: ${seen}`));
      }, PATIENCE_MS);
      const watch = () => {
        if (!holds()) return;
        clearTimeout(alarm);
        this.#watchers = this.#watchers.filter((other) => other !== watch);
        resolve();
      };
      this.#watchers.push(watch);
      watch();
    });
  }

  async one<T extends TransportEvent["type"]>(type: T, conn?: Conn): Promise<Conn> {
    await this.until(`${type} ${conn ?? ""}`, () => this.of(type, conn).length > 0);
    return this.of(type, conn)[0]?.conn ?? assert.fail();
  }

  /** Connections that weren't closed. */
  get unclosed(): Conn[] {
    return [...this.#stages].filter(([, stage]) => stage !== "closed").map(([conn]) => conn);
  }

  #call<R>(body: () => R): R {
    this.#calling = true;
    try {
      return body();
    } finally {
      this.#calling = false;
    }
  }

  #judge({ type, conn }: TransportEvent): void {
    const wrong = (why: string) => this.violations.push(`${type} of ${conn} ${why}`);
    if (this.#calling) wrong("came within a call");
    const stage = this.#stages.get(conn);
    if (stage === "closed") wrong("came after closed");
    if (type === "accepted" && stage !== undefined) wrong("has a number that was used before");
    if (type === "connected" && stage !== "asked") wrong("wasn't asked for");
    if ((type === "bytes" || type === "drained") && stage !== "open") wrong("came before it was open");
    if (type === "bytes" && this.#paused.has(conn)) wrong("came although nothing is to be read");
    if (type === "drained" && !this.#owed.delete(conn)) wrong("came although every write was welcome");
    if (type === "closed") this.#owed.delete(conn);
    if (type === "closed" && stage === undefined) wrong("came for a connection that nobody knows");
    this.#stages.set(conn, type === "closed" ? "closed" : "open");
  }
}

/** Pieces as one. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
