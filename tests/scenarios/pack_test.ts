/** Packs: history goes, nothing that anybody reads does (T13; scenarios 16.6). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type DatabaseError, PackedError, UndoError } from "../../core/errors.ts";
import type { Oid, Tid } from "../../core/ids.ts";
import { MAX_TID, toTid, ZERO_TID } from "../../core/ids.ts";
import { PACK_ASK_MS, PACK_QUIET_MS, STARTUP_GRACE_MS } from "../../core/limits.ts";
import type { DatabaseAnswers, DatabaseWrite } from "../../core/ports.ts";
import { Stage } from "../hazards/kit.ts";
import type { StageShape } from "../hazards/kit.ts";
import type { Reply } from "../hazards/puppet.ts";
import { bytesOf, oidAt, textOf } from "../hazards/words.ts";
import { asPartition } from "../machines.ts";
import { assertSound, OperatorHand } from "./damage_kit.ts";
import { commitTexts, connectCaching } from "./kit.ts";
import type { Scene } from "./kit.ts";

const [X, Y, Z] = [oidAt(1), oidAt(2), oidAt(3)];
/** Long enough for a pack of what a test has. */
const PACKED_MS = 2_000;

/** A cluster, a client, an operator, and five transactions: X in all, Y in the first and third, Z made and deleted. */
async function history(shape: StageShape = {}) {
  const stage = await new Stage({ storages: 2, replicas: 1, partitions: 2, ...shape }).open();
  const scene = await connectCaching(stage, "c1", 0);
  const operator = new OperatorHand(stage);
  const tids = [
    await commitTexts(stage, scene, [[X, "x1"], [Y, "y1"], [Z, "z1"]]),
    await commitTexts(stage, scene, [[X, "x2"]]),
    await commitTexts(stage, scene, [[X, "x3"], [Y, "y3"]]),
  ];
  const tx = await stage.finish(scene.client.begin());
  await stage.finish(tx.load(Z));
  await stage.finish(tx.load(X));
  tx.delete(Z);
  tx.store(X, bytesOf("x4"));
  tids.push(await stage.finish(tx.commit()));
  tids.push(await commitTexts(stage, scene, [[X, "x5"]]));
  return { stage, scene, operator, tids };
}

/** What a snapshot shows, or that it is packed. */
async function shown(stage: Stage, { client }: Pick<Scene, "client">, oid: Oid, at?: Tid): Promise<string> {
  try {
    const snapshot = await stage.finish(client.snapshot(at === undefined ? {} : { at }));
    const found = await stage.finish(snapshot.load(oid).then((one) => one, (error) => error));
    snapshot.close();
    if (found instanceof Error) throw found;
    return textOf(found?.data) ?? "nothing";
  } catch (error) {
    if (error instanceof PackedError) return "packed";
    throw error;
  }
}

/** Revisions that are on a storage's disk, as oid@tid, where tids are counted from 1. */
function revisionsOn(stage: Stage, name: string, tids: readonly Tid[]): string[] {
  const all: string[] = [];
  for (let partition = 0; partition < stage.shape.partitions; partition++) {
    const query = { partition: asPartition(partition), upTo: MAX_TID, rowsMax: 1_000, bytesMax: 2 ** 30 };
    const after = { tid: ZERO_TID, oid: null };
    const { revisions } = stage.storage(name).store.read({
      read: "rows",
      after,
      ...query,
    }) as DatabaseAnswers["rows"];
    all.push(...revisions.map(({ oid, tid }) => `${oid}@${tids.indexOf(tid) + 1}`));
  }
  return all.sort();
}

async function refusalOf(stage: Stage, reply: Promise<Reply<"pack">>): Promise<string> {
  const told = await reply;
  await stage.run();
  return told.error?.message ?? "it isn't refused";
}

const LEFT = [`${X}@3`, `${X}@4`, `${X}@5`, `${Y}@3`, `${Z}@1`, `${Z}@4`].sort();

