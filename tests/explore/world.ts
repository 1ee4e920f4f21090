/**
 * A world: nodes, the connections between them, and what their programs were told. A state is a row of small numbers: one for
 * each node's state, one for each pair's connections, one for what was told, one for what may still go wrong, one for what masters
 * have agreed on.
 */
import type { Effect } from "../../core/machine.ts";
import type { WireError } from "../../core/messages.ts";
import type { Log } from "./agreement.ts";
import { Interner } from "./interner.ts";
import type { Input, Node } from "./node.ts";
import { BROKEN, CONNS_MAX } from "./packets.ts";
import type { Packet } from "./packets.ts";
import { copyOfPair, empty, keyOfPair, NO_PAIR } from "./pairs.ts";
import type { Conn, Pair } from "./pairs.ts";
import { textOf } from "./snapshot.ts";
import type { HeardEvent } from "./spec.ts";
import { Speech } from "./speech.ts";
import type { Told } from "./told.ts";

/** How much may still go wrong: losses by name, and all together. */
export interface Budget {
  readonly [name: string]: number;
}

/** A state, taken apart and being changed. */
export interface Draft {
  readonly nodes: number[];
  readonly pairs: Pair[];
  told: Told;
  budget: Budget;
  log: Log;
  breach: string | undefined;
}

/** The two nodes of a pair, by place. */
export type Between = readonly [first: number, second: number];

/** What nodes and connections do together. */
export class World {
  readonly nodes: readonly Node[];
  readonly between: readonly Between[];
  readonly packets = new Interner<Packet>(textOf);
  readonly contexts = new Interner<unknown>(textOf);
  readonly #pairs = new Interner<Pair>(keyOfPair);
  readonly #told = new Interner<Told>();
  readonly #budgets = new Interner<Budget>();
  readonly #logs = new Interner<Log>();
  readonly #addresses: ReadonlyMap<string, number>;
  /** Whether what is written at once may arrive in pieces. */
  readonly isSplit: boolean;

  /** @param options `isSplit`: what is written at once may arrive in pieces */
  constructor(nodes: readonly Node[], addresses: ReadonlyMap<string, number>, options: { isSplit: boolean }) {
    this.nodes = nodes;
    this.#addresses = addresses;
    this.isSplit = options.isSplit;
    const between: Between[] = [];
    nodes.forEach((a, first) =>
      nodes.forEach((b, second) => {
        if (first < second && (a.role !== b.role || a.role === "storage")) between.push([first, second]);
      })
    );
    this.between = between;
  }

  /** Numbers of a state's row. */
  get width(): number {
    return this.nodes.length + this.between.length + 3;
  }

  /** The state before anything was started. */
  first(told: Told, budget: Budget, log: Log): Draft {
    return {
      nodes: this.nodes.map((node) => node.first()),
      pairs: this.between.map(() => NO_PAIR),
      told,
      budget,
      log,
      breach: undefined,
    };
  }

