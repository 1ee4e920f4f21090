/** What a node says in one round: put on its connections, in one write a peer and lane. */
import type { Effect } from "../../core/machine.ts";
import { lanes, messages } from "../../core/messages.ts";
import type { Input } from "./node.ts";
import { BROKEN, CONNS_MAX, OPERATOR } from "./packets.ts";
import type { Message, Packet } from "./packets.ts";
import { newEnd } from "./pairs.ts";
import type { Conn, End, Pair } from "./pairs.ts";
import { copyOf } from "./snapshot.ts";
import { told } from "./told.ts";
import type { Draft, World } from "./world.ts";

type Doing<D extends Effect["do"]> = Extract<Effect, { do: D }>;

/** A connection as the one who speaks sees it. */
interface Found {
  readonly pair: number;
  readonly conn: Conn;
  readonly side: 0 | 1;
  readonly own: End;
  readonly other: End;
}

/** One round of one node, in a draft. */
export class Speech {
  readonly #world: World;
  readonly #draft: Draft;
  readonly #node: number;
  readonly #said = new Map<number[][], number[]>(); // lane to the write that goes there
  readonly #changed = new Set<number>();
  readonly #heard: Input[] = [];

  constructor(world: World, draft: Draft, node: number) {
    this.#world = world;
    this.#draft = draft;
    this.#node = node;
  }

  /** Carries out effects; gives what the node hears at once of connections that it ended or that weren't there. */
  perform(effects: readonly Effect[]): Input[] {
    for (const effect of effects) this.#one(effect);
    this.#write();
    for (const at of this.#changed) this.#world.tidy(this.#draft.pairs[at]!);
    return this.#heard;
  }

  #one(effect: Effect): void {
    switch (effect.do) {
      case "ask":
        return this.#ask(effect);
      case "tell":
        return this.#tell(effect);
      case "answer":
      case "refuse":
        return this.#reply(effect);
      case "accept": {
        const found = this.#find(effect.conn);
        if (found?.own.phase === "waiting") found.own.phase = "open";
        return;
      }
      case "reject":
      case "close":
        return this.#end(effect);
      case "connect":
        return this.#connect(effect);
      case "output": {
        const [next, breach] = told(this.#draft.told, this.#name, effect.output as never);
        this.#draft.told = next;
        this.#draft.breach ??= breach;
        return;
      }
      case "stop":
        this.#draft.breach ??= `${this.#name} stops: ${effect.error?.message}`;
        return;
      default: // logs; saves and reads are done
    }
  }

  get #name(): string {
    return this.#world.nodes[this.#node]!.name;
  }

  /** A pair that may be changed. */
  #pair(at: number): Pair {
    if (this.#changed.has(at)) return this.#draft.pairs[at]!;
    this.#changed.add(at);
    return this.#world.change(this.#draft, at);
  }

  #find(number: number): Found | undefined {
    if (number === OPERATOR) return undefined;
    const pair = Math.floor(number / CONNS_MAX);
    const conn = this.#pair(pair).conns.find(({ nr }) => nr === number % CONNS_MAX);
    if (!conn) return undefined;
    const side = this.#world.nodeOf(pair, conn, 0) === this.#node ? 0 : 1;
    const [own, other] = [conn.ends[side], conn.ends[1 - side]!];
    return own.phase === "gone" ? undefined : { pair, conn, side, own, other };
  }

  #post(end: End, lane: number, packet: Packet): void {
    if (end.phase === "gone" || end.closed >= 0) return;
    const to = end.lanes[lane]!;
    const write = this.#said.get(to) ?? [];
    if (write.length === 0) this.#said.set(to, write);
    write.push(this.#world.packets.id(copyOf(packet)));
  }

  #write(): void {
    const { isSplit } = this.#world;
    for (const [lane, write] of this.#said) {
      lane.push(...isSplit ? write.map((packet) => [packet]) : [write]);
    }
    this.#said.clear();
  }

  #ask({ conn, message: { name, body }, context, withinMs }: Doing<"ask">): void {
    const attached = this.#world.contexts.id(copyOf({ context, name }));
    const found = this.#find(conn);
    if (!found) {
      const error = { code: "lost", message: `Cannot ask ${name}: the connection has ended` };
      const event = { type: "failed", conn, context, name, error };
      this.#heard.push({ key: `none ${conn} ${attached}`, event });
      return;
    }
    const id = found.own.next++;
    const lane = lanes[messages[name].lane];
    found.own.asked.push([id, attached, lane]);
    this.#post(found.other, lane, { kind: "ask", id, withinMs, message: { name, body } });
  }

  #tell({ conns, message }: Doing<"tell">): void {
    for (const conn of conns) {
      const found = this.#find(conn);
      const packet: Packet = { kind: "tell", message };
      if (found) this.#post(found.other, lanes[messages[message.name].lane], packet);
    }
  }

  #reply(effect: Doing<"answer"> | Doing<"refuse">): void {
    const { conn, id } = effect;
    const found = this.#find(conn);
    const question = found?.other.asked.find(([asked]) => asked === id);
    if (!found || !question) return;
    const packet: Packet = effect.do === "answer"
      ? { kind: "answer", id, message: effect.message as unknown as Message }
      : { kind: "refuse", id, error: effect.error };
    this.#post(found.other, question[2], packet);
  }

  #end({ do: how, conn: number, error }: Doing<"reject"> | Doing<"close">): void {
    const found = this.#find(number);
    if (!found) return;
    const { pair, conn, side, other } = found;
    const why = this.#world.packets.id(copyOf({ kind: "error", error }));
    this.#heard.push(...this.#world.lost(pair, conn, side, why));
    // what was said before comes before the end
    if (other.phase !== "gone" && other.closed < 0) {
      this.#write();
      other.closed = how === "reject" ? why : this.#world.packets.id(BROKEN);
    }
  }

  #connect({ address, target, hello }: Doing<"connect">): void {
    const at = this.#world.pairTo(this.#node, address);
    const pair = this.#pair(at);
    const dialler = this.#world.between[at]![0] === this.#node ? 0 : 1;
    const ends: [End, End] = [newEnd(), newEnd()];
    ends[1].lanes[0].push([this.#world.packets.id(copyOf({ kind: "hello", hello }))]);
    pair.made += 1;
    pair.conns.push({ nr: pair.made, dialler, target, ends });
  }
}
