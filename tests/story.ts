/**
 * A cluster told line by line: real machines, wired by hand, whose messages arrive at once and in order. A command goes
 * in, what it causes comes out as text: `M>S1 lock ttid=1.1 tid=#1`.
 *
 * `start NODE`, `kill NODE`, `stop NODE`, `pass MS`, `commit CLIENT OID[@#BASE]=TEXT ...`, `load CLIENT OID [at #TID]`.
 * Nodes are `M`, `S1`, `S2`, ... and `C1`, `C2`, ... A tid is shown as `#` and its place in the story, a ttid as session
 * and counter. What says nothing to a reader (checksums, names of the cluster) is left out.
 */
import { seededRandom, sha256, zlibCompression } from "../adapters/system.ts";
import { sessionOf, toOid, ZERO_TID } from "../core/ids.ts";
import type { Conn, Oid, Tid, Ttid } from "../core/ids.ts";
import type { Effect } from "../core/machine.ts";
import type { Hello, WireError } from "../core/messages.ts";
import { PartitionTable } from "../core/partition_table.ts";
import { ClientMachine } from "../roles/client/client.ts";
import { decodeEntry } from "../roles/master/entries.ts";
import { MasterMachine } from "../roles/master/master.ts";
import { StorageMachine } from "../roles/storage/storage.ts";
import { Bench, LOST, masterDisk, storageDisk } from "./machines.ts";
import type { BenchShape } from "./machines.ts";
import { SoloConsensus } from "./solo_consensus.ts";

/** Fields that every story would repeat. */
const SILENT: readonly string[] = [
  "clusterId",
  "cluster",
  "truncations",
  "compression",
  "checksum",
  "digest",
  "restore",
];

type AnyBench = Bench<unknown, unknown, unknown, unknown, unknown, { readonly type: "call" }, unknown>;
type AnyEvent = Parameters<AnyBench["give"]>[0];

/** One side of a connection. */
interface End {
  readonly conn: Conn;
  readonly node: string;
  readonly target: string | undefined;
  accepted: boolean;
  /** What came before this side has accepted the other. */
  early: AnyEvent[];
  other: End | undefined;
  /** Contexts and names of open questions. */
  readonly questions: Map<number, Extract<Effect, { do: "ask" }>>;
}

interface Node {
  readonly bench: AnyBench & { readonly machine: { hello(): Hello } };
}

/** A cluster and the lines that it has said. */
export class Story {
  #shape: BenchShape;
  #nodes = new Map<string, Node>();
  #ends = new Map<Conn, End>();
  #queue: { readonly node: string; readonly bench: AnyBench; readonly event: AnyEvent }[] = [];
  #lines: string[] = [];
  #tids = new Map<bigint, string>();
  #bases = new Map<Oid, Tid>();
  #commits = new Map<number, readonly Oid[]>();
  #metadata: ReturnType<typeof masterDisk>;
  #databases = new Map<string, ReturnType<typeof storageDisk>>();
  #nowMs = 1_000;
  #numbers = 0;

  constructor(shape: BenchShape = {}) {
    this.#shape = shape;
    this.#metadata = masterDisk(shape);
  }

  /** Does what a command says; gives what that caused. */
  run(command: string): string[] {
    this.#lines = [];
    const [verb, name = "", ...rest] = command.split(" ");
    switch (verb) {
      case "start":
        this.#start(name);
        break;
      case "kill":
        this.#kill(name);
        break;
      case "stop":
        this.#give(name, { type: "terminate" });
        break;
      case "pass":
        this.#pass(Number(name));
        break;
      case "commit":
        this.#commit(name, rest);
        break;
      case "load":
        this.#load(name, rest);
        break;
      default:
        throw new RangeError(`Cannot play "${command}": ${verb} is no command`);
    }
    this.#drain();
    return this.#lines;
  }

  #start(name: string): void {
    const bench = this.#build(name) as unknown as Node["bench"];
    bench.now = { monoMs: this.#nowMs, wallMs: 1_700_000_000_000 + this.#nowMs };
    this.#nodes.set(name, { bench });
    this.#give(name, { type: "opened" });
  }

