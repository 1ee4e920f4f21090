/** Reference 16.2, scenarios 045 to 050, and what hazards say of masters: three of them, on the simulator's network and clocks. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CLOCK_SKEW_MS } from "../../core/limits.ts";
import { dateOfTid } from "../../core/tid.ts";
import { helloOf } from "../../roles/hello.ts";
import type { MemberMachine } from "../../roles/master/member.ts";
import { Masters } from "./masters_kit.ts";

const names = ["m1", "m2", "m3"];

test("16.2/045 a master that is frozen at the start doesn't hold up the others, and isn't a second primary (X1, T7)", () => {
  const masters = new Masters();
  const frozen = masters.member("m1");
  frozen.start();
  frozen.pause(masters.cluster.world.nowMs + 20_000);
  masters.start();
  const { name } = masters.primary!;
  assert.notEqual(name, "m1");
  masters.commit();
  const { epoch } = masters;

  masters.pass(40_000);

  assert.deepEqual(masters.primaries.map((member) => member.name), [name]);
  assert.equal(masters.epoch, epoch);
  assert.ok(masters.commit() > 0n);
});

test("16.2/046 a master that isn't the primary stops and returns: nothing changes (X1)", () => {
  const masters = new Masters().start();
  const { name } = masters.primary!;
  masters.commit();
  const { epoch } = masters;
  const other = masters.cluster.masters.find((member) => member.name !== name)!;
  masters.until("it is there", () => other.isUp);

  other.terminate();
  masters.pass(10_000);
  assert.ok(!other.isUp);
  masters.commit();
  other.start();
  masters.pass(10_000);

  assert.deepEqual([masters.primary!.name, masters.epoch], [name, epoch]);
  masters.until(
    "it has the log",
    () =>
      (other.machine as MemberMachine).part.commit
        === (masters.primary!.machine as MemberMachine).part.commit,
  );
});

test("16.2/047 the primary stops: another is the primary, and the cluster runs again by itself (X1, T36)", () => {
  const masters = new Masters().start();
  const old = masters.primary!;
  const before = masters.commit();
  const { epoch } = masters;

  old.terminate();
  masters.until("it has ended", () => !old.isUp);
  const from = masters.cluster.world.nowMs;
  const after = masters.commit();

  assert.ok(after > before);
  assert.ok(masters.epoch > epoch);
  assert.notEqual(masters.primary!.name, old.name);
  assert.ok(masters.cluster.world.nowMs - from < 3_000, "a closed socket is known at once");
});

test("16.2/049, B7 a master whose disk isn't in the roster is turned away, and gets no vote", () => {
  const masters = new Masters().start();
  const machine = masters.primary!.machine as MemberMachine;
  const { clusterId, cluster } = machine.hello();
  const name = names.find((one) => one !== masters.primary!.name)!;
  const stranger = helloOf({ role: "master", name, clusterId, cluster, diskId: "another disk" });
  const conn = 999_999 as never;
  const now = { monoMs: masters.cluster.world.nowMs, wallMs: 0 };
  const effects = machine.step({ type: "identified", conn, hello: stranger, incoming: true }, now);
  const rejects = effects.flatMap((effect) => effect.do === "reject" ? [effect.error] : []);
  assert.equal(rejects[0]?.code, "unknownNode");
  assert.match(
    rejects[0]?.message ?? "",
    /Cannot take "m\d" for a master: disk another disk isn't in the roster/,
  );

  const body = { term: 99, lastIndex: 999, lastTerm: 98, trial: false };
  const message = { name: "canvass", body } as const;
  assert.deepEqual(machine.step({ type: "told", conn, message }, now), []);
});

test("16.2/050, B8 masters that don't see each other don't make two clusters: a minority opens nothing (X1)", () => {
  const masters = new Masters();
  const alone = masters.member("m1");
  const [storage] = masters.cluster.storages;
  masters.cut(alone, ["m2", "m3"]);
  for (const name of ["m2", "m3"]) masters.cut(masters.member(name), [storage!.name]); // each side has a storage
  masters.cluster.start();
  masters.pass(30_000);

  assert.equal(masters.viewOf(alone), undefined, "one of three is nobody");
  masters.cluster.network.heal();
  masters.until(
    "the cluster runs",
    () => masters.primary !== undefined && masters.viewOf(masters.primary)?.phase === "running",
  );
  masters.commit();
  assert.equal(masters.primaries.length, 1);
});

test("B5, B6, B4 a primary that is cut off from the others answers no sync and commits nothing; they go on (X1)", () => {
  const masters = new Masters().start();
  const old = masters.primary!;
  masters.commit(0, 1n);
  masters.commit(1, 2n);
  // the first client and one storage stay with the old primary, the rest is with the others
  masters.cut(old, [...names, "s2", "c2", "a1"]);
  for (const name of names) if (name !== old.name) masters.cut(masters.member(name), ["c1"]);
  const stale = masters.sync(0);
  const lost = masters.begin(masters.client(0), masters.write(1n));
  const before = masters.cluster.world.nowMs;
  const newest = masters.commit(1, 2n);
  const tookMs = masters.cluster.world.nowMs - before;

  assert.equal(stale(), undefined, "nobody else can say that it is the newest");
  assert.equal(lost(), undefined, "no majority, no commit");
  assert.ok(tookMs < 15_000, `silence is noticed: ${tookMs} ms`);
  assert.equal(masters.viewOf(old), undefined, "it has stepped down by itself");

  masters.cluster.network.heal();
  const synced = masters.ended("the sync is answered", stale);
  assert.ok(synced.ok && synced.result.lastTid >= newest);
  masters.until("one primary", () => masters.primaries.length === 1);
  masters.ended("the commit has an end", lost);
});

test("B14 a primary's clock that jumps a day ahead: tids keep the time of the others (T52)", () => {
  const masters = new Masters().start();
  const before = dateOfTid(masters.commit());
  masters.pass(1_000);

  masters.primary!.jump(86_400_000);
  const after = dateOfTid(masters.commit());
  assert.ok(after - before < CLOCK_SKEW_MS + 20_000, `${after - before} ms`);

  for (const member of masters.cluster.masters) if (member !== masters.primary) member.jump(86_400_000);
  masters.pass(2_000);
  assert.ok(dateOfTid(masters.commit()) - before > 80_000_000, "a majority is believed");
});

test("T7, B5 a primary that sleeps for less than an election stays what it was; one that sleeps long isn't missed", () => {
  const masters = new Masters().start();
  const { name } = masters.primary!;
  const { epoch } = masters;
  masters.commit();
  for (let i = 0; i < 5; i++) {
    masters.primary!.pause(masters.cluster.world.nowMs + 1_200);
    masters.pass(2_500);
  }
  assert.deepEqual([masters.primary!.name, masters.epoch], [name, epoch]);

  const old = masters.primary!;
  old.pause(masters.cluster.world.nowMs + 30_000);
  masters.commit();
  assert.notEqual(masters.primary!.name, name);
  masters.pass(60_000);
  assert.equal(masters.primaries.length, 1);
  assert.notEqual(masters.primary!.name, name, "it has heard of the other before it judged");
});

test("T11 who comes while there is no primary waits or is told what is missing, and is served by the next one", () => {
  const masters = new Masters();
  for (const storage of masters.cluster.storages) storage.start();
  masters.client(0).node.start();
  masters.member("m3").start();
  masters.pass(3_000);
  const { waitingFor } = masters.member("m3").machine as MemberMachine;
  assert.equal(waitingFor, "a majority of 3 masters: m1, m2 aren't there");
  const outcome = masters.begin(masters.client(0), masters.write(1n));
  masters.pass(3_000);
  assert.equal(outcome(), undefined);

  masters.member("m1").start();
  assert.ok(masters.ended("the commit", outcome).ok);
});
