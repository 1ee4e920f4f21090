/** What peers may send wrongly: each gets its answer, and costs its own connection and nothing else. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import type { Client, Oid } from "../../mod.ts";
import { meets, randomFrame, wrongFrames, wrongHellos } from "./bad_input.ts";
import type { Wrong } from "./bad_input.ts";
import { CliCluster, eventually, testWith } from "./kit.ts";
import { askFrame, helloFrame, isTell, RawPeer, repliesTo } from "./raw_peer.ts";

const ON_LINUX = {
  met: process.platform === "linux",
  reason: "needs /proc, which tells what a process uses",
};
const REPETITIONS = 2_000;
/** Repetitions until a process has seen everything once and has its buffers. */
const WARM_UP = 200;
const RESIDENT_BYTES_MAX = 10 * 2 ** 20;
/**
 * A process that collects all garbage whenever it collects any: else its heap grows by tens of MB before V8 finds that
 * worth the time, with every server that opens and closes connections.
 */
const EAGER = { DENO_V8_FLAGS: "--gc-global,--max-semi-space-size=1" };
/** Connections at a time. */
const AT_ONCE = 4;

/** A client that commits all the while, and whose session must live. */
class Healthy {
  readonly #client: Client;
  readonly #oid: Oid;
  #sessions = 0;
  #value = 0;

