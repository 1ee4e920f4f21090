/** A primary in the test's hand, with real storages and a real client around it: its table changes when the test says so. */
import assert from "node:assert/strict";
import type { ClientSession, Conn, NodeIndex, Partition } from "../../core/ids.ts";
import { ZERO_TID } from "../../core/ids.ts";
import type { Body, CellChange, NodeInfo } from "../../core/messages.ts";
import type { CellState } from "../../core/partition_table.ts";
import { PartitionTable } from "../../core/partition_table.ts";
import type { Client } from "../../roles/client/library.ts";
import type { Stage } from "./kit.ts";
import { Puppet } from "./puppet.ts";
import type { Question, Reply } from "./puppet.ts";
import { tidAt } from "./words.ts";

/** A change of one cell, as tests say it: partition, number of the storage, state. */
export type Move = readonly [partition: number, storage: number, state: CellState];

/** A finish that waits for the test. */
export type FinishQuestion = Question & { readonly body: Body<"finish"> };

/** The primary of one client, c1. */
export class HandPrimary extends Puppet {
  readonly table: PartitionTable;
  #stage: Stage;
  #lastTid = ZERO_TID;

  private constructor(stage: Stage, storages: number) {
    super(stage, "m1", stage.hello("master", { name: "m1" }));
    this.#stage = stage;
    const { partitions, replicas } = stage.shape;
    const nodes = Array.from({ length: storages }, (_, at) => (at + 2) as NodeIndex);
    this.table = PartitionTable.deal({ partitions, replicas, nodes });
    this.auto.set("sync", () => ({ lastTid: this.#lastTid, wallMs: stage.time.wallMs }));
    this.auto.set("askTable", () => ({ image: this.table.toImage() }));
  }

  /** Starts all storages of a stage, of which the table has the first ones, and lets c1 in. */
  static async open(stage: Stage, inTable: number): Promise<{ primary: HandPrimary; client: Client }> {
    const primary = new HandPrimary(stage, inTable);
    for (const name of stage.names) stage.startStorage(name);
    await stage.run();
    const image = primary.table.toImage();
    for (const [at, name] of stage.names.entries()) {
      const conn = primary.connOf(name);
      primary.ask(conn, "fence", { epoch: 1, session: at + 1, node: (at + 2) as NodeIndex, image });
      const started = primary.ask(conn, "start", {
        epoch: 1,
        lastTid: ZERO_TID,
        sessions: [1],
        sessionMark: 1,
      });
      await stage.run();
      assert.ok(started.answer, `${name} serves`);
    }
    const { client, connected } = stage.startClient("c1");
    await stage.run();
    primary.#welcome();
    await stage.finish(connected);
    return { primary, client };
  }

  /** A peer's newest connection. */
  connOf(name: string): Conn {
    const peer = this.peers.findLast(({ hello }) => hello.name === name);
    assert.ok(peer, `${name} has come`);
    return peer.conn;
  }

  /** Changes cells, and tells everybody. */
  change(...moves: readonly Move[]): void {
    const version = this.table.version + 1;
    const cells = moves.map(([partition, storage, state]): CellChange => {
      const node = (storage + 1) as NodeIndex;
      const since = state === "outOfDate" ? version : this.table.cell(partition as Partition, node)?.since;
      return { partition: partition as Partition, node, state, since: since ?? version };
    });
    this.table.apply(version, cells);
    const conns = [...this.#stage.names, "c1"].map((name) => this.connOf(name));
    for (const conn of conns) this.tell(conn, "table", { image: this.table.toImage(), epoch: 1 });
  }

  /** Answers a finish that cells must have it and don't. */
  missing(
    finish: FinishQuestion,
    ...cells: readonly (readonly [partition: number, storage: number])[]
  ): void {
    const named = cells.map(([partition, storage]) => ({
      partition: partition as Partition,
      node: (storage + 1) as NodeIndex,
    }));
    const detail = { version: this.table.version, cells: named };
    this.refuse(finish, { code: "missing", message: "Cannot finish: cells lack it", detail });
  }

  /** Has it locked everywhere it was voted, publishes it; all its evidence must be current. */
  async commit(finish: FinishQuestion, tid: number): Promise<void> {
    const { ttid, evidence } = finish.body;
    const locks: Reply<"lock">[] = [];
    const conns = evidence.map(({ node, cells }) => {
      for (const { partition, since } of cells) {
        assert.equal(
          since,
          this.table.cell(partition, node)?.since,
          `the vote of storage ${node - 1} is current`,
        );
      }
      return this.connOf(`s${node - 1}`);
    });
    for (const conn of conns) locks.push(this.ask(conn, "lock", { epoch: 1, ttid, tid: tidAt(tid) }));
    await this.#stage.run();
    for (const lock of locks) assert.ok(lock.answer, lock.error?.message);
    this.#lastTid = tidAt(tid);
    this.answer(finish, "finish", { tid: tidAt(tid) });
    for (const conn of conns) this.tell(conn, "unlock", { epoch: 1, ttid, tid: tidAt(tid) });
    await this.#stage.run();
  }

  #welcome(): void {
    const { clusterId } = this.#stage.shape;
    const nodes = this.#stage.names.map((name, at): NodeInfo => ({
      index: (at + 2) as NodeIndex,
      name,
      role: "storage",
      address: `${name}:1`,
      state: "running",
      session: at + 1,
    }));
    this.tell(this.connOf("c1"), "welcome", {
      clusterId,
      cluster: "test",
      epoch: 1,
      index: 0,
      session: 1 as ClientSession,
      lastTid: ZERO_TID,
      truncations: 0,
      phase: "running",
      wallMs: this.#stage.time.wallMs,
      image: this.table.toImage(),
      nodes,
    });
  }
}
