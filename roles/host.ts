/**
 * The loop that runs a machine on its ports, in production and in the simulator. It works in rounds; this is group
 * commit, and the reason a busy node flushes once for many transactions:
 *
 * 1. take the events that have arrived, a bounded number; 2. read the clocks; 3. step the events in order;
 * 4. do all saves in one database transaction, flushed if one of them is durable, and tell the machine `saved`;
 * 5. do the reads and step their answers (both may ask for more saves: then 4 again); 6. send, one write a peer and lane.
 *
 * Nothing said in a round leaves before its saves have returned. A failed save is a crash: nothing is sent, everything is
 * closed, and the machine is thrown away; whoever runs the host rebuilds it from the database.
 */
import { MalformedError } from "../core/errors.ts";
import type { Conn } from "../core/ids.ts";
import {
  LATE_GRACE_MS,
  LATE_WAKE_MS,
  RECEIVED_BYTES_MAX,
  ROUND_EVENTS_MAX,
  SPACE_CHECK_MS,
} from "../core/limits.ts";
import type { LogLevel, LogModule } from "../core/log_modules.ts";
import type { Effect, HostEvent, Machine, Now, PeerEvent } from "../core/machine.ts";
import type { WireError } from "../core/messages.ts";
import type { Clock, Multicast, MulticastEvent, Store, Transport, TransportEvent } from "../core/ports.ts";
import type { Meter, MeteredEvent } from "./meter.ts";
import { Peers } from "./peer.ts";
import type { PeerEffect, PeersOptions } from "./peer.ts";
import type { RecordedEvent, Recorder } from "./recorder.ts";

/** What a host needs of the world. */
export interface HostPorts<W, Q, A, O> {
  readonly clock: Clock;
  readonly transport: Transport;
  /** Undefined for roles that keep nothing. */
  readonly store?: Store<W, Q, A>;
  readonly log: (
    level: LogLevel,
    text: string,
    facts?: { readonly [name: string]: unknown },
    module?: LogModule,
  ) => void;
  readonly output: (output: O) => void;
  /** Is told what the node does, if somebody wants to know. */
  readonly meter?: Meter;
  /** Remembers what was said last; the node's last words when it crashes. */
  readonly recorder?: Recorder;
  /** The node has ended; with what stood in the way, unless it was asked to. */
  readonly stopped: (error?: WireError) => void;
}

/** The types of a machine: question contexts, writes, queries, read contexts, answers, own events, outputs. */
export type HostedMachine<C, W, Q, R, A, E, O> = Machine<
  PeerEvent<C> | HostEvent<R, A> | E,
  Effect<C, W, Q, R, O>
>;

type Input<C, R, A, E> =
  | { readonly from: "transport"; readonly event: TransportEvent }
  | { readonly from: "multicast"; readonly event: MulticastEvent }
  | { readonly from: "host"; readonly event: PeerEvent<C> | HostEvent<R, A> | E };

/** Runs one machine. */
export class Host<C, W, Q, R, A, E, O> {
  #machine: HostedMachine<C, W, Q, R, A, E, O>;
  #ports: HostPorts<W, Q, A, O>;
  #peers: Peers<C>;
  #multicast: Multicast | undefined;
  #mailbox: Input<C, R, A, E>[] = [];
  #effects: Effect<C, W, Q, R, O>[] = [];
  #received = new Map<Conn, number>(); // bytes in the mailbox
  #paused = new Set<Conn>();
  #turned = new Set<Conn>(); // connections that the machine has ended: what they say behind that isn't stepped
  #scheduled = false;
  #busy = false; // a round waits for its save
  #stopping = false;
  #ended = false;
  #wakeMs: number | undefined;
  #judgeMs = -Infinity; // no deadline is looked at before
  #spaceMs = -Infinity;

  constructor(
    machine: HostedMachine<C, W, Q, R, A, E, O>,
    ports: HostPorts<W, Q, A, O>,
    options: PeersOptions,
  ) {
    this.#machine = machine;
    this.#ports = ports;
    const log = (text: string, facts: { readonly [name: string]: unknown }): void =>
      ports.log("warning", text, facts, "connections");
    this.#peers = new Peers<C>(ports.transport, { log, ...options });
    ports.transport.onEvent((event) => this.#arrived(event));
    this.#multicast = options.multicast?.port;
    this.#multicast?.onEvent((event) => this.#overheard(event));
    this.#post({ type: "opened" });
  }

  /** Whether the node has ended. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Gives the machine an event of its own, such as a call. */
  call(event: E): void {
    this.#post(event);
  }

  /** Asks the node to end in order. */
  terminate(): void {
    this.#post({ type: "terminate" });
  }

  /** Ends without a word, as a crash does: nothing is flushed, said or reported. */
  kill(): void {
    this.#ended = true;
    this.#multicast?.close();
    this.#ports.clock.wakeAt(undefined, () => this.#wake());
  }

  #post(event: PeerEvent<C> | HostEvent<R, A> | E): void {
    this.#mailbox.push({ from: "host", event });
    this.#schedule();
  }

