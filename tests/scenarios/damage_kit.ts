/** Data that isn't what it was: rows of a storage that a test breaks, takes away, or puts there. */
import assert from "node:assert/strict";
import { partitionOf } from "../../core/ids.ts";
import type { Oid, Tid } from "../../core/ids.ts";
import type { Answer, Body } from "../../core/messages.ts";
import type { CopiedRevision, DatabaseAnswers, StoredRevision } from "../../core/ports.ts";
import type { Actor } from "../hazards/actors.ts";
import type { Stage } from "../hazards/kit.ts";
import { Puppet } from "../hazards/puppet.ts";
import type { Reply } from "../hazards/puppet.ts";

/** A revision as a storage has it; undefined: it hasn't. */
export function revisionAt(stage: Stage, name: string, oid: Oid, tid: Tid): StoredRevision | undefined {
  const found = stage.storage(name).store.read({
    read: "loadExact",
    oid,
    tid,
  }) as DatabaseAnswers["loadExact"];
  return found.revision ?? undefined;
}

/** One bit of a revision's data turns at one storage. */
export function breakRow(stage: Stage, name: string, oid: Oid, tid: Tid): void {
  const { stored, link } = revisionAt(stage, name, oid, tid) ?? {};
  assert.ok(stored, `${name} has object ${oid} of ${tid}`);
  const data = new Uint8Array(stored.data);
  data[0]! ^= 1;
  write(stage, name, { oid, tid, stored: { ...stored, data }, link: link ?? null });
}

/** A revision comes to a storage that nobody has committed. */
export function addRow(stage: Stage, name: string, oid: Oid, tid: Tid): void {
  write(stage, name, { oid, tid, stored: null, link: null });
}

/** A revision is gone at one storage. */
export function loseRow(stage: Stage, name: string, oid: Oid, tid: Tid): void {
  const partition = partitionOf(oid, stage.shape.partitions);
  const lost = { op: "uncopy", partition, transactions: [], revisions: [{ oid, tid }] };
  void stage.storage(name).store.apply([lost], { durable: true });
}

function write(stage: Stage, name: string, row: CopiedRevision): void {
  const partition = partitionOf(row.oid, stage.shape.partitions);
  const copy = { op: "copy", partition, transactions: [], revisions: [row] };
  void stage.storage(name).store.apply([copy], { durable: true });
}

/** What a storage's digest of a partition is. */
export function digestAt(stage: Stage, name: string, partition: number): string {
  const upTo = 2n ** 63n - 1n;
  const found = stage.storage(name).store.read({
    read: "digest",
    partition,
    upTo,
  }) as DatabaseAnswers["digest"];
  return found.digest.join(" ");
}

/** Whether both storages of a stage have the same rows, all of them whole. */
export function assertSound(stage: Stage, names: readonly string[] = stage.names): void {
  for (let partition = 0; partition < stage.shape.partitions; partition++) {
    for (const name of names) {
      assert.equal(
        digestAt(stage, name, partition),
        digestAt(stage, names[0]!, partition),
        `${name}: ${partition}`,
      );
      const query = { read: "scrub", partition, after: { tid: 0n, oid: null }, bytesMax: 2 ** 30 };
      const { broken } = stage.storage(name).store.read(query) as DatabaseAnswers["scrub"];
      assert.deepEqual(broken, [], `${name}: ${partition}`);
    }
  }
}

type OperatorsName =
  | "status"
  | "verifyTable"
  | "truncate"
  | "pack"
  | "setBackup"
  | "addNode"
  | "setReplicas"
  | "tweak"
  | "getConfig"
  | "changeConfig"
  | "configHistory"
  | "configStatus";

/** An operator at the primary. */
export class OperatorHand {
  readonly #stage: Stage;
  readonly #puppet: Puppet;
  #conn: Awaited<ReturnType<Puppet["dial"]>>["conn"] | undefined;

  constructor(stage: Stage, name: string = "operator") {
    this.#stage = stage;
    this.#puppet = new Puppet(stage, name, stage.hello("admin", { name }), []);
  }

  get stage(): Stage {
    return this.#stage;
  }

  get actor(): Actor<Puppet> {
    return this.#puppet.actor;
  }

  /** Asks; the answer must have come when nothing moves any more. */
  async ask<N extends OperatorsName>(name: N, body: Body<N>): Promise<Answer<N>> {
    const reply = await this.begin(name, body);
    await this.#stage.run();
    assert.ok(reply.answer, reply.error?.message ?? `${name} is answered`);
    return reply.answer;
  }

  /** Asks, and waits for nothing. */
  async begin<N extends OperatorsName>(name: N, body: Body<N>): Promise<Reply<N>> {
    this.#conn ??= (await this.#puppet.dial("m1:1")).conn;
    return this.#puppet.ask(this.#conn, name, body);
  }

  /** What the primary says of a storage. */
  async problemOf(name: string): Promise<string | null> {
    const { nodes } = await this.ask("status", {});
    return nodes.find((node) => node.name === name)!.problem;
  }
}
