/** A client machine, and storages that answer its reads by hand. */
import assert from "node:assert/strict";
import { sha256 } from "../adapters/system.ts";
import { toOid } from "../core/ids.ts";
import type { Conn } from "../core/ids.ts";
import type { Answer, Body, WireError } from "../core/messages.ts";
import type { CallName, Calls } from "../roles/client/calls.ts";
import type { ClientStart } from "../roles/client/client.ts";
import { asTid, clientBench, follow, LOST, only, storageHello, tableOf, welcomeOf } from "./machines.ts";
import type { BenchShape } from "./machines.ts";

type Revision = Answer<"load">["revision"];

/** A revision as a storage answers it. */
export function revisionOf(text: string, tid: number, more: Partial<Revision> = {}): Revision {
  const data = new TextEncoder().encode(text);
  return { tid: asTid(tid), next: null, compression: 0, checksum: sha256(data), data, link: null, ...more };
}

/** A client on a bench. */
type Bench = ReturnType<typeof clientBench>;
type Effects = ReturnType<Bench["give"]>;
/** A question of the client. */
export type Ask = Extract<Effects[number], { do: "ask" }>;

/** A client, and storages that answer by hand. */
export class Hand {
  readonly bench: Bench;
  readonly primary: Conn;
  /** Questions that wait, oldest first, by storage. */
  readonly asks: { readonly node: number; readonly ask: Ask }[] = [];
  /** How calls ended: a result, or the error's code. */
  readonly ends = new Map<number, unknown>();
  readonly #nodes = new Map<Conn, number>();
  #calls = 0;

  constructor(
    shape: BenchShape = {},
    welcome: Partial<Body<"welcome">> = {},
    start: Partial<ClientStart> = {},
  ) {
    this.bench = clientBench(["m1:1"], start);
    this.primary = follow(this.bench, welcomeOf({ table: tableOf(shape), lastTid: asTid(100), ...welcome }));
  }

  call<N extends CallName>(name: N, request: Calls[N]["request"], withinMs: number = 60_000): number {
    const call = ++this.#calls;
    this.takes(this.bench.give({ type: "call", call, name, request, withinMs } as never));
    return call;
  }

  /** Connects what is wanted, keeps what is asked, notes what ends. */
  takes(effects: Effects): void {
    for (const ask of only(effects, "ask")) {
      const node = this.#nodes.get(ask.conn);
      if (node !== undefined) this.asks.push({ node, ask });
    }
    for (const { output } of only(effects, "output")) {
      if (output.type === "settled") this.ends.set(output.call, output.result);
      else if (output.type === "failed") this.ends.set(output.call, output.error.code);
    }
    for (const { target, address } of only(effects, "connect")) {
      const number = Number(/\d+/.exec(address)![0]);
      const reached = this.bench.reached(target, storageHello(number));
      this.#nodes.set(reached.conn, number + 1);
      this.takes(reached.effects);
    }
  }

  /** The primary publishes a transaction. */
  publishes(tid: number, oids: readonly number[]): void {
    this.takes(
      this.bench.told(this.primary, "invalidate", { tid: asTid(tid), oids: oids.map((oid) => toOid(oid)) }),
    );
  }

  /** The oldest question, taken. */
  next(): { node: number; ask: Ask } {
    const next = this.asks.shift();
    assert.ok(next, "somebody is asked");
    return next;
  }

  answers(ask: Ask, body: unknown): void {
    this.takes(this.bench.answered(ask, body as never));
  }

  fails(ask: Ask, error: WireError = LOST): void {
    this.takes(this.bench.failed(ask, error));
  }

  passes(ms: number): void {
    this.takes(this.bench.pass(ms));
  }
}
