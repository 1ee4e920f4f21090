/** `neo restart` under the load of clients that stay: none of them hears an error, nothing that they were promised is lost. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Change, Client, Oid, Tid } from "../../mod.ts";
import { equalCopies } from "./copies.ts";
import { CliCluster, within } from "./kit.ts";
import { Load } from "./load.ts";
import { isSoak } from "./soak.ts";

const PARTITIONS = 12;
/** Commits that must be acknowledged between two restarts. */
const COMMITS = 50;
/** How often each list of restarts is gone through. */
const TIMES = isSoak ? 10 : 1;

const cases: readonly {
  readonly title: string;
  /** Arguments of `neo restart`, one after the other; none means all nodes. */
  readonly restarts: readonly (readonly string[])[];
}[] = [
  { title: "the master, the admin, and all nodes", restarts: [["m1"], ["a1"], []] },
  { title: "each storage", restarts: [["s1"], ["s2"], ["s1"]] },
];

for (const { title, restarts } of cases) {
  test(`T24 P2 clients live through neo restart: ${title}`, async () => {
    await using cluster = await CliCluster.started({ storages: 2, replicas: 1, partitions: PARTITIONS });
    const load = await Load.on(cluster);
    const [reader, idle] = [await cluster.connect(), await cluster.connect()];
    const marker = await reader.newOid();
    const since = await reader.sync();
    const feed = collect(reader, since, marker);
    feed.catch(() => {}); // what stands in the way is told where it is waited for, or by what ended the client
    load.run();
    await load.acknowledge(COMMITS);

    for (const names of Array.from({ length: TIMES }, () => restarts).flat()) {
      const wanted = names.length > 0 ? names : cluster.nodes().map(({ name }) => name);
      const before = wanted.map((name) => cluster.pid(name));
      await cluster.ok("restart", ...names);
      wanted.forEach((name, at) =>
        assert.notEqual(cluster.pid(name), before[at], `${name} is another process`)
      );
      await load.acknowledge(COMMITS);
    }
    await load.rest();

    assert.deepEqual([load.failures, load.readFailures], [[], []]);
    await load.check(idle);
    await equalCopies(idle, PARTITIONS, 2);
    const expected = await historyOf(idle, since);
    assert.ok(expected.length >= load.acknowledged);
    expected.push(await mark(idle, marker));
    assert.deepEqual(await within("all changes", feed), expected);
  });
}

/** Takes changes until one writes the marker. */
async function collect(client: Client, since: Tid, marker: Oid): Promise<Change[]> {
  const changes: Change[] = [];
  for await (const change of client.changes({ since })) {
    changes.push(change);
    if (change.oids.includes(marker)) break;
  }
  return changes;
}

async function historyOf(client: Client, after: Tid): Promise<Change[]> {
  const changes: Change[] = [];
  for await (const { tid, oids } of client.transactions({ after })) changes.push({ tid, oids });
  return changes;
}

async function mark(client: Client, marker: Oid): Promise<Change> {
  const { tid } = await client.transact((tx) => tx.store(marker, new Uint8Array()));
  return { tid, oids: [marker] };
}
