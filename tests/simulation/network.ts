/** A network in memory: who listens where, who is connected to whom. Connections among themselves have no order. */
import type { Conn } from "../../core/ids.ts";
import { Link } from "./link.ts";
import type { SimRandom } from "./random.ts";
import type { SimTransport } from "./transport.ts";
import type { World } from "./world.ts";

/** Who listens where, and all connections. */
export class SimNetwork {
  readonly world: World;
  /** A mutant: how many writes vanish though their connection goes on. */
  lossRate = 0;
  readonly #random: SimRandom;
  readonly #listeners = new Map<string, SimTransport>();
  /** Machines without power: who connects there hears nothing. */
  readonly #dark = new Set<string>();
  readonly #held = new Map<string, number>();
  #links: Link[] = [];

  constructor(world: World, random: SimRandom) {
    this.world = world;
    this.#random = random;
  }

  /** All connections, oldest first. */
  get links(): readonly Link[] {
    return this.#links;
  }

  /** Nothing passes between two nodes until then; later it arrives, as TCP sends it again. */
  hold(one: string, two: string, untilMs: number): void {
    this.holdOneWay(one, two, untilMs);
    this.holdOneWay(two, one, untilMs);
  }

  /** Nothing passes from one node to another; what is said the other way arrives, but no new connection is made. */
  holdOneWay(from: string, to: string, untilMs: number): void {
    const key = `${from}|${to}`;
    this.#held.set(key, Math.max(untilMs, this.#held.get(key) ?? 0));
    for (const link of this.#links) {
      for (const end of link.ends) {
        if (end.transport.node !== to || link.other(end).transport.node !== from) continue;
        end.heldUntilMs = Math.max(end.heldUntilMs, untilMs);
      }
    }
  }

  /** Whether nothing passes from one node to another. */
  isHeld(from: string, to: string): boolean {
    return this.#heldMs(from, to) > this.world.nowMs;
  }

  #heldMs(from: string, to: string): number {
    return this.#held.get(`${from}|${to}`) ?? 0;
  }

  /** Ends what stands in the way of packets; silent connections stay silent. */
  heal(): void {
    this.#held.clear();
    for (const link of this.#links) link.hurry();
  }

  listen(address: string, transport: SimTransport): void {
    this.#listeners.set(address, transport);
    this.#dark.delete(address);
  }

  /** `dark`: the machine has no power, nobody answers there. */
  unlisten(transport: SimTransport, dark: boolean): void {
    for (const [address, listener] of this.#listeners) {
      if (listener !== transport) continue;
      this.#listeners.delete(address);
      if (dark) this.#dark.add(address);
    }
  }

  /** Begins a connection; gives the number of the caller's end. */
  connect(from: SimTransport, address: string): Conn {
    const conn = from.takeConn();
    const { world } = this;
    const node = nodeOf(address);
    const held = Math.max(this.#heldMs(from.node, node), this.#heldMs(node, from.node));
    const atMs = Math.max(world.nowMs + this.#random.between(0.2, 6), held);
    if (this.#dark.has(address)) return conn;
    world.at(atMs, () => {
      const to = this.#listeners.get(address);
      if (from.owner.gone || !from.expects(conn)) return;
      if (this.#dark.has(address)) return;
      if (to === undefined || to.owner.gone) {
        from.forget(conn);
        return from.emit({ type: "closed", conn, reason: `nobody listens at ${address}` });
      }
      this.#join(from, conn, to);
    });
    return conn;
  }

  #join(from: SimTransport, conn: Conn, to: SimTransport): void {
    const link = new Link(this, this.#random, from, conn, to);
    const [mine, theirs] = link.ends;
    mine.heldUntilMs = this.#heldMs(to.node, from.node);
    theirs.heldUntilMs = this.#heldMs(from.node, to.node);
    mine.state = "open";
    theirs.state = "open";
    this.#links.push(link);
    from.adopt(mine);
    to.adopt(theirs);
    this.world.after(0, () => {
      if (theirs.state === "open") to.emit({ type: "accepted", conn: theirs.conn, remote: from.node });
    }, to.owner);
    this.world.after(0, () => {
      if (mine.state === "open") from.emit({ type: "connected", conn });
    }, from.owner);
  }

  /** Drops a connection from the list once both ends are over. */
  forget(link: Link): void {
    if (link.ends.every((end) => end.state === "over")) {
      this.#links = this.#links.filter((other) => other !== link);
    }
  }
}

function nodeOf(address: string): string {
  return address.slice(0, address.lastIndexOf(":"));
}