test("T13 a pack takes what no snapshot at its bound or above shows, on all copies, and nothing else", async () => {
  const { stage, scene, operator, tids } = await history();
  const before = [];
  for (const at of tids.slice(2)) {
    for (const oid of [X, Y, Z]) before.push(await shown(stage, scene, oid, at));
  }
  assert.equal((await operator.ask("status", {})).pack, null);

  assert.deepEqual(await operator.ask("pack", { tid: tids[2]!, dryRun: false }), {
    tid: tids[2]!,
    before: ZERO_TID,
  });
  await stage.pass(PACKED_MS);
  assert.deepEqual((await operator.ask("status", {})).pack, { bound: tids[2]!, packing: [] });
  for (const name of stage.names) assert.deepEqual(revisionsOn(stage, name, tids), LEFT);
  assertSound(stage);
  const after = [];
  for (const at of tids.slice(2)) for (const oid of [X, Y, Z]) after.push(await shown(stage, scene, oid, at));
  assert.deepEqual(after, before);
  assert.equal(await shown(stage, scene, X, tids[1]!), "packed");

  // it is packed already: nothing is done; a later bound takes more, also what was deleted
  assert.deepEqual(await operator.ask("pack", { tid: tids[1]!, dryRun: false }), {
    tid: tids[2]!,
    before: tids[2]!,
  });
  await operator.ask("pack", { tid: tids[4]!, dryRun: false });
  await stage.pass(PACKED_MS);
  for (const name of stage.names) {
    assert.deepEqual(revisionsOn(stage, name, tids), [`${X}@5`, `${Y}@3`, `${Z}@4`]);
  }
  const listed = await stage.finish(Array.fromAsync(scene.client.transactions()));
  assert.deepEqual(listed.map(({ tid }) => tid), tids, "transactions stay");
});

test("T13 commits go on while history goes, and a deleted object is made again", async () => {
  const { stage, scene, operator, tids } = await history();
  await operator.ask("pack", { tid: tids[4]!, dryRun: false });
  await commitTexts(stage, scene, [[X, "x6"], [Z, "z6"]]);
  await stage.pass(PACKED_MS);
  assert.deepEqual([await shown(stage, scene, X), await shown(stage, scene, Z)], ["x6", "z6"]);
  assertSound(stage);
});

test("T13 a dry run says that it could, and changes nothing", async () => {
  const { stage, scene, operator, tids } = await history();
  await operator.ask("pack", { tid: tids[2]!, dryRun: true });
  await stage.pass(PACKED_MS);
  assert.equal((await operator.ask("status", {})).pack, null);
  assert.equal(await shown(stage, scene, X, tids[0]!), "x1");
});

test("T13 a bound above the last tid is refused, at the last tid nothing that is current goes (167)", async () => {
  const { stage, scene, operator, tids } = await history();
  const beyond = toTid(tids[4]! + 1n);
  assert.match(
    await refusalOf(stage, operator.begin("pack", { tid: beyond, dryRun: false })),
    /the last tid is/,
  );
  await operator.ask("pack", { tid: tids[4]!, dryRun: false });
  assert.equal(await shown(stage, scene, X), "x5");
});

test("J1 what is open below the bound keeps it, by whatever client, and the operator hears whose it is", async () => {
  const { stage, scene, operator, tids } = await history();
  const other = await connectCaching(stage, "c2", 0);
  const old = await stage.finish(other.client.snapshot({ at: tids[1]! }));
  const refused = await refusalOf(stage, operator.begin("pack", { tid: tids[2]!, dryRun: false }));
  assert.match(refused, /client c2 \(session \d+\) reads a snapshot of /);
  await stage.pass(PACKED_MS);
  assert.equal(textOf((await stage.finish(Promise.resolve(old.load(X))))?.data), "x2");
  assert.equal(await shown(stage, scene, X, tids[0]!), "x1", "whoever was asked may open it again");

  await operator.ask("pack", { tid: tids[1]!, dryRun: false });
  assert.equal(
    textOf((await stage.finish(Promise.resolve(old.load(X))))?.data),
    "x2",
    "at its bound all is there",
  );
  old.close();
  await operator.ask("pack", { tid: tids[2]!, dryRun: false });
});

