/**
 * The other masters, as connections. Of two the one with the lower index dials; it tries again with a pause that grows. If it
 * doesn't come for a while, the other one dials: it may be so far behind that it doesn't know who is to be dialed.
 *
 * Who a master is, its disk says (B7): one whose disk is in no roster that counts isn't one. A master that waits for its cluster
 * takes whoever is of it. So does one that hears no leader, which may lack the entry by which a newer master came: such a
 * stranger's log is taken, and it is voted for, by the rules of the log; its own vote counts for nothing. It goes as soon as
 * somebody else is heard to lead.
 */
import type { Conn } from "../../core/ids.ts";
import { RETRY_DELAY_MS_MAX, RETRY_DELAY_MS_MIN, REVERSE_DIAL_MS } from "../../core/limits.ts";
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
  /** The newest roster, then those that count until it is held; empty: this master has no cluster yet. */
  rosters(): readonly MasterRoster[];
  /** Who leads, as far as this master hears; undefined: nobody. */
  leader(): number | undefined;
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
    const [roster] = this.#parts.rosters();
    if (!roster) return;
    for (const [conn, peer] of [...this.#peers]) {
      const index = this.#indexOf(peer, conn);
      if (index === peer.index) continue;
      this.#parts.disconnected(peer.index);
      if (index === 0) this.#drop(conn, this.#unknown(peer.hello));
      else {
        peer.index = index;
        this.#parts.connected(index);
      }
    }
    const self = this.#parts.self();
    const wanted = roster.masters.filter(({ index }) => self !== 0 && index !== self);
    for (const index of this.#dials.keys()) {
      if (!wanted.some((master) => master.index === index)) this.#dials.delete(index);
    }
    for (const { index } of wanted) {
      if (!this.#dials.has(index)) this.#dials.set(index, { delayMs: 0, state: this.#soon(index, now) });
    }
    this.due(now);
  }

  /** Somebody leads: strangers who don't are let go. */
  sift(): void {
    const leader = this.#parts.leader();
    if (leader === undefined || this.#parts.rosters().length === 0) return;
    for (const [conn, { hello, index }] of [...this.#peers]) {
      if (index > 0 || index === leader) continue;
      this.#drop(conn, this.#unknown(hello));
      this.#parts.disconnected(index);
    }
  }

  /** Dials those whose pause is over. */
  due(now: Now): void {
    for (const [index, dial] of this.#dials) {
      if (typeof dial.state !== "object" || dial.state.untilMs > now.monoMs) continue;
      if (this.connOf(index) !== undefined) {
        dial.state = "there";
        continue;
      }
      const [roster] = this.#parts.rosters();
      const master = roster!.masters.find((one) => one.index === index);
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
    const index = this.#indexOf({ hello, holder }, target === undefined ? conn : undefined);
    const wanted = this.#dialOf(target);
    const isSelf = index === this.#parts.self();
    if (index === 0 || isSelf || (wanted !== undefined && wanted !== index)) {
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
    if (dial) this.#dials.set(index, { delayMs: 0, state: "there" });
    this.#peers.set(conn, { hello, holder, index });
    this.#parts.emit({ do: "accept", conn });
    this.#parts.connected(index);
  }

  /** A connection has ended, or couldn't be made. True: it was one of ours. */
  lost(conn: Conn, target: string | undefined, now: Now): boolean {
    const peer = this.#peers.get(conn);
    const wanted = this.#dialOf(target);
    this.#peers.delete(conn);
    const index = wanted ?? peer?.index;
    const dial = index === undefined ? undefined : this.#dials.get(index);
    if (dial && index !== undefined && this.connOf(index) === undefined) {
      const { untilMs } = this.#soon(index, now);
      this.#dials.set(index, {
        delayMs: Math.min(Math.max(2 * dial.delayMs, RETRY_DELAY_MS_MIN), RETRY_DELAY_MS_MAX),
        state: { untilMs: untilMs + dial.delayMs },
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

  /** When a master is dialed: at once by the one with the lower index, by the other if that hasn't come. */
  #soon(index: number, now: Now): { readonly untilMs: number } {
    return { untilMs: now.monoMs + (index > this.#parts.self() ? 0 : REVERSE_DIAL_MS) };
  }

  /**
   * Which master it is; 0: none, or its certificate is another's; below 0: nobody can say. `conn`: it has come by itself.
   */
  #indexOf(
    { hello, holder }: { readonly hello: Hello; readonly holder: string | undefined },
    conn: Conn | undefined,
  ): number {
    const rosters = this.#parts.rosters();
    const [registered] = rosters.flatMap((roster) => masterIn(roster, hello) ?? []);
    if (registered) return substituteOf(holder, registered) ? 0 : registered.index;
    if (conn === undefined) return 0;
    const leader = this.#parts.leader();
    const isHeeded = leader === undefined || leader === -conn;
    const isTaken = rosters.length === 0 || (isHeeded && hello.diskId !== "");
    return isTaken && this.#isOurs(hello) ? -conn : 0;
  }

  /** Who nobody can say who it is must be of our cluster. */
  #isOurs(hello: Hello): boolean {
    return hello.clusterId !== "" && hello.clusterId === this.#parts.hello().clusterId;
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
