/**
 * What the scenarios share: storages on real SQLite files whose rows a test counts, clients with or without a cache,
 * and counters in one byte whose conflicts add up.
 */
import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { memoryDatabase } from "../../adapters/memory.ts";
import { createDatabase, openDatabase } from "../../adapters/sqlite.ts";
import { seededRandom, sha256, zlibCompression } from "../../adapters/system.ts";
import { UnreachableError } from "../../core/errors.ts";
import type { Oid, Tid } from "../../core/ids.ts";
import type { Database } from "../../core/ports.ts";
import { Caller } from "../../roles/client/caller.ts";
import type { ClientOutput } from "../../roles/client/calls.ts";
import { ClientMachine } from "../../roles/client/client.ts";
import { Client } from "../../roles/client/library.ts";
import type { ObjectConflict, Resolver } from "../../roles/client/resolving.ts";
import type { Transaction } from "../../roles/client/transaction.ts";
import type { Actor } from "../hazards/actors.ts";
import type { Stage } from "../hazards/kit.ts";

/** What a storage's file holds. */
export interface Rows {
  /** Revisions that are final, and the transactions that made them. */
  readonly obj: number;
  readonly trans: number;
  /** Bytes of revisions, final or not, and parts of large ones. */
  readonly data: number;
  readonly part: number;
  /** Objects, votes and unclaimed parts of what isn't final. */
  readonly tobj: number;
  readonly ttrans: number;
  readonly tpart: number;
}

/** A storage's disk: a file whose rows can be counted while a storage has it open. */
export class FileDisk {
  readonly #folder: string = mkdtempSync(join(tmpdir(), "neo-scenario-"));
  #lives = 0;
  #looks = 0;
  #open: Database | undefined;

