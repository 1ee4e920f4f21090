/** What is acknowledged is on disk: shown by what storages say to the system, and by what they do when it refuses. */
import assert from "node:assert/strict";
import { toOid } from "../../mod.ts";
import type { Client, Oid, Tid } from "../../mod.ts";
import { CliCluster, initArguments, testWith } from "./kit.ts";
import type { Shape } from "./kit.ts";
import { HAS_STRACE, Trace } from "./strace.ts";
import type { Deed } from "./strace.ts";

const COMMITS = 10;

/** Objects in different partitions, and so on all storages. */
const OIDS: readonly Oid[] = [1n, 2n, 3n].map(toOid);

async function commit(client: Client, value: number, withinMs?: number): Promise<Tid> {
  const tx = await client.begin();
  await tx.loadMany(OIDS);
  for (const oid of OIDS) tx.store(oid, new Uint8Array([value]));
  return await tx.commit(withinMs === undefined ? {} : { withinMs });
}

async function valuesOf(client: Client): Promise<(number | undefined)[]> {
  const found = await (await client.snapshot()).loadMany(OIDS);
  return found.map((revision) => revision?.data[0]);
}

/** What a storage did between a request's arrival and its answer. */
interface Served {
  readonly name: string;
  /** It holds what the transaction says about itself: its lock is the commit point. */
  readonly home: boolean;
  /** Flushes of its database's log in between. */
  readonly flushes: number;
}

/** Requests that a storage answered, in the order in which they came. */
function served(deeds: readonly Deed[]): Served[] {
  const homes = new Set<bigint>();
  return deeds.flatMap((deed, begin): Served[] => {
    if (deed.did !== "receive" || deed.packet.kind !== "ask") return [];
    const { packet: { id, message }, link } = deed;
    if (message.name === "vote" && message.body.note !== null) homes.add(message.body.ttid);
    const home = "ttid" in message.body && homes.has(message.body.ttid);
    const end = deeds.findIndex((other, at) =>
      at > begin && other.did === "send" && other.link === link && other.packet.kind === "answer"
      && other.packet.id === id
    );
    if (end < 0) return [];
    return [{ name: message.name, home, flushes: flushesOf(deeds.slice(begin, end)) }];
  });
}

function flushesOf(deeds: readonly Deed[]): number {
  return deeds.filter((deed) =>
    deed.did === "flush" && deed.error === undefined && deed.path.endsWith("storage.sqlite-wal")
  ).length;
}

async function traced(cluster: CliCluster, work: () => Promise<void>): Promise<Deed[][]> {
  const storages = cluster.nodes("storage").map(({ name }) => name);
  const traces = await Promise.all(
    storages.map((name) => Trace.attach(cluster.pid(name), cluster.beside(`${name}.strace`))),
  );
  try {
    await work();
  } finally {
    await Promise.all(traces.map((trace) => trace.detach()));
  }
  return await Promise.all(traces.map((trace) => trace.detach()));
}

const SHAPES: readonly Shape[] = [
  { storages: 1, replicas: 0 },
  { storages: 2, replicas: 1 },
  { storages: 3, replicas: 0 },
];

for (const shape of SHAPES) {
  testWith(
    HAS_STRACE,
    `a storage flushes before it answers a vote, and home's before it answers the lock, with ${
      initArguments(shape).join(" ")
    } (T26, T48)`,
    async () => {
      await using cluster = await CliCluster.started(shape);

      const deeds = await traced(cluster, async () => {
        const client = await cluster.connect();
        for (let value = 0; value < COMMITS; value++) await commit(client, value);
        await client.close();
      });

      let homes = 0;
      for (const ofStorage of deeds) {
        const votes = served(ofStorage).filter(({ name }) => name === "vote");
        const locks = served(ofStorage).filter(({ name }) => name === "lock");
        assert.deepEqual([votes.length, locks.length], [COMMITS, COMMITS]);
        assert.deepEqual(votes.filter(({ flushes }) => flushes === 0), [], "a vote is durable");
        assert.deepEqual(locks.filter(({ home, flushes }) => home && flushes === 0), [], "so is home's lock");
        homes += locks.filter(({ home }) => home).length;
        // one for the vote, one for the lock, and one within a second behind the unlock, which is lazy
        assert.ok(flushesOf(ofStorage) <= 3 * COMMITS, `${flushesOf(ofStorage)} flushes`);
      }
      assert.equal(homes, COMMITS * (shape.replicas! + 1), "every copy of home's partition");
    },
  );
}

const EIO = ["fsync,fdatasync:error=EIO"];

/** A storage whose disk fails says so, ends, and has answered no vote that it couldn't flush. */
async function failing(cluster: CliCluster, name: string, work: () => Promise<void>): Promise<void> {
  const process = cluster.process(name);
  const trace = await Trace.attach(process.pid, cluster.beside("eio.strace"), EIO);
  await work();
  const deeds = await trace.ended();
  await cluster.gone(process);

  assert.ok(deeds.some((deed) => deed.did === "flush" && deed.error?.includes("EIO")));
  assert.deepEqual(served(deeds).filter((request) => request.name === "vote"), []);
  const last = cluster.log(name).filter(({ level }) => level === "error").at(-1);
  assert.match(`${last?.["text"]}`, /^Cannot go on: .*(disk|I\/O|EIO)/i);

  const status = await cluster.neo("status", "--json");
  assert.equal(status.exitCode, 4);
  const node = status.json.nodes.find((node: { name: string }) => node.name === name);
  assert.equal(node.state, "crashed");
  assert.ok(node.lastLog.some((line: string) => /Cannot go on: /.test(line)));
}

testWith(
  HAS_STRACE,
  "a lone storage whose disk refuses to flush acknowledges nothing, says why, and leaves the cluster (T26, T48)",
  async () => {
    await using cluster = await CliCluster.started({ storages: 1 });
    const client = await cluster.connect();
    const tid = await commit(client, 1);

    await failing(cluster, "s1", async () => {
      await assert.rejects(commit(client, 2, 2_000), { code: /^(timedOut|lost|aborted|outcomePending)$/ });
    });
    await client.close();
    await cluster.start();

    const after = await cluster.connect();
    const [value, ...others] = await valuesOf(after);
    assert.ok(others.every((other) => other === value), "no half of a transaction");
    assert.ok((await Array.fromAsync(after.transactions())).some((info) => info.tid === tid));
    assert.ok(await commit(after, 3) > tid);
    assert.deepEqual(await valuesOf(after), [3, 3, 3]);
  },
);

testWith(
  HAS_STRACE,
  "commits go on without a replica whose disk refuses to flush, and it leaves the cluster (T26, T48)",
  async () => {
    await using cluster = await CliCluster.started({ storages: 2, replicas: 1 });
    const client = await cluster.connect();
    const tids = [await commit(client, 1)];

    await failing(cluster, "s2", async () => {
      tids.push(await commit(client, 2), await commit(client, 3));
    });
    await cluster.start("s2");

    const after = await cluster.connect();
    assert.deepEqual(await valuesOf(after), [3, 3, 3]);
    tids.push(await commit(after, 4));
    assert.deepEqual((await Array.fromAsync(after.transactions())).map(({ tid }) => tid), tids);
  },
);