  private constructor(client: Client, oid: Oid) {
    this.#client = client;
    this.#oid = oid;
    client.onPublish((_, oids) => this.#sessions += oids === null ? 1 : 0);
  }

  static async on(cluster: CliCluster): Promise<Healthy> {
    const client = await cluster.connect({ name: "healthy" });
    return new Healthy(client, await client.newOid());
  }

  /** Commits once, in the session that it has had from the first. */
  async commits(): Promise<void> {
    const tx = await this.#client.begin();
    await tx.load(this.#oid);
    tx.store(this.#oid, new Uint8Array([this.#value++ & 255]));
    await tx.commit({ withinMs: 10_000 });
    assert.equal(this.#sessions, 0, "the healthy client keeps its session");
  }
}

/** A client's session at the master, from a raw connection that stays: storages take its number. */
async function sessionOn(cluster: CliCluster): Promise<{ session: number; epoch: number; master: RawPeer }> {
  const master = await RawPeer.connect(cluster.node("m1").address);
  master.send(helloFrame());
  const { message } = await master.packet(isTell("welcome"));
  assert.ok(message.name === "welcome");
  return { session: message.body.session, epoch: message.body.epoch, master };
}

for (const name of ["m1", "s1"]) {
  test(`${name}: wrong hellos and frames get their answers, and a healthy client commits on`, async () => {
    await using cluster = await CliCluster.started({ storages: 2, replicas: 1 });
    const healthy = await Healthy.on(cluster);
    const { session, epoch } = await sessionOn(cluster);
    const { role, address } = cluster.node(name);
    const hello = { session, epoch };
    const pids = cluster.nodes().map((node) => cluster.pid(node.name));

    const random = Array.from({ length: 50 }, (_, seed) => randomFrame(seed, hello));
    for (const wrong of [...wrongHellos(role as never, hello), ...wrongFrames(hello), ...random]) {
      await meets(address, wrong);
      await healthy.commits();
    }

    assert.deepEqual(cluster.nodes().map((node) => cluster.pid(node.name)), pids);
    await cluster.ok("status");
  });
}

test("what a peer may not ask is denied, and its connection goes on", async () => {
  await using cluster = await CliCluster.started({ storages: 2, replicas: 1 });
  const healthy = await Healthy.on(cluster);
  const { session, epoch, master } = await sessionOn(cluster);
  const storage = await RawPeer.connect(cluster.node("s1").address);
  storage.send(helloFrame({ session, epoch }));

  const image = new Uint8Array([1, 2, 3]);
  storage.send(askFrame(1, "fence", { epoch: 99, session: 1, node: 1 as never, image }));
  storage.send(askFrame(2, "lock", { epoch, ttid: 1n as never, tid: 1n as never }));
  master.send(askFrame(3, "stop", {}), askFrame(4, "settle", { asks: false, ttid: 1n as never }));

  for (const [peer, id] of [[storage, 1], [storage, 2], [master, 3], [master, 4]] as const) {
    const reply = await peer.packet(repliesTo(id));
    assert.equal(reply.kind === "error" && reply.error.code, "denied", `request ${id}`);
  }
  storage.send(askFrame(5, "ping", {}));
  assert.equal((await storage.packet(repliesTo(5))).kind, "answer");
  await healthy.commits();
});

test("a client without a session is kept waiting by a storage, and told so; one that is over is refused", async () => {
  await using cluster = await CliCluster.started({ storages: 2, replicas: 1 });
  const healthy = await Healthy.on(cluster);
  const { session, epoch, master } = await sessionOn(cluster);
  await master.leave();
  const { address } = cluster.node("s1");
  const next = await sessionOn(cluster); // behind it, the storage knows that the one before is over

  const early = await RawPeer.connect(address);
  early.send(helloFrame({ session: next.session + 500, epoch, patienceMs: 50 }));
  const over = await RawPeer.connect(address);
  over.send(helloFrame({ session, epoch }));

  const refusal = await early.refused();
  assert.equal(refusal?.code, "timedOut");
  assert.match(refusal.message, /waits for the primary's announcement of this client/);
  assert.equal((await over.refused())?.code, "sessionEnded");
  await healthy.commits();
});

testWith(
  ON_LINUX,
  "peers that never speak and peers that never read are dropped, and a healthy client commits on",
  async () => {
    await using cluster = await CliCluster.started({ storages: 2, replicas: 1 });
    const healthy = await Healthy.on(cluster);
    await healthy.commits();
    const addresses = ["m1", "s1"].map((name) => cluster.node(name).address);
    const pids = ["m1", "s1"].map((name) => cluster.pid(name));
    const before = pids.map(descriptors);

    const mute = await Promise.all(addresses.map((address) => RawPeer.connect(address)));
    const deaf = await RawPeer.connect(addresses[0]!);
    deaf.send(helloFrame());
    await deaf.packet(isTell("welcome"));
    deaf.stopReading();
    for (let id = 1; id <= 20_000; id++) deaf.send(askFrame(id, "askTable", {}));

    const ends = mute.map((peer) => peer.refused());
    const isDropped = () => pids.every((pid, index) => descriptors(pid) === before[index]);
    while (!isDropped()) await healthy.commits();

    const told = (await Promise.all(ends)).map((end) => end?.code);
    assert.deepEqual(told, ["timedOut", "timedOut"]);
    deaf.readOn(); // only who reads learns of the end
    await deaf.refused();
    await healthy.commits();
  },
);

/** Resident memory; of it `RssFile` is the runtime's own program, read in as it is used, and `RssAnon` all that is ours. */
function residentBytes(pid: number, kind: "VmRSS" | "RssAnon" = "VmRSS"): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(new RegExp(`${kind}:\\s+(\\d+) kB`).exec(status)![1]) * 1024;
}

function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** Repeats what is wrong, some connections at a time. */
async function repeat(address: string, kinds: readonly Wrong[], count: number): Promise<void> {
  let begun = 0;
  const some = async () => {
    while (begun < count) await meets(address, kinds[begun++ % kinds.length]!);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, some));
}

for (const name of ["m1", "s1"]) {
  testWith(
    ON_LINUX,
    `${name}: ${REPETITIONS} wrong connections leave no memory and no descriptor behind`,
    async () => {
      await using cluster = await CliCluster.started({ storages: 2, replicas: 1, env: EAGER });
      const healthy = await Healthy.on(cluster);
      await healthy.commits();
      const { session, epoch } = await sessionOn(cluster);
      const { role, address } = cluster.node(name);
      const pid = cluster.pid(name);
      const hello = { session, epoch };
      const kinds = [...wrongHellos(role as never, hello), ...wrongFrames(hello), randomFrame(1, hello)];
      const before = descriptors(pid);

      await repeat(address, kinds, WARM_UP);
      await eventually("the end of all connections", () => descriptors(pid) === before);
      const [resident, anonymous] = [residentBytes(pid), residentBytes(pid, "RssAnon")];
      await repeat(address, kinds, REPETITIONS - WARM_UP);
      await eventually("the end of all connections", () => descriptors(pid) === before);

      const grown = residentBytes(pid) - resident;
      const own = residentBytes(pid, "RssAnon") - anonymous;
      const [all, ours] = [grown, own].map((bytes) => (bytes / 2 ** 20).toFixed(1));
      process.stderr.write(`${name}: resident memory ${all} MiB more, ${ours} MiB of them not of a file\n`);
      assert.ok(grown <= RESIDENT_BYTES_MAX, `${grown} bytes more`);
      await healthy.commits();
    },
  );
}
