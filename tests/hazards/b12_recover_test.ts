/**
 * B12, T39: the masters' log is lost, and the cluster goes on with a table that was found on storages, or with what a master
 * of a minority knew. The nodes are real ones; what `neo cluster recover` reads and writes is read and written here.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "../../adapters/system.ts";
import { PartitionTable } from "../../core/partition_table.ts";
import type { DatabaseAnswers } from "../../core/ports.ts";
import { objection, rebuild, situationOf } from "../../roles/master/lost_masters.ts";
import type { Candidate, Finding, Situation } from "../../roles/master/lost_masters.ts";
import { Metadata } from "../../roles/master/metadata.ts";
import { OperatorHand } from "../scenarios/damage_kit.ts";
import { Stage } from "./kit.ts";
import { storedAt } from "./looks.ts";
import { bytesOf, oidAt, textOf } from "./words.ts";

const [X, Y] = [oidAt(5), oidAt(6)];
const SHAPE = { storages: 2, replicas: 1, partitions: 1 };

type Known = Awaited<ReturnType<Stage["connect"]>>;

/** What a stopped storage knows. */
function storageFinding(stage: Stage, name: string): Finding {
  const disk = stage.disk(name).open();
  const { identity, epoch, image, registry, truncations, packBound } = disk.state;
  const marks = disk.read({ read: "marks" }) as DatabaseAnswers["marks"];
  disk.close();
  return {
    name,
    role: "storage",
    diskId: identity.diskId,
    epoch,
    table: image === null ? undefined : PartitionTable.ofImage(image),
    metadata: registry === null ? undefined : Metadata.ofImage(registry),
    newest: marks.lastTids,
    lastOid: marks.lastOid,
    lastTtid: marks.lastTtid,
    truncations,
    packBound,
  };
}

/** What a master knows that has this log. */
function masterFinding(image: Uint8Array): Finding {
  const metadata = Metadata.ofImage(image);
  const { epoch, table } = metadata;
  const none = { newest: [], lastOid: null, lastTtid: null, truncations: 0, packBound: metadata.packBound };
  return { name: "m2", role: "master", diskId: "disk-m2", epoch, table, metadata, ...none };
}

async function write(stage: Stage, client: Known, text: string, oid: typeof X = X): Promise<void> {
  const tx = await stage.finish(client.begin());
  await stage.finish(tx.load(oid));
  tx.store(oid, bytesOf(text));
  await stage.finish(tx.commit());
}

async function read(stage: Stage, client: Known): Promise<string | undefined> {
  const snapshot = await stage.finish(client.snapshot());
  return textOf((await stage.finish(snapshot.load(X)))?.data);
}

function stop(stage: Stage, ...names: readonly string[]): void {
  for (const name of names) stage.actor(name).kill();
}

/** The cluster goes on as an operator chose. */
async function goOn(stage: Stage, situation: Situation, choice: Candidate): Promise<Metadata> {
  const { metadata } = situation;
  assert.ok(metadata);
  const { image, epoch } = rebuild({ ...situation, metadata }, choice, [
    { name: "m1", address: "m1:1", diskId: "" },
  ]);
  for (const name of stage.names) {
    const disk = stage.disk(name).open();
    disk.apply([{ op: "epoch", epoch }], { durable: true });
    disk.close();
  }
  stage.startMaster({ image });
  for (const name of stage.names) stage.startStorage(name);
  await stage.pass(20_000);
  assert.equal(stage.master.machine.view.phase, "running", stage.problems);
  return Metadata.ofImage(image);
}

/** `one` is on both copies, `two` on s1 only; s2 may not have heard so. Both clients are there still. */
async function parted(hears: boolean): Promise<{ stage: Stage; writer: Known; reader: Known }> {
  const stage = await new Stage(SHAPE).open();
  const writer = await stage.warm("c1");
  const { client: reader, connected } = stage.startClient("c2", { cacheBytes: 100_000 });
  await stage.finish(connected);
  await write(stage, writer, "one");
  if (hears) {
    stage.wires.bar("c1", "s2");
    stage.wires.cut("c1", "s2");
  } else stop(stage, "s2");
  await stage.run();
  await write(stage, writer, "two");
  assert.equal(await read(stage, reader), "two");
  return { stage, writer, reader };
}

