/** A peer whose words the test chooses: on a real host, so that what it says travels as everything else does. */
import assert from "node:assert/strict";
import type { Conn, NodeIndex, Tid, Ttid } from "../../core/ids.ts";
import { ZERO_TID } from "../../core/ids.ts";
import type { Effect, Machine } from "../../core/machine.ts";
import { answer, ask, refuse, tell } from "../../core/machine.ts";
import type { Answer, AskName, Body, Hello, Role, TellName, WireError } from "../../core/messages.ts";
import { PartitionTable } from "../../core/partition_table.ts";
import type { Actor } from "./actors.ts";
import type { Stage } from "./kit.ts";

/** What became of a question. */
export interface Reply<N extends AskName> {
  answer?: Answer<N>;
  error?: WireError;
}

/** A question to the puppet. */
export interface Question {
  readonly conn: Conn;
  readonly id: number;
  readonly name: string;
  readonly body: unknown;
}

type PuppetEvent =
  | { readonly type: "do"; readonly effects: readonly Effect[] }
  | { readonly type: "identified"; readonly conn: Conn; readonly hello: Hello; readonly target?: string }
  | {
    readonly type: "asked";
    readonly conn: Conn;
    readonly id: number;
    readonly message: { readonly name: string; readonly body: unknown };
  }
  | { readonly type: "answered"; readonly context: Reply<never>; readonly message: { readonly body: never } }
  | { readonly type: "failed"; readonly context: Reply<never>; readonly error: WireError }
  | { readonly type: "lost"; readonly conn: Conn; readonly target?: string; readonly error: WireError };

/** A peer in the test's hand. */
export class Puppet implements Machine<PuppetEvent, Effect> {
  readonly actor: Actor<Puppet>;
  /** Peers that came, and those that it went to; oldest first. */
  readonly peers: { readonly conn: Conn; readonly hello: Hello }[] = [];
  /** Questions that wait for the test's answer. */
  readonly questions: Question[] = [];
  /** Answers that it gives by itself, by the question's name. */
  readonly auto = new Map<AskName, (body: never) => unknown>();
  #stage: Stage;
  #hello: Hello;
  #dialled = new Map<string, { conn?: Conn; error?: WireError }>();

  constructor(
    stage: Stage,
    name: string,
    hello: Hello,
    serves: readonly Role[] = ["storage", "client", "admin"],
  ) {
    this.#stage = stage;
    this.#hello = hello;
    this.actor = stage.play(name, this, { hello, serves });
  }

  due(): undefined {
    return undefined;
  }

  step(event: PuppetEvent): Effect[] {
    switch (event.type) {
      case "do":
        return [...event.effects];
      case "identified":
        this.peers.push(event);
        if (event.target !== undefined) this.#dialled.set(event.target, { conn: event.conn });
        return [{ do: "accept", conn: event.conn }];
      case "asked": {
        const { name, body } = event.message;
        const auto = this.auto.get(name as AskName);
        if (auto) return [answer(event, name as AskName, auto(body as never) as never)];
        this.questions.push({ conn: event.conn, id: event.id, name, body });
        return [];
      }
      case "answered":
        event.context.answer = event.message.body;
        return [];
      case "failed":
        event.context.error = event.error;
        return [];
      case "lost":
        if (event.target !== undefined) this.#dialled.set(event.target, { error: event.error });
        return [];
      default:
        return [];
    }
  }

  /** Goes to a node; gives the connection once the node has said who it is, or why not. */
  async dial(address: string, more: Partial<Hello> = {}): Promise<{ conn: Conn; error?: WireError }> {
    const target = `${address} ${this.#dialled.size}`;
    this.#dialled.set(target, {});
    this.do({ do: "connect", address, target, hello: { ...this.#hello, ...more } });
    await this.#stage.run();
    const { conn, error } = this.#dialled.get(target)!;
    return { conn: conn ?? (0 as Conn), ...(error && { error }) };
  }

  /** Asks; what comes back stands in the reply once it is there. */
  ask<N extends AskName>(conn: Conn, name: N, body: Body<N>): Reply<N> {
    const reply: Reply<N> = {};
    this.do(ask(conn, name, body, { context: reply, withinMs: 300_000 }));
    return reply;
  }

  tell<N extends TellName>(conn: Conn, name: N, body: Body<N>): void {
    this.do(tell(conn, name, body));
  }

  /** Takes the oldest question of this name; it must be there. */
  question<N extends AskName>(name: N): Question & { readonly body: Body<N> } {
    const at = this.questions.findIndex((question) => question.name === name);
    assert.ok(at >= 0, `${this.actor.name} was asked ${name}`);
    return this.questions.splice(at, 1)[0] as never;
  }

  answer<N extends AskName>(to: Question, name: N, body: Answer<N>): void {
    this.do(answer(to, name, body));
  }

  refuse(to: Question, error: WireError): void {
    this.do(refuse(to, error));
  }

  close(conn: Conn): void {
    this.do({ do: "close", conn, error: { code: "lost", message: "the puppet goes" } });
  }

  do(...effects: readonly Effect[]): void {
    this.actor.post({ type: "do", effects });
  }
}

/** A primary in the test's hand, to which a storage under test comes. */
export class PuppetPrimary extends Puppet {
  readonly table: PartitionTable;
  epoch = 1;

  constructor(stage: Stage, name: string = "m1") {
    super(stage, name, stage.hello("master", { name }), ["storage"]);
    const { storages, partitions, replicas } = stage.shape;
    const nodes = Array.from({ length: storages }, (_, at) => (at + 2) as NodeIndex);
    this.table = PartitionTable.deal({ partitions, replicas, nodes });
  }

  /** The storage's newest connection. */
  get conn(): Conn {
    return this.peers.at(-1)!.conn;
  }

  fence(more: Partial<Body<"fence">> = {}): Reply<"fence"> {
    const image = this.table.toImage();
    return this.ask(this.conn, "fence", {
      epoch: this.epoch,
      session: 1,
      node: 2 as NodeIndex,
      image,
      ...more,
    });
  }

  start(sessions: readonly number[] = [1, 2, 3]): Reply<"start"> {
    const sessionMark = Math.max(0, ...sessions);
    return this.ask(this.conn, "start", { epoch: this.epoch, lastTid: ZERO_TID, sessions, sessionMark });
  }

  lock(ttid: Ttid, tid: Tid): Reply<"lock"> {
    return this.ask(this.conn, "lock", { epoch: this.epoch, ttid, tid });
  }

  unlock(ttid: Ttid, tid: Tid): void {
    this.tell(this.conn, "unlock", { epoch: this.epoch, ttid, tid });
  }
}

/** A storage that serves client sessions 1, 2 and 3, and its primary in the test's hand. */
export async function serving(stage: Stage, name: string = "s1"): Promise<PuppetPrimary> {
  const primary = new PuppetPrimary(stage);
  stage.startStorage(name);
  await stage.run();
  primary.fence();
  const started = primary.start();
  await stage.run();
  assert.ok(started.answer, "the storage serves");
  return primary;
}

/** A client in the test's hand, connected to one node. */
export async function puppetClient(
  stage: Stage,
  options: { name?: string; session?: number; at?: string } = {},
): Promise<{ puppet: Puppet; conn: Conn }> {
  const { name = "c1", session = 1, at = "s1:1" } = options;
  const puppet = new Puppet(stage, name, stage.hello("client", { name, session, epoch: 1 }), []);
  const { conn } = await puppet.dial(at);
  return { puppet, conn };
}
