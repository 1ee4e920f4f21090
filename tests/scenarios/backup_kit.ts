/** Two clusters, of which one follows the other: each on a stage of its own, and followers with a client in both. */
import assert from "node:assert/strict";
import type { Tid } from "../../core/ids.ts";
import { FOLLOW_AGAIN_MS } from "../../core/limits.ts";
import type { Body } from "../../core/messages.ts";
import type { TransactionRecord } from "../../core/records.ts";
import { follow } from "../../roles/client/following.ts";
import type { FollowProgress } from "../../roles/client/following.ts";
import type { Client } from "../../roles/client/library.ts";
import { Stage } from "../hazards/kit.ts";
import type { StageShape } from "../hazards/kit.ts";
import type { Reply } from "../hazards/puppet.ts";
import { asPartition } from "../machines.ts";
import { OperatorHand } from "./damage_kit.ts";

/** A follower's process. */
export interface Following {
  readonly progress: FollowProgress | undefined;
  /** Whether it was ever let. */
  readonly hasCopied: boolean;
  /** Its client of the source, and of the backup. */
  readonly of: { readonly source: Client; readonly backup: Client };
  /** Ends it as kill -9 does. */
  kill(): void;
}

/** A source with two copies of everything, and a backup of another shape. */
export class Pair {
  readonly source: Stage;
  readonly backup: Stage;
  #operators = 0;
  #said: FollowProgress | undefined; // by any follower

  constructor(shapes: { readonly source?: StageShape; readonly backup?: StageShape } = {}) {
    this.source = new Stage({ clusterId: "c-1", ...shapes.source });
    this.backup = new Stage({ clusterId: "c-2", storages: 3, partitions: 3, ...shapes.backup });
  }

  /** Both run, and the backup is told that it is one. */
  async open(): Promise<this> {
    await this.source.open();
    await this.backup.open();
    await this.setBackup("shop");
    return this;
  }

  /** An operator's order to the backup, which must be obeyed. */
  async setBackup(of: string): Promise<void> {
    const { answer, error } = await this.order("setBackup", { of });
    assert.ok(answer, error?.message);
  }

  /** Any order to the backup. */
  async order<N extends "setBackup" | "truncate" | "status" | "pack">(
    name: N,
    body: Body<N>,
    stage: Stage = this.backup,
  ): Promise<Reply<N>> {
    this.#operators += 1;
    const reply = await new OperatorHand(stage, `op${this.#operators}`).begin(name, body);
    await this.settle();
    return reply;
  }

  /** Lets both move until nothing does. */
  async settle(): Promise<void> {
    for (let still = 0; still < 3;) {
      const moved = [await this.source.run(), await this.backup.run()];
      still = moved.includes(true) ? 0 : still + 1;
    }
  }

  /** Lets time go by in both, in small steps, so that each hears of the other in time. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += FOLLOW_AGAIN_MS / 2) {
      await this.source.pass(FOLLOW_AGAIN_MS / 2);
      await this.backup.pass(FOLLOW_AGAIN_MS / 2);
      await this.settle();
    }
  }

  /** Starts a follower. */
  async startFollower(name: string = "f1", of: string = "shop"): Promise<Following> {
    const here = this.backup.startClient(name);
    const there = this.source.startClient(name);
    for (const { connected } of [here, there]) connected.catch(() => undefined); // it may not be there
    const end = new AbortController();
    let progress: FollowProgress | undefined;
    const onProgress = (said: FollowProgress): void => {
      progress = said;
      this.#said = said;
    };
    follow(here.client, there.client, { of, signal: end.signal, onProgress }).catch((error) => {
      if (!end.signal.aborted) progress = { ...progress!, problem: `ended: ${error}` };
    });
    await this.settle();
    return {
      get progress() {
        return progress;
      },
      get hasCopied() {
        return progress !== undefined;
      },
      of: { source: there.client, backup: here.client },
      kill() {
        here.actor.kill();
        there.actor.kill();
        end.abort();
      },
    };
  }

  /** Lets time go by until the backup has this, or all of the source. */
  async caughtUp(tid?: Tid): Promise<void> {
    const wanted = tid ?? this.source.master.machine.view.lastTid;
    for (let tries = 0; tries < 100; tries++) {
      await this.settle();
      if (this.backup.master.machine.view.lastTid >= wanted) return;
      await this.pass(FOLLOW_AGAIN_MS);
    }
    const { lastTid, phase, table } = this.backup.master.machine.view;
    assert.fail(
      `the backup, ${phase} with ${table}, has come to ${lastTid}, not to ${wanted}: ${this.#said?.problem}`,
    );
  }

  /** Asserts that both have the same history, and the backup's copies too; gives how many transactions there are. */
  async assertEqual(): Promise<number> {
    const [there, here] = [await historyOf(this.source), await historyOf(this.backup)];
    assert.deepEqual(here, there);
    await assertCopiesEqual(this.backup);
    return there.length;
  }
}

let readers = 0;

/** Everything that a cluster has, as a client of it reads it. */
export async function historyOf(stage: Stage): Promise<TransactionRecord[]> {
  const client = await stage.connect(`reader${readers++}`);
  const all = async (): Promise<TransactionRecord[]> => {
    const found: TransactionRecord[] = [];
    for await (const one of client.records()) found.push(one);
    return found;
  };
  const found = await stage.finish(all());
  await stage.finish(client.close());
  return found;
}

/** Asserts that the readable copies of each partition are the same. */
export async function assertCopiesEqual(stage: Stage): Promise<void> {
  const client = await stage.connect(`reader${readers++}`);
  const upTo = stage.master.machine.view.lastTid as Tid;
  for (let partition = 0; partition < stage.shape.partitions; partition++) {
    const all = await stage.finish(client.call("digests", { partition: asPartition(partition), upTo }));
    assert.equal(all.length, stage.shape.replicas + 1, `copies of partition ${partition}`);
    for (const { digest, count } of all) {
      assert.deepEqual({ digest, count }, { digest: all[0]!.digest, count: all[0]!.count });
    }
  }
  await stage.finish(client.close());
}