  #arrived(event: TransportEvent): void {
    if (this.#ended) return;
    if (event.type === "bytes") {
      const waiting = (this.#received.get(event.conn) ?? 0) + event.bytes.length;
      this.#received.set(event.conn, waiting);
      if (waiting > RECEIVED_BYTES_MAX && !this.#paused.has(event.conn)) {
        this.#paused.add(event.conn);
        this.#ports.transport.setReading(event.conn, false);
      }
    }
    this.#mailbox.push({ from: "transport", event });
    this.#schedule();
  }

  /** A datagram that finds a full mailbox is as good as lost: it will be asked for. */
  #overheard(event: MulticastEvent): void {
    if (this.#ended || (event.type === "datagram" && this.#mailbox.length >= ROUND_EVENTS_MAX)) return;
    this.#mailbox.push({ from: "multicast", event });
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#busy || this.#ended) return;
    this.#scheduled = true;
    this.#ports.clock.soon(() => this.#round());
  }

  #wake(): void {
    this.#schedule();
  }

  #round(): void {
    this.#scheduled = false;
    if (this.#ended) return;
    const inputs = this.#mailbox.splice(0, ROUND_EVENTS_MAX);
    const now = this.#ports.clock.now();
    try {
      for (const input of inputs) this.#take(input, now);
      this.#tick(now);
      this.#reopen();
      this.#continue(now);
    } catch (error) {
      this.#crash(error);
    }
  }

  #take(input: Input<C, R, A, E>, now: Now): void {
    if (input.from === "host") return this.#step(input.event, now);
    if (input.from === "multicast") {
      for (const heard of this.#peers.hear(input.event, now.monoMs)) this.#step(heard, now);
      return;
    }
    const { event } = input;
    if (event.type === "bytes") {
      this.#received.set(event.conn, (this.#received.get(event.conn) ?? 0) - event.bytes.length);
    } else if (event.type === "closed") {
      this.#received.delete(event.conn);
      this.#paused.delete(event.conn);
    }
    for (const heard of this.#peers.receive(event, now.monoMs)) this.#step(heard, now);
  }

  /** Deadlines. A process that was starved looks at its sockets first: its peers may have spoken long ago. */
  #tick(now: Now): void {
    if (this.#wakeMs !== undefined && now.monoMs > this.#wakeMs + LATE_WAKE_MS) {
      this.#judgeMs = now.monoMs + LATE_GRACE_MS;
    }
    this.#wakeMs = undefined;
    if (now.monoMs < this.#judgeMs) return;
    for (const heard of this.#peers.tick(now.monoMs)) this.#step(heard, now);
    const due = this.#machine.due();
    if (due !== undefined && due <= now.monoMs) this.#step({ type: "due" }, now);
  }

  #step(event: PeerEvent<C> | HostEvent<R, A> | E, now: Now): void {
    if (this.#stopping || this.#isTurned(event)) return; // a machine that has said `stop` is stepped no more
    this.#ports.meter?.event(event as MeteredEvent);
    this.#ports.recorder?.event(event as RecordedEvent, now.monoMs);
    for (const effect of this.#decided(event, now)) {
      this.#ports.meter?.effect(effect);
      this.#ports.recorder?.effect(effect, now.monoMs);
      this.#effects.push(effect);
      if (effect.do === "stop") this.#stopping = true;
      if (effect.do === "reject" || effect.do === "close") this.#turned.add(effect.conn);
    }
  }

  /** What a peer has wrapped wrongly (a table, an entry) costs its connection; our own mistakes end the node. */
  #decided(event: PeerEvent<C> | HostEvent<R, A> | E, now: Now): readonly Effect<C, W, Q, R, O>[] {
    try {
      return this.#machine.step(event, now);
    } catch (error) {
      const { conn } = event as { readonly conn?: Conn };
      if (!(error instanceof MalformedError) || conn === undefined) throw error;
      return [{ do: "close", conn, error: { code: "malformed", message: error.message } }];
    }
  }

  /** Whether a peer said this behind what made the machine end its connection. */
  #isTurned(event: unknown): boolean {
    const { type, conn } = event as { readonly type: string; readonly conn: Conn };
    return (type === "asked" || type === "told") && this.#turned.has(conn);
  }