test("J1 a transaction that is under way keeps what it has begun on", async () => {
  const { stage, scene, operator, tids } = await history();
  const tx = await stage.finish(scene.client.begin());
  const later = await commitTexts(stage, scene, [[Y, "y6"]]);
  assert.match(await refusalOf(stage, operator.begin("pack", { tid: later, dryRun: false })), /client c1/);
  assert.equal(textOf((await stage.finish(Promise.resolve(tx.load(Y))))?.data), "y3");
  tx.abort();
  await operator.ask("pack", { tid: later, dryRun: false });
  assert.equal(tids.length, 5);
});

test("J1 from the moment in which a client was asked it opens nothing below the bound; a fresh snapshot is at the bound or above", async () => {
  const { stage, scene, operator, tids } = await history();
  await connectCaching(stage, "c2", 0);
  stage.wires.hold("m1", "c2");
  const reply = await operator.begin("pack", { tid: tids[4]!, dryRun: false });
  await stage.run();
  assert.equal(reply.answer, undefined, "c2 hasn't said anything");
  assert.equal(await shown(stage, scene, X, tids[3]!), "packed", "c1 has");
  assert.equal(await shown(stage, scene, X), "x5");
  stage.wires.free("m1", "c2");
  await stage.run();
  assert.ok(reply.answer);
});

