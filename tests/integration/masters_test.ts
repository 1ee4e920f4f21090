/** Three masters as processes: their primary is killed, stopped by a signal and slowed down, under load. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import process from "node:process";
import { CliCluster, testWith, within } from "./kit.ts";
import { Load } from "./load.ts";

const signals = { met: process.platform !== "win32", reason: "it stops processes by a signal" };
const SHAPE = { masters: 3, storages: 2, replicas: 1, partitions: 12 };

/** Which master is the primary, as the cluster itself says. */
async function primaryOf(cluster: CliCluster): Promise<{ name: string; epoch: number; summary: string }> {
  const { stdout } = await cluster.neo("status", "--json", "--wait", "30");
  const { primary, epoch } = JSON.parse(stdout);
  return { name: primary, epoch, summary: stdout };
}

/** Waits until the cluster says that nothing is missing. */
function healthy(cluster: CliCluster): Promise<void> {
  const look = async (): Promise<void> => {
    const { stdout } = await cluster.neo("status", "--wait", "30");
    if (!/^shop: healthy, 3\/3 masters, 2\/2 storages/.test(stdout)) await look();
  };
  return within("a healthy cluster", look());
}

testWith(
  signals,
  "kill -9 of the primary under load: another goes on, nothing acknowledged is lost, no operator (X1, T36)",
  async () => {
    await using cluster = await CliCluster.started(SHAPE);
    const load = await Load.on(cluster);
    const first = await primaryOf(cluster);
    load.run();
    await load.acknowledge(30);

    const from = performance.now();
    await cluster.kill9(first.name);
    await load.acknowledge(load.inFlight + 1);
    process.stderr.write(
      `writing went on ${Math.round(performance.now() - from)} ms after the kill of ${first.name}\n`,
    );
    await load.acknowledge(30);
    const second = await primaryOf(cluster);
    assert.notEqual(second.name, first.name);
    assert.ok(second.epoch > first.epoch);

    await cluster.start(first.name);
    await load.acknowledge(30);
    await load.rest();
    await healthy(cluster);
    await load.check(await cluster.connect());
    await cluster.stop();
  },
);

testWith(
  signals,
  "a primary that is frozen is replaced, and serves nobody when it wakes up (X1, T7, B5, B6)",
  async () => {
    await using cluster = await CliCluster.started(SHAPE);
    const load = await Load.on(cluster);
    const first = await primaryOf(cluster);
    load.run();
    await load.acknowledge(30);

    process.kill(cluster.pid(first.name), "SIGSTOP");
    await load.acknowledge(load.inFlight + 30);
    process.kill(cluster.pid(first.name), "SIGCONT");
    await load.acknowledge(50);
    await load.rest();

    const second = await primaryOf(cluster);
    assert.notEqual(second.name, first.name);
    await healthy(cluster);
    await load.check(await cluster.connect());
  },
);

testWith(
  signals,
  "a minority of masters serves nobody and says what is missing; with the majority it goes on (X1, T36)",
  async () => {
    await using cluster = await CliCluster.started(SHAPE);
    const load = await Load.on(cluster);
    const first = await primaryOf(cluster);
    const others = ["m1", "m2", "m3"].filter((name) => name !== first.name);
    load.run();
    await load.acknowledge(20);

    for (const name of others) process.kill(cluster.pid(name), "SIGSTOP");
    const alone = await within(
      "a status without a primary",
      (async () => {
        for (;;) {
          const { stdout } = await cluster.neo("status", "--json", "--wait", "20");
          const status = JSON.parse(stdout);
          if (status.state === "noPrimary") return status;
        }
      })(),
    );
    assert.match(alone.waitingFor, /^a majority of 3 masters: m\d, m\d aren't there$/);
    for (const name of others) process.kill(cluster.pid(name), "SIGCONT");
    await load.acknowledge(50);
    await load.rest();
    await load.check(await cluster.connect());
  },
);

testWith(
  signals,
  "neo master: a cluster with one gets two more, changes its primary, and loses the first (X1, T36, T52)",
  async () => {
    await using cluster = await CliCluster.started({ storages: 2, replicas: 1, partitions: 12 });
    const load = await Load.on(cluster);
    load.run();
    for (const name of ["m2", "m3"]) {
      const { stdout } = await cluster.ok("master", "add");
      assert.match(stdout, new RegExp(`added master ${name} at .*; it votes`));
      await load.acknowledge(10);
    }
    cluster.reload();
    await healthy(cluster);
    assert.equal((await primaryOf(cluster)).name, "m1");

    const refused = await cluster.neo("master", "remove", "m1", "--yes");
    assert.match(refused.stderr, /Cannot remove m1: it is the primary; `neo master step-down` first/);
    const { stdout } = await cluster.ok("master", "step-down");
    assert.match(stdout, /^shop: m[23] is the primary, in place of m1$/m);
    await load.acknowledge(10);
    const file = cluster.process("m1");
    await cluster.ok("master", "remove", "m1", "--yes");
    await cluster.gone(file);
    await load.acknowledge(10);
    await load.rest();

    const list = JSON.parse((await cluster.ok("master", "list", "--json")).stdout);
    assert.deepEqual(list.masters.map(({ name, votes }: { name: string; votes: boolean }) => [name, votes]), [
      ["m2", true],
      ["m3", true],
    ]);
    assert.deepEqual(load.failures, []);
  },
);

testWith(
  signals,
  "CPU hogs beside a cluster: no master is mistaken for a dead one, and writing goes on (T7)",
  async () => {
    await using cluster = await CliCluster.started(SHAPE);
    const load = await Load.on(cluster);
    const first = await primaryOf(cluster);
    const hogs = Array.from({ length: 6 }, () => spawn("sh", ["-c", "while :; do :; done"]));
    try {
      load.run();
      await load.acknowledge(300);
      await load.rest();
    } finally {
      for (const hog of hogs) hog.kill("SIGKILL");
    }
    const second = await primaryOf(cluster);
    assert.deepEqual([second.name, second.epoch], [first.name, first.epoch]);
    assert.deepEqual(load.failures, []);
  },
);