  /** Goes on reading from peers whose bytes have been taken. */
  #reopen(): void {
    for (const conn of this.#paused) {
      if ((this.#received.get(conn) ?? 0) > RECEIVED_BYTES_MAX / 2) continue;
      this.#paused.delete(conn);
      this.#ports.transport.setReading(conn, true);
    }
  }

  /** Saves and reads until nothing is left to do, then sends. May stop at a save, and go on when it is done. */
  #continue(now: Now): void {
    for (;;) {
      const writes = this.#pull("save");
      if (writes.length > 0) {
        const durable = writes.some((effect) => effect.durable);
        const done = this.#ports.store!.apply(writes.map((effect) => effect.write), { durable });
        if (this.#ended) return;
        if (done) return this.#later(done, now);
        this.#step({ type: "saved" }, now);
        if (this.#effects.some((effect) => effect.do === "save")) continue;
      }
      const reads = this.#pull("read");
      if (reads.length === 0 && !this.#effects.some((effect) => effect.do === "save")) {
        return this.#finish(now);
      }
      for (const { query, context } of reads) this.#read(query, context, now);
    }
  }

  /** A database that answers later: this node's next round waits, its mailbox fills. */
  #later(done: Promise<void>, now: Now): void {
    this.#busy = true;
    done.then(() => {
      this.#busy = false;
      if (this.#ended) return;
      this.#step({ type: "saved" }, now);
      this.#continue(now);
    }).catch((error) => this.#crash(error));
  }

  #read(query: Q, context: R, now: Now): void {
    const result = this.#ports.store!.read(query);
    if (result instanceof Promise) {
      result.then((result) => this.#post({ type: "read", context, result })).catch((error) =>
        this.#crash(error)
      );
    } else this.#step({ type: "read", context, result }, now);
  }

  #pull<D extends "save" | "read">(what: D): Extract<Effect<C, W, Q, R, O>, { do: D }>[] {
    const pulled: Extract<Effect<C, W, Q, R, O>, { do: D }>[] = [];
    const rest: Effect<C, W, Q, R, O>[] = [];
    for (const effect of this.#effects) {
      if (effect.do === what) pulled.push(effect as Extract<Effect<C, W, Q, R, O>, { do: D }>);
      else rest.push(effect);
    }
    if (pulled.length > 0) this.#effects = rest;
    return pulled;
  }

  #finish(now: Now): void {
    const effects = this.#effects;
    this.#effects = [];
    let end: Extract<Effect, { do: "stop" }> | undefined;
    const heard: PeerEvent<C>[] = [];
    for (const effect of effects) {
      if (effect.do === "stop") end = effect;
      else heard.push(...this.#perform(effect, now));
      if (this.#ended) return;
    }
    // what peers said before comes before what has arrived meanwhile
    this.#mailbox.unshift(...heard.map((event) => ({ from: "host" as const, event })));
    this.#peers.send(now.monoMs);
    if (this.#ended) return;
    for (const effect of effects) if (effect.do === "output") this.#ports.output(effect.output);
    if (end) return this.#end(end.error);
    const { meter, clock } = this.#ports;
    meter?.round({ durationMs: clock.now().monoMs - now.monoMs, waiting: this.#mailbox.length });
    this.#space(now);
    this.#arm();
    if (this.#mailbox.length === 0) this.#turned.clear();
    if (this.#mailbox.length > 0 || this.#effects.length > 0) this.#schedule();
  }

  #perform(effect: Effect<C, W, Q, R, O>, now: Now): readonly PeerEvent<C>[] {
    if (effect.do === "log") {
      this.#ports.log(
        effect.level,
        effect.text,
        { ...this.#machine.standing, ...effect.facts },
        effect.module,
      );
    } else if (effect.do !== "output") return this.#peers.perform(effect as PeerEffect<C>, now.monoMs);
    return [];
  }

  #space(now: Now): void {
    if (!this.#ports.store || now.monoMs < this.#spaceMs + SPACE_CHECK_MS) return;
    this.#spaceMs = now.monoMs;
    const freeBytes = this.#ports.store.freeBytes();
    if (freeBytes !== undefined) this.#step({ type: "room", freeBytes }, now);
  }

  #arm(): void {
    const wants = [this.#peers.due(), this.#machine.due()].filter((at) => at !== undefined);
    const next = wants.length === 0 ? undefined : Math.max(Math.min(...wants), this.#judgeMs);
    this.#wakeMs = next;
    this.#ports.clock.wakeAt(next, () => this.#wake());
  }

  #end(error?: WireError): void {
    this.kill();
    const done = async (): Promise<void> => {
      await this.#ports.transport.shutdown();
      await this.#ports.store?.close();
    };
    done().then(() => this.#ports.stopped(error), (failure) => this.#ports.stopped(errorOf(failure)));
  }

  #crash(failure: unknown): void {
    if (this.#ended) return;
    this.kill();
    const error = errorOf(failure);
    const nowMs = this.#ports.clock.now().monoMs;
    for (const said of this.#ports.recorder?.report(nowMs) ?? []) {
      this.#ports.log("error", "Said last", { ...said });
    }
    this.#ports.log("error", `Cannot go on: ${error.message}`, {
      code: error.code,
      stack: (failure as Error).stack,
    });
    const done = async (): Promise<void> => {
      await this.#ports.transport.shutdown();
      await this.#ports.store?.close(); // another may open it now; after a failed save it flushes nothing
    };
    const stopped = (): void => this.#ports.stopped(error);
    done().then(stopped, stopped);
  }
}

function errorOf(failure: unknown): WireError {
  const code = (failure as { code?: unknown }).code === "noSpace" ? "noSpace" : "ioError";
  return { code, message: failure instanceof Error ? failure.message : String(failure) };
}
