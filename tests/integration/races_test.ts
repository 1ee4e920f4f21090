/**
 * The three races between reading and hearing of changes. Two objects are always written together, with the same number. Whoever
 * begins sees them equal, and never older than what was known to be committed before; what comes out of a cache is
 * what the storages hold for that snapshot.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client, Oid, Snapshot, Tid } from "../../mod.ts";
import { toOid } from "../../mod.ts";
import { DetouredClient } from "./detoured_client.ts";
import { CliCluster, turns, within } from "./kit.ts";
import { bytesOf, numberOf } from "./numbers.ts";
import { isSoak } from "./soak.ts";

const WORKERS = isSoak ? 8 : 4;
const ROUNDS = isSoak ? 500 : 50;
const WITHIN_MS = 1_800_000;
/** One round in so many writes; the others read. */
const WRITES_EVERY = 2;
/** One round in so many is disturbed, by the fault that the test is about. */
const DISTURBS_EVERY = 4;

/** Turns of the event loop between the begin of a round and that, at most. */
const TURNS_MAX = 20;

const below = (bound: number): number => Math.floor(Math.random() * bound);

const ONE = toOid(1n);
const TWO = toOid(2n);

/** What all workers know. */
class Race {
  /** A client without a cache, which nobody disturbs. */
  readonly #reference: Client;
  #known: { readonly tid: Tid; readonly value: number };

  private constructor(reference: Client, tid: Tid) {
    this.#reference = reference;
    this.#known = { tid, value: 0 };
  }

  static async on(cluster: CliCluster): Promise<Race> {
    const reference = await cluster.connect({ cacheBytes: 0 });
    const tx = await reference.begin();
    for (const oid of [ONE, TWO]) tx.store(oid, bytesOf(0));
    return new Race(reference, await tx.commit());
  }

  /** A client reads or writes. `fresh` false: it begins without asking anybody, which shows what its own client has committed. */
  async round(client: Client, options: { readonly fresh: boolean }): Promise<void> {
    if (below(WRITES_EVERY) === 0) await this.#write(client);
    else await this.read(client, options);
  }

  /** A client without a cache, which nobody disturbs, writes. */
  async writeElsewhere(): Promise<void> {
    await this.#write(this.#reference);
  }

  /** The workers have done what they should. */
  async check(client: Client): Promise<void> {
    const newest = await client.snapshot();
    assert.equal(await this.#pairOf(newest), this.#known.value, "as many as were written");
    let committed = -1; // the first one made them
    for await (const _ of client.transactions()) committed += 1;
    assert.equal(committed, this.#known.value);
    assert.ok(committed > 0);
  }

  async #write(client: Client): Promise<void> {
    const { value, tid } = await client.transact(async (tx) => {
      const value = await this.#pairOf(tx) + 1;
      for (const oid of [TWO, ONE]) tx.store(oid, bytesOf(value));
      return value;
    }, { attempts: 1_000 });
    if (tid <= this.#known.tid) return;
    assert.ok(value > this.#known.value, "what is committed later has the greater number");
    this.#known = { tid, value };
  }

  /** A client begins and reads. */
  async read(client: Client, { fresh }: { readonly fresh: boolean }): Promise<void> {
    const before = this.#known;
    const snapshot = await client.begin({ sync: fresh });
    const value = await this.#pairOf(snapshot);
    assert.ok(snapshot.at >= before.tid, `begun at ${snapshot.at}, after ${before.tid} was committed`);
    assert.ok(value >= before.value, `read ${value}, after ${before.value} was committed`);

    const held = await this.#reference.snapshot({ at: snapshot.at });
    for (const oid of [ONE, TWO]) {
      const [mine, theirs] = [await snapshot.load(oid), await held.load(oid)];
      assert.deepEqual([mine?.tid, numberOf(mine)], [theirs?.tid, numberOf(theirs)], "as it is stored");
    }
  }

  /** The number that both objects hold in a snapshot, read in either order. */
  async #pairOf(snapshot: Snapshot): Promise<number> {
    const order: Oid[] = below(2) === 0 ? [ONE, TWO] : [TWO, ONE];
    const first = await snapshot.load(order[0]!);
    const second = await snapshot.load(order[1]!);
    assert.deepEqual(
      [first?.tid, numberOf(first)],
      [second?.tid, numberOf(second)],
      "two objects that are always written together",
    );
    return numberOf(first);
  }
}

/** Lets all workers run their rounds. */
function runWorkers(round: (worker: number) => Promise<void>): Promise<unknown> {
  const run = async (worker: number): Promise<void> => {
    for (let at = 0; at < ROUNDS; at++) await round(worker);
  };
  return within("all rounds", Promise.all(Array.from({ length: WORKERS }, (_, at) => run(at))), WITHIN_MS);
}

test(`T43 load and begin race with own commits of the same client: ${WORKERS} workers, ${ROUNDS} rounds each`, async () => {
  await using cluster = await CliCluster.started({ storages: 2, replicas: 1 });
  const race = await Race.on(cluster);
  const client = await cluster.connect();
  await client.sync();

  await runWorkers((worker) => race.round(client, { fresh: worker % 2 === 0 }));

  await race.check(client);
});

/** Workers with a client each, whose connections lead through proxies. */
async function detouredWorkers(cluster: CliCluster, stack: AsyncDisposableStack): Promise<DetouredClient[]> {
  const clients: DetouredClient[] = [];
  for (let at = 0; at < WORKERS; at++) {
    clients.push(stack.use(await DetouredClient.connect(cluster, `worker-${at + 1}`)));
  }
  return clients;
}

test(`T43 T14 load and begin race with commits of other clients: ${WORKERS} workers, ${ROUNDS} rounds each`, async () => {
  await using cluster = await CliCluster.started({ storages: 2, replicas: 1 });
  const race = await Race.on(cluster);
  await using stack = new AsyncDisposableStack();
  const clients = await detouredWorkers(cluster, stack);

  await runWorkers(async (worker) => {
    const { client, proxies } = clients[worker]!;
    if (below(DISTURBS_EVERY) > 0) return await race.round(client, { fresh: true });
    const proxy = proxies.get(`s${1 + below(2)}`)!;
    proxy.hold("toClient"); // what it has read is on its way while the next one is committed and published
    const reading = race.read(client, { fresh: true });
    await turns(below(TURNS_MAX));
    await race.writeElsewhere();
    proxy.release();
    await reading;
  });

  await race.check(clients[0]!.client);
});

test(`T43 T14 commits of other clients race with lost connections: ${WORKERS} workers, ${ROUNDS} rounds each`, async () => {
  await using cluster = await CliCluster.started({ storages: 2, replicas: 1 });
  const race = await Race.on(cluster);
  await using stack = new AsyncDisposableStack();
  const clients = await detouredWorkers(cluster, stack);

  await runWorkers(async (worker) => {
    const { client, proxies } = clients[worker]!;
    const kind = below(DISTURBS_EVERY);
    const isAway = kind === 0; // it misses a commit before it is connected again
    const proxy = isAway ? proxies.get("m1")! : [...proxies.values()][below(proxies.size)]!;
    const working = isAway ? race.read(client, { fresh: true }) : race.round(client, { fresh: true });
    if (kind <= 1) {
      await turns(below(TURNS_MAX));
      if (isAway) proxy.hold();
      proxy.reset();
      if (isAway) await race.writeElsewhere();
      proxy.release();
    }
    await working;
  });

  await race.check(clients[0]!.client);
  assert.match((await cluster.ok("status")).stdout, /^shop: healthy/, "no copy was given up");
});