test("B12 T39: with the newest table that storages have, nothing acknowledged is lost, and what was given isn't given again", async () => {
  const { stage, reader } = await parted(false);
  stop(stage, "s1", "m1");
  const alone = situationOf([storageFinding(stage, "s2")], sha256);
  assert.match(objection(alone, alone.candidates[0]!, [])!.why, /s1 aren't here, and may know a newer table/);

  const situation = situationOf(stage.names.map((name) => storageFinding(stage, name)), sha256);
  const [newest, older] = situation.candidates;
  assert.deepEqual([newest!.holders, older!.holders], [["s1"], ["s2"]]);
  assert.equal(objection(situation, newest!, []), undefined);
  const before = situation.metadata!;
  const after = await goOn(stage, situation, newest!);

  assert.ok(after.table.generation > before.table.generation && after.epoch > before.epoch);
  assert.ok(after.oidMark > before.oidMark && after.sessionMark > before.sessionMark);
  assert.ok(after.settings.revision > before.settings.revision, "revisions of the configuration go on");
  assert.equal(await read(stage, reader), "two");
  const next = await stage.connect("c3");
  await write(stage, next, "three");
  assert.equal(await read(stage, reader), "three");
  assert.deepEqual(stage.names.map((name) => storedAt(stage, name, X)), ["three", "three"]);
});

for (const isLate of [false, true]) {
  const when = isLate ? "and others have committed before it comes" : "and it comes at once";
  test(`B12 T39: who goes back to an older table loses what that lacks, in clients' caches as well: ${when}`, async () => {
    const { stage, reader } = await parted(false);
    stop(stage, "s1", "m1");
    const situation = situationOf([storageFinding(stage, "s2")], sha256);
    const [choice] = situation.candidates;
    assert.equal(objection(situation, choice!, ["s1"]), undefined, "it was declared lost");
    stage.startStorage("s1", { newDisk: "disk-other" });
    stop(stage, "s1");
    if (isLate) stage.wires.bar("c2", "m1");
    await goOn(stage, situation, choice!);

    const next = await stage.connect("c3");
    assert.equal(await read(stage, next), "one");
    if (isLate) {
      await write(stage, next, "other", Y);
      stage.wires.unbar("c2", "m1");
      await stage.pass(20_000);
    }
    assert.equal(await read(stage, reader), "one", "it had read two, of a cluster that is no more");
  });
}

test("B12 T13: who goes back to before a pack reads what is left: the last tid isn't below its bound", async () => {
  const { stage } = await parted(false);
  const operator = new OperatorHand(stage);
  const { lastTid } = await operator.ask("status", {});
  await operator.ask("pack", { tid: lastTid, dryRun: false });
  const master = masterFinding(stage.consensus.metadata.toImage());
  stop(stage, "s1", "m1");
  const situation = situationOf([master, storageFinding(stage, "s2")], sha256);
  const older = situation.candidates.find(({ holders }) => holders.includes("s2"))!;
  stage.startStorage("s1", { newDisk: "disk-other" });
  stop(stage, "s1");
  assert.equal((await goOn(stage, situation, older)).packBound, lastTid);
  const next = await stage.connect("c3");
  assert.equal(await read(stage, next), "one");
  await write(stage, next, "three");
  assert.equal(await read(stage, next), "three");
});

test("B12 T39: a master of a minority brings the members; the tables that storages have are newer", async () => {
  const { stage } = await parted(true);
  const image = stage.image; // what it held when it was cut off: the first table
  stop(stage, "s1", "s2", "m1");
  const situation = situationOf(
    [masterFinding(image), ...stage.names.map((name) => storageFinding(stage, name))],
    sha256,
  );
  const [newest] = situation.candidates;
  assert.deepEqual(newest!.holders, ["s1", "s2"]);
  const old = situation.candidates.find(({ holders }) => holders.includes("m2"))!;
  assert.notEqual(old.id, newest!.id);
  await goOn(stage, situation, newest!);
  assert.equal(await read(stage, await stage.connect("c3")), "two");
  assert.deepEqual(stage.names.map((name) => storedAt(stage, name, X)), ["two", "two"]);
});