  /** A state as its row. */
  rowOf({ nodes, pairs, told, budget, log }: Draft): number[] {
    return [
      ...nodes,
      ...pairs.map((pair) => this.#pairs.id(pair)),
      this.#told.id(told),
      this.#budgets.id(budget),
      this.#logs.id(log),
    ];
  }

  /** A state of a row, to be looked at; `copy` before anything of it is changed. */
  draftOf(row: ArrayLike<number>): Draft {
    const nodes = this.nodes.map((_, at) => row[at]!);
    const pairs = this.between.map((_, at) => this.#pairs.get(row[nodes.length + at]!));
    const at = nodes.length + pairs.length;
    return {
      nodes,
      pairs,
      told: this.#told.get(row[at]!),
      budget: this.#budgets.get(row[at + 1]!),
      log: this.#logs.get(row[at + 2]!),
      breach: undefined,
    };
  }

  /** A copy whose fields may be set; pairs are copied when they change. */
  copy(draft: Draft): Draft {
    return { ...draft, nodes: [...draft.nodes], pairs: [...draft.pairs] };
  }

  isUp(draft: Draft, node: number): boolean {
    return this.nodes[node]!.facts(draft.nodes[node]!).is !== "down";
  }

  /** The node at an end of a connection. */
  nodeOf(pair: number, conn: Conn, side: number): number {
    return this.between[pair]![side === 0 ? conn.dialler : 1 - conn.dialler]!;
  }

  /** A pair of a draft, from here on its own. */
  change(draft: Draft, pair: number): Pair {
    return draft.pairs[pair] = copyOfPair(draft.pairs[pair]!);
  }

  /** A node starts. */
  boot(draft: Draft, node: number): void {
    const { state, effects, breach } = this.nodes[node]!.boot(draft.nodes[node]!);
    this.#went(draft, node, state, breach);
    this.#perform(draft, node, effects);
  }

  /** A node hears something, and whatever follows at once. */
  hear(draft: Draft, node: number, inputs: readonly Input[]): void {
    for (let next = inputs; next.length > 0 && draft.breach === undefined;) {
      const { state, effects, breach } = this.nodes[node]!.hear(draft.nodes[node]!, next);
      this.#went(draft, node, state, breach);
      next = this.#perform(draft, node, effects);
    }
  }

  /** What a node waited for is over. */
  due(draft: Draft, node: number): void {
    const { state, effects, breach } = this.nodes[node]!.due(draft.nodes[node]!);
    this.#went(draft, node, state, breach);
    this.hear(draft, node, this.#perform(draft, node, effects));
  }

  #went(draft: Draft, node: number, state: number, breach: string | undefined): void {
    draft.nodes[node] = state;
    draft.breach ??= breach;
  }

  /** Takes writes from a lane, and says what its receiver hears of them. */
  take(
    draft: Draft,
    at: { pair: number; conn: number; side: number; lane: number; writes: number },
  ): Input[] {
    const pair = this.change(draft, at.pair);
    const conn = pair.conns[at.conn]!;
    const taken = conn.ends[at.side]!.lanes[at.lane]!.splice(0, at.writes);
    const hello = () => this.#helloOf(draft, at.pair, conn);
    return taken.flat().flatMap((packet) => this.#arrived(at.pair, conn, at.side, packet, hello));
  }

  #arrived(pair: number, conn: Conn, side: number, id: number, hello: () => unknown): Input[] {
    const packet = this.packets.get(id);
    const end = conn.ends[side]!;
    const number = this.#numberOf(pair, conn);
    const input = (type: string, key: string, fields: Omit<HeardEvent, "type">): Input[] => [
      { key: `${number} ${type} ${key}`, event: { type, conn: number, ...fields } },
    ];
    switch (packet.kind) {
      case "hello": {
        end.phase = "waiting";
        if (side === 1) conn.ends[0].lanes[0].push([this.packets.id({ kind: "hello", hello: hello() })]);
        const { target } = conn;
        const fields = side === 1 ? { incoming: true } : { incoming: false, target };
        return input("identified", `${id} ${side} ${side === 1 ? "" : target}`, {
          hello: packet.hello,
          ...fields,
        });
      }
      case "ask":
        return input("asked", `${id}`, { id: packet.id, withinMs: packet.withinMs, message: packet.message });
      case "tell":
        return input("told", `${id}`, { message: packet.message });
      case "answer":
      case "refuse": {
        const place = end.asked.findIndex(([asked]) => asked === packet.id);
        const [question] = end.asked.splice(place, 1);
        const context = this.contexts.get(question![1]) as {
          readonly name: string;
          readonly context: unknown;
        };
        if (packet.kind === "answer") {
          return input("answered", `${id} ${question![1]}`, {
            context: context.context,
            message: packet.message,
          });
        }
        return input("failed", `${id} ${question![1]}`, { ...context, error: packet.error });
      }
      case "error":
        throw new Error("an end of a connection doesn't travel in a lane");
    }
  }

  #helloOf(draft: Draft, pair: number, conn: Conn): unknown {
    const node = this.nodeOf(pair, conn, 1);
    return this.nodes[node]!.hello(draft.nodes[node]!);
  }

  #numberOf(pair: number, { nr }: Conn): number {
    return pair * CONNS_MAX + nr;
  }

