/**
 * The other masters, as connections. Of two the one with the lower index dials; it tries again with a pause that grows. Who it is,
 * its disk says (B7): a master whose disk isn't in the roster isn't one. A master that waits for its cluster takes whoever is of it.
 */
import type { Conn } from "../../core/ids.ts";
import { RETRY_DELAY_MS_MAX, RETRY_DELAY_MS_MIN } from "../../core/limits.ts";
import type { Effect, Now, PeerEvent } from "../../core/machine.ts";
import type { Hello, WireError } from "../../core/messages.ts";
import { substituteOf } from "../trust.ts";
import type { Registered } from "./entries.ts";
import type { MasterRoster } from "./metadata.ts";

const TARGET = "master ";

type CircleEffect = Effect<never, never, never, never, never>;
type Identified = Extract<PeerEvent<never>, { type: "identified" }>;

/** What it needs of the member that it belongs to. */
export interface CircleParts {
  hello(): Hello;
  /** Undefined: this master has no cluster yet. */
  roster(): MasterRoster | undefined;
  /** This master's index; 0: it isn't in the roster. */
  self(): number;
  connected(index: number): void;
  disconnected(index: number): void;
  emit(...effects: readonly CircleEffect[]): void;
}

/** The master in a roster with this disk; before masters had disk ids, with this name. */
export function masterIn(
  roster: MasterRoster,
  { diskId, name }: { readonly diskId: string; readonly name: string },
): Registered | undefined {
  return roster.masters.find((master) => master.diskId === diskId && (diskId !== "" || master.name === name));
}

/** Connections to masters. */
export class Circle {
  #parts: CircleParts;
  #peers = new Map<Conn, { readonly hello: Hello; readonly holder: string | undefined; index: number }>();
  #dials = new Map<number, { delayMs: number; state: "dialing" | "there" | { readonly untilMs: number } }>();

  constructor(parts: CircleParts) {
    this.#parts = parts;
  }

