/** Several masters, on the simulator's network and clocks, and what a test does with them. */
import assert from "node:assert/strict";
import { toOid, ZERO_TID } from "../../core/ids.ts";
import type { Tid } from "../../core/ids.ts";
import type { AnswerMessage, AskMessage } from "../../core/messages.ts";
import type { MemberMachine } from "../../roles/master/member.ts";
import { Cluster } from "../simulation/cluster.ts";
import type { Shape, SimClient } from "../simulation/cluster.ts";
import type { CommandEnd } from "../simulation/operator.ts";
import { SimRandom } from "../simulation/random.ts";
import { call } from "../simulation/sessions.ts";
import type { Outcome, Worker } from "../simulation/sessions.ts";

const WITHIN_MS = 60_000;
const NOTHING = new Uint8Array();
const SHAPE = {
  masters: 3,
  storages: 2,
  replicas: 1,
  partitions: 2,
  spares: 0,
  clients: 2,
  late: false,
  lateMaster: false,
};

type Member = Cluster["masters"][number];

/** A cluster with three masters, and what may happen to them. */
export class Masters {
  readonly cluster: Cluster;
  #bases = new Map<bigint, Tid>();
  #orders = 0;

  constructor(shape: Partial<Shape> = {}) {
    const ended = (): void => {};
    this.cluster = new Cluster({ ...SHAPE, ...shape }, new SimRandom(7), 300, ended);
  }

  /** Starts all, or all but some masters, and lets them come to rest. */
  start(...without: readonly string[]): this {
    this.cluster.start(this.cluster.masters.filter(({ name }) => without.includes(name)));
    this.until(
      "the cluster runs",
      () => this.primary !== undefined && this.viewOf(this.primary)?.phase === "running",
    );
    return this;
  }

  member(name: string): Member {
    return this.cluster.masters.find((member) => member.name === name)!;
  }

  viewOf(member: Member): MemberMachine["view"] {
    return (member.machine as MemberMachine | undefined)?.view;
  }

  /** Masters that are primaries in their own eyes, and not frozen. */
  get primaries(): Member[] {
    return this.cluster.masters.filter((member) => !member.isPaused && this.viewOf(member) !== undefined);
  }

  get primary(): Member | undefined {
    return this.primaries.sort((a, b) => this.viewOf(b)!.epoch - this.viewOf(a)!.epoch)[0];
  }

  get epoch(): number {
    return this.viewOf(this.primary!)!.epoch;
  }

  until(what: string, holds: () => boolean, withinMs: number = WITHIN_MS): void {
    const { world } = this.cluster;
    const at = () =>
      this.cluster.masters.map(({ name, machine }) =>
        `${name}: ${JSON.stringify((machine as MemberMachine)?.part)}`
      );
    assert.ok(world.runUntil(holds, world.nowMs + withinMs), `${what}; ${at().join(", ")}`);
  }

  pass(ms: number): void {
    const { world } = this.cluster;
    world.runUntil(() => false, world.nowMs + ms);
  }

  /** Nothing goes between a master and the others, or anybody. */
  cut(member: Member, from: readonly string[]): void {
    const { network, world } = this.cluster;
    for (const name of from) if (name !== member.name) network.hold(member.name, name, world.nowMs + 1e9);
  }

  client(at: number): SimClient {
    return this.cluster.clients[at]!;
  }

  /** Begins a call; gives its outcome once there is one. */
  begin<T>(client: SimClient, worker: Worker<T>): () => T | undefined {
    const ended: T[] = [];
    function* noting(): Worker {
      ended.push(yield* worker);
    }
    this.until(`${client.name} runs`, () => client.session !== undefined);
    client.session!.run(noting());
    return () => ended[0];
  }

  ended<T>(what: string, outcome: () => T | undefined): T {
    this.until(what, () => outcome() !== undefined);
    return outcome()!;
  }

  /** Commits an object, and must succeed. */
  commit(at: number = 0, oid: bigint = 1n): Tid {
    const outcome = this.ended("a commit ends", this.begin(this.client(at), this.write(oid)));
    assert.ok(
      outcome.ok,
      JSON.stringify(outcome, (_, value) => typeof value === "bigint" ? `${value}` : value),
    );
    this.#bases.set(oid, outcome.result.tid);
    return outcome.result.tid;
  }

  write(oid: bigint): Worker<Outcome<"commit">> {
    const writes = [{ oid: toOid(oid), base: this.#bases.get(oid) ?? ZERO_TID, data: Uint8Array.of(1) }];
    const note = { user: NOTHING, description: NOTHING, extension: NOTHING, status: " " };
    return call("commit", { writes, checks: [], ...note }, WITHIN_MS);
  }

  /** An operator's command; gives its answer, or the message of its refusal, once there is one. */
  order(message: AskMessage): () => AnswerMessage["body"] | string | undefined {
    const id = ++this.#orders;
    const ends: CommandEnd[] = [];
    this.cluster.heard.add((end) => void (end.id === id && ends.push(end)));
    this.cluster.operator.call({ type: "command", id, message });
    return () => ends.map((end) => "answer" in end ? end.answer.body : end.error.message)[0];
  }

  sync(at: number): () => Outcome<"sync"> | undefined {
    return this.begin(this.client(at), call("sync", {}, WITHIN_MS));
  }
}