  /** An end hears that its connection is over: of its open questions first. */
  lose(draft: Draft, at: { pair: number; conn: number; side: number }, why?: number): Input[] {
    const pair = this.change(draft, at.pair);
    const conn = pair.conns[at.conn]!;
    const end = conn.ends[at.side]!;
    const inputs = this.lost(at.pair, conn, at.side, why ?? end.closed);
    this.tidy(pair);
    return inputs;
  }

  /** What a side hears of a connection that is over. */
  lost(pair: number, conn: Conn, side: number, why: number): Input[] {
    const end = conn.ends[side]!;
    const { error } = this.packets.get(why) as { readonly error: WireError };
    const number = this.#numberOf(pair, conn);
    const gone: WireError = { code: "lost", message: error.message };
    const inputs: Input[] = end.asked.map(([, context]) => ({
      key: `${number} over ${context} ${why}`,
      event: { type: "failed", conn: number, ...this.contexts.get(context) as object, error: gone },
    }));
    if (side === 0 || end.phase !== "dialing") {
      const target = side === 0 ? { target: conn.target } : {};
      inputs.push({
        key: `${number} lost ${why} ${side === 0 ? conn.target : ""}`,
        event: { type: "lost", conn: number, error, ...target },
      });
    }
    end.phase = "gone";
    end.asked = [];
    end.closed = -1;
    empty(end);
    return inputs;
  }

  /** Both ends of a connection hear of its end, behind what is on its way to them, unless that is dropped. */
  cut(draft: Draft, at: { pair: number; conn: number }, drop: readonly [boolean, boolean]): void {
    const conn = this.change(draft, at.pair).conns[at.conn]!;
    conn.ends.forEach((end, side) => {
      if (drop[side]) empty(end);
      if (end.phase !== "gone" && end.closed < 0) end.closed = this.packets.id(BROKEN);
    });
  }

  /** A process is gone: its ends hear nothing more, the others hear of the end. */
  vanish(draft: Draft, node: number, drop: boolean): void {
    this.between.forEach((nodes, at) => {
      if (!nodes.includes(node) || draft.pairs[at]!.conns.length === 0) return;
      const pair = this.change(draft, at);
      for (const conn of pair.conns) {
        const side = this.nodeOf(at, conn, 0) === node ? 0 : 1;
        const [own, other] = [conn.ends[side], conn.ends[1 - side]!];
        if (side === 1 && own.phase === "dialing") continue; // it knocks until somebody opens
        own.phase = "gone";
        own.asked = [];
        own.closed = -1;
        empty(own);
        if (drop) empty(other);
        if (other.phase !== "gone" && other.closed < 0) other.closed = this.packets.id(BROKEN);
      }
      this.tidy(pair);
    });
  }

  /** Forgets connections that are over for both. */
  tidy(pair: Pair): void {
    // one that was never answered is over with its dialler
    pair.conns = pair.conns.filter(({ ends: [a, b] }) =>
      a.phase !== "gone" || (b.phase !== "gone" && b.phase !== "dialing")
    );
  }

  /** Carries out what a node decided; gives what it hears at once of connections that it ended or that weren't there. */
  #perform(draft: Draft, node: number, effects: readonly Effect[]): Input[] {
    return new Speech(this, draft, node).perform(effects);
  }

  /** Two nodes by the address of the second one. */
  pairTo(node: number, address: string): number {
    const other = this.#addresses.get(address)!;
    return this.between.findIndex((nodes) => nodes.includes(node) && nodes.includes(other));
  }
}
