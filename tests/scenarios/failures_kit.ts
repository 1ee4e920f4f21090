/** What the failures of a commit share: one transaction over two partitions, and a look at what became of it everywhere. */
import assert from "node:assert/strict";
import type { Tid } from "../../core/ids.ts";
import { sessionOf, ZERO_TID } from "../../core/ids.ts";
import { PAGE_TRANSACTIONS } from "../../core/limits.ts";
import type { TransactionInfo } from "../../core/messages.ts";
import type { CallOptions } from "../../roles/client/caller.ts";
import type { Client } from "../../roles/client/library.ts";
import { Stage } from "../hazards/kit.ts";
import type { StageShape } from "../hazards/kit.ts";
import { readersOf, storedAt } from "../hazards/looks.ts";
import { bytesOf, oidAt, textOf } from "../hazards/words.ts";
import { commitTexts, connectWarm } from "./kit.ts";
import type { Scene } from "./kit.ts";

export { readersOf, storedAt };

/** One object in each of two partitions; the first one's is home. */
export const PAIR = [oidAt(4), oidAt(5)] as const;

/** Two copies of two partitions. */
export const COPIES: StageShape = { storages: 2, replicas: 1, partitions: 2 };
/** Partition 0 on s1, partition 1 on s2, and nowhere else. */
export const SINGLE: StageShape = { storages: 2, replicas: 0, partitions: 2 };

/** A cluster with "old" in both objects, the client that is about to write them, and another one. */
export interface Play {
  readonly stage: Stage;
  readonly writer: Scene;
  readonly other: Scene;
}

export async function opened(shape: StageShape = COPIES): Promise<Play> {
  const stage = await new Stage(shape).open();
  const [writer, other] = [await connectWarm(stage, "c1"), await connectWarm(stage, "c2")];
  await commitTexts(stage, other, PAIR.map((oid) => [oid, "old"]));
  return { stage, writer, other };
}

/** A commit that is under way, and its end once it has come. */
export interface Try {
  tid?: Tid;
  error?: { readonly code?: string; readonly message: string };
}

/** Begins to commit "new" in both objects. Nothing has been sent yet; `before` runs when only that is left to do. */
export async function trying(
  { stage, writer }: Play,
  { before, ...options }: CallOptions & { readonly before?: () => void } = {},
): Promise<Try> {
  const tx = await stage.finish(writer.client.begin());
  for (const oid of PAIR) {
    await stage.finish(tx.load(oid));
    tx.store(oid, bytesOf("new"));
  }
  tx.note({ description: "the one" });
  before?.();
  const result: Try = {};
  tx.commit(options).then((tid) => (result.tid = tid), (error) => (result.error = error));
  return result;
}

/** Both objects say this in each readable copy, and to a client. */
export async function assertText(stage: Stage, client: Client, text: string): Promise<void> {
  for (const [partition, oid] of PAIR.entries()) {
    const readers = readersOf(stage, partition);
    assert.ok(readers.length > 0, "somebody can be asked");
    for (const name of readers) assert.equal(storedAt(stage, name, oid), text, `object ${oid} of ${name}`);
  }
  const snapshot = await stage.finish(client.snapshot());
  for (const oid of PAIR) assert.equal(textOf((await stage.finish(snapshot.load(oid)))?.data), text);
}

/** No lock, no temporary row, nothing that waits anywhere. */
export function assertQuiet(stage: Stage): void {
  assert.equal(stage.problems, undefined, "nobody has ended by itself");
  assert.equal(stage.master.machine.view.pending, 0, "at the primary");
  for (const name of stage.names) {
    const { machine, killed } = stage.storage(name);
    const { phase, transactions, parked, reads } = machine.load;
    if (killed || phase !== "serving") continue;
    assert.deepEqual({ transactions, parked, reads }, { transactions: 0, parked: 0, reads: 0 }, name);
  }
}

/** All transactions, as a client reads them. */
export async function history(stage: Stage, client: Client): Promise<TransactionInfo[]> {
  const found: TransactionInfo[] = [];
  const last = await stage.finish(client.sync());
  for (let after: Tid = ZERO_TID; after < last;) {
    const page = await stage.finish(
      client.call("transactions", { after, upTo: last, count: PAGE_TRANSACTIONS }),
    );
    found.push(...page.transactions);
    after = page.upTo;
  }
  return found;
}

/** How many transactions the attempt has become: nothing may be done twice. */
export async function timesCommitted(stage: Stage, client: Client): Promise<number> {
  return (await history(stage, client)).filter(({ description }) => textOf(description) === "the one").length;
}

/** Somebody else writes the same objects, at once: nothing stands in its way. */
export async function writeOver(
  stage: Stage,
  scene: Pick<Scene, "client">,
  text: string = "over",
): Promise<void> {
  await commitTexts(stage, scene, PAIR.map((oid) => [oid, text]));
  await assertText(stage, scene.client, text);
  assertQuiet(stage);
}

/** Client sessions whose transactions a storage that is down would find, and which aren't final. */
export function heldOn(stage: Stage, name: string): number[] {
  const disk = stage.disk(name).open();
  try {
    return disk.state.held.map(({ ttid }) => sessionOf(ttid));
  } finally {
    void disk.close();
  }
}