  /** When `due` wants to be called. */
  get dueMs(): number | undefined {
    const all = [...this.#dials.values()].flatMap((
      { state },
    ) => (typeof state === "object" ? [state.untilMs] : []));
    return all.length === 0 ? undefined : Math.min(...all);
  }

  /** The masters that are connected. */
  get indexes(): number[] {
    return [...this.#peers.values()].map(({ index }) => index);
  }

  get conns(): Conn[] {
    return [...this.#peers.keys()];
  }

  /** The master at a connection; undefined: none. */
  indexOf(conn: Conn): number | undefined {
    return this.#peers.get(conn)?.index;
  }

  connOf(index: number): Conn | undefined {
    return [...this.#peers].find(([, peer]) => peer.index === index)?.[0];
  }

  /** The roster may be another: dials who is new, lets go of who is no more. */
  look(now: Now): void {
    const roster = this.#parts.roster();
    if (!roster) return;
    for (const [conn, peer] of [...this.#peers]) {
      const index = this.#indexIn(roster, peer);
      if (index === peer.index) continue;
      this.#parts.disconnected(peer.index);
      if (index === 0) this.#drop(conn, this.#unknown(peer.hello));
      else {
        peer.index = index;
        this.#parts.connected(index);
      }
    }
    const self = this.#parts.self();
    const wanted = roster.masters.filter(({ index }) => self !== 0 && index > self);
    for (const index of this.#dials.keys()) {
      if (!wanted.some((master) => master.index === index)) this.#dials.delete(index);
    }
    for (const { index } of wanted) {
      if (!this.#dials.has(index)) this.#dials.set(index, { delayMs: 0, state: { untilMs: now.monoMs } });
    }
    this.due(now);
  }

  /** Dials those whose pause is over. */
  due(now: Now): void {
    for (const [index, dial] of this.#dials) {
      if (typeof dial.state !== "object" || dial.state.untilMs > now.monoMs) continue;
      const master = this.#parts.roster()!.masters.find((one) => one.index === index);
      if (!master) { // it is being removed: once that is held, `look` lets go of it
        dial.state = { untilMs: now.monoMs + RETRY_DELAY_MS_MAX };
        continue;
      }
      const { address } = master;
      dial.state = "dialing";
      const hello = this.#parts.hello();
      const target = `${TARGET}${index}`;
      this.#parts.emit({ do: "connect", address, target, hello, closely: true });
    }
  }

  /** A master has said who it is. */
  identified({ conn, hello, target, holder }: Identified): void {
    const roster = this.#parts.roster();
    const index = roster ? this.#indexIn(roster, { hello, holder }) : -conn;
    const wanted = this.#dialOf(target);
    const isSelf = index === this.#parts.self();
    if (index === 0 || isSelf || (wanted !== undefined && wanted !== index) || !this.#isOurs(hello)) {
      if (target === undefined) this.#parts.emit({ do: "reject", conn, error: this.#unknown(hello) });
      else this.#parts.emit({ do: "close", conn, error: this.#unknown(hello) });
      return;
    }
    const old = this.connOf(index);
    if (old !== undefined) {
      this.#drop(old, { code: "lost", message: "Replaced by a newer connection of the same master" });
      this.#parts.disconnected(index);
    }
    const dial = this.#dials.get(index);
    if (dial && wanted === index) this.#dials.set(index, { delayMs: 0, state: "there" });
    this.#peers.set(conn, { hello, holder, index });
    this.#parts.emit({ do: "accept", conn });
    this.#parts.connected(index);
  }

  /** A connection has ended, or couldn't be made. True: it was one of ours. */
  lost(conn: Conn, target: string | undefined, now: Now): boolean {
    const peer = this.#peers.get(conn);
    const wanted = this.#dialOf(target);
    this.#peers.delete(conn);
    const dial = wanted === undefined ? undefined : this.#dials.get(wanted);
    if (dial && wanted !== undefined && this.connOf(wanted) === undefined) {
      this.#dials.set(wanted, {
        delayMs: Math.min(Math.max(2 * dial.delayMs, RETRY_DELAY_MS_MIN), RETRY_DELAY_MS_MAX),
        state: { untilMs: now.monoMs + dial.delayMs },
      });
    }
    if (peer) this.#parts.disconnected(peer.index);
    return peer !== undefined || wanted !== undefined;
  }

  /** Ends the connection to a master from which nothing comes: a new one may work. */
  renew(index: number): void {
    const conn = this.connOf(index);
    if (conn === undefined) return;
    this.#drop(conn, { code: "lost", message: "Nothing was heard of this master for too long" });
    this.#parts.disconnected(index);
  }

  /** Which master it is, 0: none of the roster, or its certificate is another's. */
  #indexIn(
    roster: MasterRoster,
    { hello, holder }: { readonly hello: Hello; readonly holder: string | undefined },
  ): number {
    const registered = masterIn(roster, hello);
    return registered === undefined || substituteOf(holder, registered) ? 0 : registered.index;
  }

  /** A master that has no cluster yet takes its cluster's word only. */
  #isOurs(hello: Hello): boolean {
    return this.#parts.roster() !== undefined
      || (hello.clusterId !== "" && hello.clusterId === this.#parts.hello().clusterId);
  }

  #dialOf(target: string | undefined): number | undefined {
    return target?.startsWith(TARGET) ? Number(target.slice(TARGET.length)) : undefined;
  }

  /** Its `lost` follows, when its end has been told. */
  #drop(conn: Conn, error: WireError): void {
    this.#peers.delete(conn);
    this.#parts.emit({ do: "reject", conn, error });
  }

  #unknown(hello: Hello): WireError {
    const message = `Cannot take "${hello.name}" for a master: disk ${
      hello.diskId || "(none)"
    } isn't in the roster of cluster "${this.#parts.hello().cluster}"`;
    return { code: "unknownNode", message };
  }
}