  #build(name: string): unknown {
    if (name === "M") {
      const store = this.#metadata.open();
      const grace = { startupGraceMs: 500, failoverGraceMs: 200 };
      const consensus = new SoloConsensus(store.state);
      return new Bench(new MasterMachine({ consensus, name: "m1", digest: sha256, grace }), store);
    }
    const masters = ["m1:1"];
    if (name.startsWith("C")) {
      const ports = { digest: sha256, compression: zlibCompression, random: seededRandom(1) };
      return new Bench(
        new ClientMachine({
          cluster: "test",
          masters,
          name: name.toLowerCase(),
          ports,
          cacheBytes: 0, // stories tell what goes over wires
        }),
      );
    }
    const number = Number(name.slice(1));
    const disk = this.#databases.get(name) ?? storageDisk(number, this.#shape.partitions);
    this.#databases.set(name, disk);
    const store = disk.open();
    const address = `${name.toLowerCase()}:1`;
    return new Bench(new StorageMachine({ state: store.state, masters, address, digest: sha256 }), store);
  }

  #kill(name: string): void {
    this.#nodes.delete(name);
    this.#say(`${name} is gone`);
    for (const end of [...this.#ends.values()]) if (end.node === name) this.#cut(end, LOST);
    this.#databases.get(name)?.crash(0);
    if (name === "M") this.#metadata.crash(0);
  }

  #pass(ms: number): void {
    this.#nowMs += ms;
    for (const [name, { bench }] of this.#nodes) this.#perform(name, bench.pass(ms));
  }

  #commit(name: string, words: readonly string[]): void {
    const writes = words.map((word) => {
      const [, digits, alias, text] = /^(\d+)(?:@(#\d+))?=(.*)$/.exec(word)!;
      const oid = toOid(BigInt(digits!));
      const base = alias === undefined ? this.#bases.get(oid) ?? ZERO_TID : this.#tidOf(alias);
      return { oid, base, data: new TextEncoder().encode(text) };
    });
    const none = new Uint8Array();
    const request = { writes, checks: [], user: none, description: none, extension: none, status: " " };
    const call = this.#call(name, "commit", request);
    this.#commits.set(call, writes.map(({ oid }) => oid));
  }

  #load(name: string, [oid, , at]: readonly string[]): void {
    const newest = [...this.#tids.values()].at(-1);
    this.#call(name, "load", { oid: toOid(BigInt(oid!)), at: this.#tidOf(at ?? newest) });
  }

  #tidOf(alias: string | undefined): Tid {
    return ([...this.#tids].find(([, known]) => known === alias)?.[0] ?? ZERO_TID) as Tid;
  }

  #call(name: string, what: string, request: unknown): number {
    const call = ++this.#numbers;
    const event = { type: "call", call, name: what, request, withinMs: 30_000 } as const;
    this.#give(name, event);
    return call;
  }

  #give(name: string, event: AnyEvent): void {
    this.#queue.push({ node: name, bench: this.#nodes.get(name)!.bench, event });
  }

  #drain(): void {
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      const { node, bench, event } = next;
      if (this.#nodes.get(node)?.bench === bench) this.#perform(node, bench.give(event));
    }
  }

  /** A round: what is saved, what is read, what is said. */
  #perform(name: string, effects: readonly Effect[]): void {
    const saves = effects.filter((effect) => effect.do === "save");
    if (saves.length > 0) {
      const verb = saves.some(({ durable }) => durable) ? "flushes" : "saves";
      this.#say(`${name} ${verb} ${saves.map(({ write }) => this.#write(write)).join(", ")}`);
    }
    for (const effect of effects) {
      if (effect.do === "read") this.#say(`${name} reads ${this.#fields(effect.query, ["read"])}`);
    }
    for (const effect of effects) this.#carry(name, effect);
  }

  #carry(name: string, effect: Effect): void {
    switch (effect.do) {
      case "connect":
        return this.#connect(name, effect);
      case "accept":
        return this.#accept(effect.conn);
      case "reject":
      case "close": {
        const end = this.#ends.get(effect.conn);
        if (!end) return;
        this.#say(`${name} ${effect.do}s ${end.other?.node}: ${effect.error.code}`);
        return this.#cut(end, effect.error, effect.do === "reject" ? effect.error : LOST);
      }
      case "ask":
      case "tell":
      case "answer":
      case "refuse":
        return this.#send(name, effect);
      case "output":
        return this.#output(name, effect.output);
      case "stop":
        this.#say(`${name} ends`);
        return this.#kill(name);
    }
  }

  #connect(name: string, { address, target, hello }: Extract<Effect, { do: "connect" }>): void {
    const other = address === "m1:1" ? "M" : address.split(":")[0]!.toUpperCase();
    const there = this.#nodes.get(other);
    const conn = ++this.#numbers as Conn;
    if (!there) {
      this.#say(`${name} doesn't reach ${other}`);
      return this.#give(name, { type: "lost", conn, target, error: LOST });
    }
    this.#say(`${name} connects to ${other}`);
    const rest = { accepted: false, early: [], other: undefined };
    const mine: End = { ...rest, conn, node: name, target, questions: new Map(), early: [] };
    const theirs: End = {
      ...rest,
      conn: ++this.#numbers as Conn,
      node: other,
      target: undefined,
      questions: new Map(),
      early: [],
      other: mine,
    };
    mine.other = theirs;
    for (const end of [mine, theirs]) this.#ends.set(end.conn, end);
    this.#give(other, { type: "identified", conn: theirs.conn, hello, incoming: true });
    const answer = there.bench.machine.hello();
    this.#give(name, { type: "identified", conn, hello: answer, incoming: false, target });
  }

  #accept(conn: Conn): void {
    const end = this.#ends.get(conn);
    if (!end) return;
    end.accepted = true;
    for (const event of end.early.splice(0)) this.#give(end.node, event);
  }

  /** Ends a connection: each side hears of it behind what it was told. */
  #cut(end: End, error: WireError, otherError: WireError = error): void {
    for (const [side, why] of [[end, error], [end.other, otherError]] as const) {
      if (!side || !this.#ends.delete(side.conn) || !this.#nodes.has(side.node)) continue;
      const { conn, target } = side;
      for (const { context, message } of side.questions.values()) {
        this.#give(side.node, { type: "failed", conn, context, name: message.name, error: why });
      }
      this.#give(side.node, { type: "lost", conn, error: why, ...(target === undefined ? {} : { target }) });
    }
  }

  #send(name: string, effect: Extract<Effect, { do: "ask" | "tell" | "answer" | "refuse" }>): void {
    for (const conn of effect.do === "tell" ? effect.conns : [effect.conn]) {
      const end = this.#ends.get(conn);
      if (!end?.other) continue;
      const { other } = end;
      const event = this.#arrival(end, other, effect);
      this.#say(`${name}>${other.node} ${this.#message(effect)}`);
      if (other.accepted) this.#give(other.node, event);
      else other.early.push(event);
    }
  }

  #arrival(
    end: End,
    other: End,
    effect: Extract<Effect, { do: "ask" | "tell" | "answer" | "refuse" }>,
  ): AnyEvent {
    const { conn } = other;
    if (effect.do === "tell") return { type: "told", conn, message: effect.message };
    if (effect.do === "ask") {
      const id = ++this.#numbers;
      end.questions.set(id, effect);
      return { type: "asked", conn, id, withinMs: effect.withinMs, message: effect.message };
    }
    const question = other.questions.get(effect.id)!;
    other.questions.delete(effect.id);
    const { context, message } = question;
    if (effect.do === "answer") return { type: "answered", conn, context, message: effect.message };
    return { type: "failed", conn, context, name: message.name, error: effect.error };
  }

  #message(effect: Extract<Effect, { do: "ask" | "tell" | "answer" | "refuse" }>): string {
    if (effect.do === "refuse") return `refuses: ${effect.error.code}`;
    const { name, body } = effect.message;
    return `${name}${effect.do === "answer" ? " answer" : ""} ${this.#fields(body)}`.trimEnd();
  }

  #output(name: string, output: unknown): void {
    const { type, call, result, error, tid, oids } = output as {
      readonly type: string;
      readonly call: number;
      readonly result?: { readonly tid?: Tid };
      readonly error?: { readonly code: string };
      readonly tid: Tid;
      readonly oids: readonly Oid[] | null;
    };
    if (type === "published") return this.#say(`${name} hears of ${this.#alias(tid)} ${oids ?? "anything"}`);
    if (type === "failed") return this.#say(`${name} fails: ${error?.code}`);
    if (result?.tid !== undefined) {
      for (const oid of this.#commits.get(call) ?? []) this.#bases.set(oid, result.tid);
    }
    this.#say(`${name} gets ${result === undefined ? "nothing" : this.#fields(result)}`);
  }

  #write(write: unknown): string {
    const { op, entries } = write as { op: string; entries?: readonly { readonly entry: Uint8Array }[] };
    if (op === "append") {
      return entries!.map(({ entry }) => this.#fields(decodeEntry(entry), ["type"])).join(", ");
    }
    return this.#fields(write, ["op"]);
  }

  /** `name=value` of each field; those that are named stand first, by value alone. */
  #fields(body: unknown, bare: readonly string[] = []): string {
    const entries = Object.entries(body as { [name: string]: unknown }).filter(([name]) =>
      !SILENT.includes(name)
    );
    return entries.map(([name, value]) =>
      bare.includes(name) ? String(value) : `${name}=${this.#value(name, value)}`
    ).join(" ");
  }

  #value(name: string, value: unknown): string {
    if (name === "image") {
      const { generation, version } = PartitionTable.ofImage(value as Uint8Array);
      return `${generation}.${version}`;
    }
    if (name === "wallMs" || name === "ageMs") return `+${Number(value) - 1_700_000_000_000}`;
    if (name === "ttid" || (name === "lastTtid" && value !== null)) {
      return `${sessionOf(value as Ttid)}.${Number((value as bigint) % 2n ** 24n)}`;
    }
    if (value instanceof Uint8Array) {
      return value.length > 15
        ? `(${value.length})`
        : new TextDecoder().decode(value);
    }
    if (Array.isArray(value)) {
      return `[${value.map((one) => this.#value(name.replace(/s$/, ""), one)).join(" ")}]`;
    }
    if (typeof value === "bigint") {
      return /oid|first|stored|checked/i.test(name) ? String(value) : this.#alias(value);
    }
    if (value === null) return "-";
    if (typeof value !== "object") return String(value);
    if ("address" in value && "state" in value && "name" in value) return `${value.name}:${value.state}`;
    return `{${this.#fields(value)}}`;
  }

  #alias(tid: bigint): string {
    if (tid === ZERO_TID) return "0";
    const known = this.#tids.get(tid) ?? `#${this.#tids.size + 1}`;
    this.#tids.set(tid, known);
    return known;
  }

  #say(line: string): void {
    this.#lines.push(line);
  }
}