test("J1 a client that doesn't say what it has open holds a pack up for a while, and is named; one that goes doesn't", async () => {
  const { stage, operator, tids } = await history();
  const silent = await connectCaching(stage, "c2", 0);
  await stage.finish(silent.client.snapshot({ at: tids[0]! }));
  stage.wires.hold("c2", "m1");
  const reply = await operator.begin("pack", { tid: tids[2]!, dryRun: false });
  await stage.run();
  assert.deepEqual([reply.answer, reply.error], [undefined, undefined]);
  const second = await operator.begin("pack", { tid: tids[2]!, dryRun: false });
  await stage.run();
  assert.match(second.error!.message, /another pack is being decided/);
  await stage.pass(PACK_ASK_MS);
  assert.match(reply.error!.message, /client c2 \(session \d+\) doesn't say in time/);

  stage.wires.free("c2", "m1");
  stage.wires.hold("m1", "c2");
  const third = await operator.begin("pack", { tid: tids[2]!, dryRun: false });
  await stage.run();
  assert.equal(third.answer, undefined);
  silent.actor.kill();
  await stage.run();
  assert.ok(third.answer);
});

test("J1 a client that is let in while others are asked is asked too", async () => {
  const { stage, operator, tids } = await history();
  await connectCaching(stage, "c2", 0);
  stage.wires.hold("c2", "m1");
  const reply = await operator.begin("pack", { tid: tids[2]!, dryRun: false });
  await stage.run();
  const late = await connectCaching(stage, "c3", 0);
  assert.equal(await shown(stage, late, X, tids[1]!), "packed");
  stage.wires.hold("c3", "m1");
  stage.wires.free("c2", "m1");
  await stage.run();
  assert.ok(reply.answer, "c3 has said that nothing is open");
});

test("J1 for a while after a recovery there is no pack: who was there before may come back", async () => {
  const { stage, scene, tids } = await history();
  const old = await stage.finish(scene.client.snapshot({ at: tids[1]! }));
  stage.master.kill();
  stage.startMaster();
  await stage.pass(STARTUP_GRACE_MS);
  const operator = new OperatorHand(stage, "op2");
  const order = { tid: tids[2]!, dryRun: false };
  assert.match(
    await refusalOf(stage, operator.begin("pack", order)),
    /recovered just now.*try again in \d+ s/,
  );
  assert.equal(textOf((await stage.finish(Promise.resolve(old.load(X))))?.data), "x2");
  await stage.pass(PACK_QUIET_MS);
  assert.match(
    await refusalOf(stage, operator.begin("pack", order)),
    /client c1/,
    "it is back, with what it has open",
  );
  old.close();
  await operator.ask("pack", order);
});

test("J1 a transaction of a client that was away while history was packed runs again, on a snapshot that shows all", async () => {
  const { stage, scene, operator, tids } = await history();
  const away = await connectCaching(stage, "c2", 0);
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const seen: (string | undefined)[] = [];
  const done = away.client.transact(async (tx) => {
    if (seen.length === 0) await gate;
    seen.push(undefined);
    seen[seen.length - 1] = textOf((await tx.load(Y))?.data);
    tx.store(oidAt(9), bytesOf("done"));
  });
  await stage.run();
  const later = await commitTexts(stage, scene, [[Y, "y6"]]);
  stage.wires.bar("c2", "m1");
  stage.wires.cut("c2", "m1");
  await stage.run();
  await operator.ask("pack", { tid: later, dryRun: false });
  stage.wires.unbar("c2", "m1");
  await stage.pass(5 * PACKED_MS); // it is back
  open();
  await stage.pass(PACKED_MS);
  assert.equal((await stage.finish(done)).attempts, 2);
  assert.deepEqual(seen, [undefined, "y6"]);
  assert.equal(tids.length, 5);
});

test("J1 a recovery ends what is being decided, and a pack that is held goes on behind it", async () => {
  const { stage, scene, operator, tids } = await history();
  stage.wires.hold("m1", "s2");
  await operator.ask("pack", { tid: tids[2]!, dryRun: false });
  stage.master.kill();
  stage.wires.free("m1", "s2");
  stage.startMaster();
  await stage.pass(STARTUP_GRACE_MS + PACKED_MS);
  for (const name of stage.names) assert.deepEqual(revisionsOn(stage, name, tids), LEFT);
  assert.equal(await shown(stage, scene, X, tids[1]!), "packed");
  const again = new OperatorHand(stage, "op2");
  assert.deepEqual((await again.ask("status", {})).pack, { bound: tids[2]!, packing: [] });
});

test("T13 a storage that dies in the middle of its pack goes on with it, and so does one that wasn't there (160)", async () => {
  const { stage, scene, operator, tids } = await history();
  stage.storage("s2").kill();
  await stage.run();
  await operator.ask("pack", { tid: tids[2]!, dryRun: false });
  await stage.until(() => stage.storage("s1").heard.some(({ what }) => what === "told packTo"));
  await commitTexts(stage, scene, [[X, "x6"]]);
  stage.startStorage("s2");
  await stage.pass(PACKED_MS);
  stage.storage("s1").kill();
  stage.startStorage("s1");
  await stage.pass(PACKED_MS);
  assertSound(stage);
  assert.deepEqual((await operator.ask("status", {})).pack, { bound: tids[2]!, packing: [] });
  assert.equal(await shown(stage, scene, X), "x6");
});

/** A cluster in which s2 has the bound and doesn't pack. */
async function halfPacked() {
  const scene = await history();
  const { stage, operator, tids } = scene;
  const changes = [{ scope: "node:s2", key: "storage.packRowsPerS", value: "0" }];
  await operator.ask("changeConfig", { author: "", reason: "", base: null, changes });
  await operator.ask("pack", { tid: tids[2]!, dryRun: false });
  await stage.pass(PACKED_MS);
  return scene;
}

test("J2 whether a copy is packed already or not, below the bound it says packed and never that nothing was there (166)", async () => {
  const { stage, scene, operator, tids } = await halfPacked();
  assert.deepEqual(revisionsOn(stage, "s1", tids), LEFT);
  assert.equal(revisionsOn(stage, "s2", tids).length, 9, "s2 waits");
  assert.deepEqual((await operator.ask("status", {})).pack, { bound: tids[2]!, packing: ["s2"] });
  for (const dead of ["s1", "s2"]) {
    stage.storage(dead).kill();
    await stage.run();
    const load = (oid: Oid, tid: Tid): Promise<string | undefined> => {
      const found = scene.client.loadExact(oid, tid);
      return stage.finish(found.then((one) => textOf(one?.data), (error: DatabaseError) => error.code));
    };
    const texts = [
      await load(X, tids[0]!),
      await load(Y, tids[1]!),
      await load(Y, tids[2]!),
      await load(Z, tids[0]!),
    ];
    assert.deepEqual(texts, ["packed", "packed", "y3", "z1"]);
    assert.equal(await load(oidAt(9), tids[0]!), undefined, "what never was isn't called packed");
    stage.startStorage(dead);
    await stage.pass(PACKED_MS);
  }
  const changes = [{ scope: "node:s2", key: "storage.packRowsPerS", value: "1000" }];
  await operator.ask("changeConfig", { author: "", reason: "", base: null, changes });
  await stage.pass(PACKED_MS);
  assert.deepEqual(revisionsOn(stage, "s2", tids), LEFT, "it packs by itself, at once (T51)");
});

test("J2 copies that have packed differently far are compared, and copied, as they are behind the bound", async () => {
  const { stage, operator, tids } = await halfPacked();
  const all = { first: asPartition(0), count: 2, from: "", repair: false };
  const { cells } = await operator.ask("verifyTable", all);
  assert.deepEqual([...new Set(cells.map(({ state }) => state))], ["equal"]);
  // a copy of the one that waits, and one of the one that is done
  for (const [name, dead] of [["s3", "s1"], ["s4", "s2"]] as const) {
    stage.startStorage(name, { newDisk: `disk-${name}` });
    await stage.run();
    await operator.ask("addNode", { name, weight: 1, path: [], replaces: "" });
    await stage.pass(PACKED_MS);
    stage.storage(dead).kill();
    await stage.run();
    await operator.ask("setReplicas", { replicas: name === "s3" ? 2 : 3 });
    await operator.ask("tweak", { ignored: [dead], dryRun: false });
    await stage.pass(PACKED_MS);
    assert.deepEqual(revisionsOn(stage, name, tids), LEFT, `${name}: what was packed doesn't come back`);
    stage.startStorage(dead);
    await stage.pass(PACKED_MS);
  }
});

test("J2 a copy that learns of a pack from its source takes the bound over, and begins again", async () => {
  const { stage, scene, operator, tids } = await history();
  stage.storage("s2").kill();
  await stage.run();
  await commitTexts(stage, scene, [[X, "x6"], [Y, "y6"]]);
  stage.startStorage("s2");
  stage.wires.hold("s2", "s1");
  await stage.pass(PACKED_MS);
  stage.wires.hold("m1", "s2");
  await operator.ask("pack", { tid: tids[2]!, dryRun: false });
  stage.wires.free("s2", "s1");
  await stage.pass(PACKED_MS);
  const saved = stage.actor("s2").heard.flatMap(({ what, effects }) =>
    effects.some((effect) => effect.do === "save" && (effect.write as DatabaseWrite).op === "packBound")
      ? [what]
      : []
  );
  assert.equal(saved.length, 1);
  assert.match(saved[0]!, /^answered (slices|rows)$/);
  stage.wires.free("m1", "s2");
  await stage.pass(PACKED_MS);
  assertSound(stage);
  assert.deepEqual((await operator.ask("status", {})).pack, { bound: tids[2]!, packing: [] });
});

test("T13 no truncation goes below the bound; at the bound it does (161)", async () => {
  const { stage, scene, operator, tids } = await history();
  await operator.ask("pack", { tid: tids[2]!, dryRun: false });
  await stage.pass(PACKED_MS);
  const told = await operator.begin("truncate", { tid: tids[1]! });
  await stage.run();
  assert.match(told.error!.message, /history is packed up to/);
  await operator.ask("truncate", { tid: tids[2]! });
  await stage.pass(STARTUP_GRACE_MS);
  assert.equal(await shown(stage, scene, X), "x3");
  assertSound(stage);
});

test("T13 no truncation passes a pack that is proposed: one would take what is below the bound, the other what is above (161)", async () => {
  const { stage, scene, operator, tids } = await history();
  stage.consensus.lags = true;
  const reply = await operator.begin("pack", { tid: tids[3]!, dryRun: false });
  await stage.run();
  assert.equal(reply.answer, undefined, "it isn't held yet");
  const told = await operator.begin("truncate", { tid: tids[0]! });
  await stage.run();
  stage.consensus.lags = false;
  stage.master.post({ type: "saved" });
  await stage.run();
  assert.match(told.error?.message ?? "it was accepted", /history is packed up to/);
  assert.ok(reply.answer);
  await stage.pass(PACKED_MS);
  assert.equal(await shown(stage, scene, X), "x5");
  assertSound(stage);
});

test("J1 no pack begins while another one is proposed: what clients hear of the first would undo what they agree to for the second", async () => {
  const { stage, scene, operator, tids } = await history();
  await connectCaching(stage, "c2", 0);
  stage.consensus.lags = true;
  const first = await operator.begin("pack", { tid: tids[1]!, dryRun: false });
  await stage.run();
  stage.wires.hold("c2", "m1");
  const second = await operator.begin("pack", { tid: tids[4]!, dryRun: false });
  await stage.run();
  stage.consensus.lags = false;
  stage.master.post({ type: "saved" });
  await stage.run();
  assert.ok(first.answer);
  const open = await stage.finish(scene.client.snapshot({ at: tids[2]! }));
  stage.wires.free("c2", "m1");
  await stage.pass(PACKED_MS);
  assert.equal(textOf((await stage.finish(Promise.resolve(open.load(X))))?.data), "x3");
  assert.match(second.error?.message ?? "it isn't refused", /another pack is being decided/);
});

test("T13 N2 what a pack took can't be undone, and says so; what lies above can", async () => {
  const { stage, scene, operator, tids } = await history();
  await operator.ask("pack", { tid: tids[3]!, dryRun: false });
  await stage.pass(PACKED_MS);
  const undo = (tid: Tid) => stage.finish(scene.client.undo(tid).catch((error) => error));
  const refused = await undo(tids[3]!);
  assert.ok(refused instanceof UndoError && refused.reason === "packed", String(refused));
  await undo(tids[4]!);
  assert.equal(await shown(stage, scene, X), "x4");
  const past = await stage.finish(Array.fromAsync(scene.client.history(X)));
  assert.deepEqual(past.map(({ tid }) => tids.indexOf(tid) + 1), [0, 5, 4], "what is left of it");
});

test("T13 an export of what was packed has what is left, and no pack passes it", async () => {
  const { stage, scene, operator, tids } = await history();
  const records = scene.client.records();
  const first = await stage.finish(records.next());
  assert.equal(first.value?.tid, tids[0]);
  assert.match(await refusalOf(stage, operator.begin("pack", { tid: tids[2]!, dryRun: false })), /client c1/);
  await stage.finish(records.return(undefined));
  await operator.ask("pack", { tid: tids[2]!, dryRun: false });
  const all = await stage.finish(Array.fromAsync(scene.client.records()));
  assert.deepEqual(all.map(({ records }) => records.map(({ oid }) => oid)), [[Z], [], [X, Y], [Z, X], [X]]);
});
