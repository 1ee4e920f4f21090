/** What a run asks of a cluster that nothing disturbs any more. */
import { MAX_TID, ZERO_TID } from "../../core/ids.ts";
import type { Partition } from "../../core/ids.ts";
import type { Cluster } from "./cluster.ts";
import type { Job } from "./jobs.ts";
import { commit, read, sync } from "./jobs.ts";
import type { Worker } from "./sessions.ts";
import { call, wait } from "./sessions.ts";
import type { Copy } from "./stored.ts";
import { textOf } from "./texts.ts";
import { masterOf } from "./watch.ts";
import { firstText } from "./workloads.ts";

/** Objects made by the run that are written again at its end. */
const FRESH_MAX = 50;

/** How a worker reports its end, and what stood in its way meanwhile. */
export interface Progress {
  done(): void;
  refused(code: string | undefined): void;
}

/** Commits all objects at once, again and again until it succeeds. What workers count on stays as it is. */
export function* writeAll(job: Job, progress: Progress): Worker {
  const { objects } = job;
  const kept = [...objects.accounts, ...objects.lists, ...objects.counters, ...objects.guards.flat()];
  const fresh = objects.fresh.slice(-FRESH_MAX);
  const named = [...objects.pairs.flat(), ...objects.singles, ...objects.streams, ...fresh, ...objects.bulk];
  const oids = [...named, ...kept];
  for (;;) {
    const begun = yield* sync(job);
    const found = begun && (yield* read(job, begun.at, oids, { apart: false }));
    if (found) {
      const drafts = oids.map((oid, i) => {
        const base = found[i]?.tid ?? ZERO_TID;
        const first = firstText(objects, oid);
        return first === undefined ? { oid, base } : { oid, base, text: textOf(found[i]) ?? first };
      });
      const transaction = yield* commit(job, drafts, { ageMs: begun.ageMs, withinMs: 60_000 });
      if (transaction.fate === "acknowledged") return progress.done();
      progress.refused(transaction.code);
    }
    yield* wait(100);
  }
}

/** Commits one object, again and again until it succeeds. */
export function* writeOne(job: Job, done: () => void): Worker {
  const oid = job.objects.singles[0]!;
  for (;;) {
    const begun = yield* sync(job);
    const found = begun && (yield* read(job, begun.at, [oid], { apart: true }));
    if (found) {
      const transaction = yield* commit(job, [{ oid, base: found[0]?.tid ?? ZERO_TID }], {
        withinMs: 60_000,
      });
      if (transaction.fate === "acknowledged") return done();
    }
    yield* wait(100);
  }
}

/** A client reads all objects once more, as they are and as they were: much of it stands in its cache. */
export function* readAll(job: Job, done: () => void): Worker {
  const { history, objects, random } = job;
  const begun = yield* sync(job);
  if (begun) {
    const named = [...objects.pairs.flat(), ...objects.singles, ...objects.accounts, ...objects.lists];
    const oids = [...named, ...objects.counters, ...objects.fresh.slice(-FRESH_MAX)];
    const past = random.pick(history.acknowledged).tid!;
    yield* read(job, begun.at, oids, { apart: true });
    yield* read(job, past < begun.at ? past : begun.at, oids, { apart: true });
  }
  done();
}

/** A client sees all copies of each partition as equal. */
export function* compareCopies(cluster: Cluster, client: string, done: () => void): Worker {
  const { history, shape } = cluster;
  for (let p = 0; p < shape.partitions; p++) {
    const request = { partition: p as Partition, upTo: MAX_TID };
    const outcome = yield* call("digests", request, 30_000);
    const copies = outcome.ok ? outcome.result.map(({ count, digest }) => `${count} ${digest}`) : [];
    if (new Set(copies).size !== 1) {
      history.breach(`${client} sees copies of partition ${p} as [${copies}]`);
    }
  }
  done();
}

/** The storages' rows, and which of their cells the master's table calls readable. */
export function copiesOf(cluster: Cluster): Copy[] {
  const rows = masterOf(cluster)?.table.split("\n") ?? [];
  return cluster.storages.map((storage) => {
    const store = storage.plan.disk!.store!;
    const isHere = new RegExp(`\\b${cluster.indexes.get(storage.name)}[UF]`);
    const readable = rows.flatMap((
      row,
      partition,
    ) => (isHere.test(row.split(":")[1]!) ? [partition as Partition] : []));
    return { node: storage.name, readable, read: (query) => store.read(query) };
  });
}