  constructor(stage: Stage, name: string) {
    const { clusterId, partitions } = stage.shape;
    createDatabase(this.#path, { clusterId, cluster: "test", name, diskId: `disk-${name}`, partitions });
  }

  /** As a stage wants its disks. */
  get disk(): ReturnType<typeof memoryDatabase> {
    return this as unknown as ReturnType<typeof memoryDatabase>;
  }

  open(): Database {
    this.#open = openDatabase(this.#path);
    return this.#open;
  }

  /** The process is killed: what it gave to the file so far is what the next one finds. */
  crash(): void {
    if (this.#open === undefined) return;
    const before = this.#path;
    this.#lives += 1;
    copy(before, this.#path);
    void this.#open.close();
    this.#open = undefined;
  }

  /** How many rows the file has now. */
  get rows(): Rows {
    return this.looked((file) => {
      const count = (table: string): number =>
        Number(file.prepare(`SELECT count(*) AS count FROM ${table}`).get()?.count);
      return {
        obj: count("obj"),
        trans: count("trans"),
        data: count("data"),
        part: count("part"),
        tobj: count("tobj"),
        ttrans: count("ttrans"),
        tpart: count("tpart"),
      };
    });
  }

  /** Data that no object refers to, and objects whose data is gone. There must be none, ever. */
  get orphans(): number {
    const used = "SELECT data_id FROM obj UNION SELECT data_id FROM tobj";
    const lost =
      `SELECT data_id FROM (${used}) WHERE data_id IS NOT NULL AND data_id NOT IN (SELECT id FROM data)`;
    const parts =
      "SELECT data_id FROM part WHERE data_id NOT IN (SELECT id FROM data UNION SELECT data_id FROM tpart)";
    const unused =
      `SELECT id FROM data WHERE id NOT IN (SELECT data_id FROM (${used}) WHERE data_id IS NOT NULL)`;
    const all = [unused, lost, parts].map((query) => `(SELECT count(*) FROM (${query}))`).join(" + ");
    return this.looked((file) => Number(file.prepare(`SELECT ${all} AS count`).get()?.count));
  }

  /** Looks at the file as it is; its owner keeps others out, so at a copy. */
  looked<T>(look: (file: DatabaseSync) => T): T {
    const path = join(this.#folder, `look${this.#looks++}.db`);
    copy(this.#path, path);
    const file = new DatabaseSync(path);
    try {
      return look(file);
    } finally {
      file.close();
    }
  }

  /** Changes the file of a storage that was killed, as a bad disk does. */
  damage(sql: string): void {
    const file = new DatabaseSync(this.#path);
    file.exec(sql);
    file.close();
  }

  /** Takes the file away. */
  [Symbol.dispose](): void {
    void this.#open?.close();
    rmSync(this.#folder, { recursive: true });
  }

  get #path(): string {
    return join(this.#folder, `${this.#lives}.db`);
  }
}

function copy(from: string, to: string): void {
  for (const suffix of ["", "-wal"]) if (existsSync(from + suffix)) copyFileSync(from + suffix, to + suffix);
}

/** Opens a stage whose first storage is on a file. */
export async function openOnFile(stage: Stage): Promise<FileDisk> {
  const file = new FileDisk(stage, "s1");
  stage.startMaster();
  stage.startStorage("s1", { disk: file.disk });
  for (const name of stage.names) if (name !== "s1") stage.startStorage(name);
  await stage.run();
  assert.equal(stage.master.machine.view.phase, "running", stage.problems);
  return file;
}

/** A client of a stage, and all that its machine has put out. */
export interface Scene {
  readonly client: Client;
  readonly actor: Actor<ClientMachine>;
  readonly outputs: readonly ClientOutput[];
}

/** Lets a client in that has a cache of so many bytes. */
export async function connectCaching(stage: Stage, name: string, cacheBytes: number): Promise<Scene> {
  const ports = { digest: sha256, compression: zlibCompression, random: seededRandom(1) };
  const machine = new ClientMachine({ cluster: "test", masters: ["m1:1"], name, ports, cacheBytes });
  const caller: Caller = new Caller((call) => actor.post(call), machine);
  const outputs: ClientOutput[] = [];
  const output = (one: never): void => {
    outputs.push(one);
    caller.take(one);
  };
  const actor: Actor<ClientMachine> = stage.play(name, machine, {
    hello: machine.hello(),
    serves: [],
    output,
  });
  const end = (): Promise<void> => {
    caller.end(new UnreachableError("Cannot go on: this client is closed", { code: "lost" }));
    return Promise.resolve(actor.terminate());
  };
  await stage.finish(caller.call("connect", {}));
  return { client: new Client(caller, end), actor, outputs };
}

/** Lets a client in whose connections to all storages are there; it keeps nothing, unless told. */
export async function connectWarm(stage: Stage, name: string, cacheBytes: number = 0): Promise<Scene> {
  const scene = await connectCaching(stage, name, cacheBytes);
  const tx = await stage.finish(scene.client.begin());
  const first = 2_000_000 + 1_000 * Number(name.slice(1));
  for (let partition = 0; partition < stage.shape.partitions; partition++) {
    tx.store(BigInt(first + partition) as Oid, new Uint8Array());
  }
  await stage.finish(tx.commit());
  return scene;
}

/** Counters in one byte: what both have added counts. */
export const sum: Resolver = ({ base, saved, mine }) =>
  Uint8Array.of(saved[0]! + mine[0]! - (base?.[0] ?? 0));

/** The same, which keeps what it was asked to resolve. */
export function summing(): { readonly resolve: Resolver; readonly conflicts: readonly ObjectConflict[] } {
  const conflicts: ObjectConflict[] = [];
  const resolve: Resolver = (conflict) => {
    conflicts.push(conflict);
    return sum(conflict);
  };
  return { resolve, conflicts };
}

/** A transaction that adds `by` to counters in this order, begun and not committed. */
export async function adding(
  stage: Stage,
  { client }: Pick<Scene, "client">,
  oids: readonly Oid[],
  by: number,
  resolve: Resolver = sum,
): Promise<Transaction> {
  const tx = await stage.finish(client.begin({ resolve }));
  for (const oid of oids) {
    const found = await stage.finish(tx.load(oid));
    tx.store(oid, Uint8Array.of((found?.data[0] ?? 0) + by));
  }
  return tx;
}

/** Counters as they are now. */
export async function valuesOf(
  stage: Stage,
  { client }: Pick<Scene, "client">,
  oids: readonly Oid[],
): Promise<(number | undefined)[]> {
  const snapshot = await stage.finish(client.snapshot());
  return (await stage.finish(snapshot.loadMany(oids))).map((found) => found?.data[0]);
}

/** Commits texts under their objects, on top of what is there. */
export async function commitTexts(
  stage: Stage,
  { client }: Pick<Scene, "client">,
  texts: readonly (readonly [Oid, string])[],
): Promise<Tid> {
  const tx = await stage.finish(client.begin());
  for (const [oid, text] of texts) {
    await stage.finish(tx.load(oid));
    tx.store(oid, new TextEncoder().encode(text));
  }
  return await stage.finish(tx.commit());
}

/** How often a node has heard this. */
export function timesHeard(stage: Stage, name: string, what: string): number {
  return stage.actor(name).heard.filter((heard) => heard.what === what).length;
}

/** How often a node has said this: `answer store`, `refuse conflict`, `tell deadlock`, `ask finish`. */
export function timesSaid(stage: Stage, name: string, what: string): number {
  return stage.actor(name).heard.flatMap(({ effects }) => effects).filter((effect) => {
    switch (effect.do) {
      case "answer":
      case "ask":
      case "tell":
        return what === `${effect.do} ${effect.message.name}`;
      case "refuse":
        return what === `refuse ${effect.error.code}`;
      default:
        return false;
    }
  }).length;
}
