/** What must hold when a soak is over: nothing acknowledged is lost, nothing was done twice, copies are equal. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { monoMs, pause } from "../../cli/wait.ts";
import type { Partition } from "../../core/ids.ts";
import type { Client, Oid, Tid } from "../../mod.ts";
import { breachesOf, decodeSegment, parseEntry } from "./logs.ts";
import type { Entry } from "./logs.ts";
import type { SoakCluster } from "./soak_cluster.ts";
import type { Acknowledged } from "./worker_child.ts";

/** How often is looked whether all is well again. */
const LOOK_MS = 500;
/** Of many breaches of one kind, so many are told. */
const SHOWN_MAX = 10;

/** Waits until every copy is readable again and nothing is wrong; gives what still is after `withinMs`. */
export async function problemsAfter(
  cluster: SoakCluster,
  withinMs: number,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  const endMs = monoMs() + withinMs;
  for (;;) {
    signal?.throwIfAborted();
    const status = await cluster.status();
    if (status?.healthy === true) return [];
    if (monoMs() >= endMs) return status?.problems ?? ["the cluster doesn't answer"];
    await pause(LOOK_MS);
  }
}

/** What programs have written down. */
export interface Promised {
  /** By worker. */
  readonly journals: ReadonlyMap<string, readonly Acknowledged[]>;
  /** Workers that may be about to hear of one more. */
  readonly hanging: ReadonlySet<string>;
}

/** Reads what the programs have written down, by worker. */
export function readJournals(folder: string, workers: readonly string[]): Map<string, Acknowledged[]> {
  return new Map(workers.map((worker) => {
    const path = join(folder, `${worker}.journal`);
    const lines = existsSync(path) ? readFileSync(path, "utf8").trimEnd().split("\n") : [];
    return [worker, lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Acknowledged)];
  }));
}

/** Compares the logs with what was acknowledged. */
export async function checkLogs(
  client: Client,
  logs: readonly Oid[],
  { journals, hanging }: Promised,
): Promise<string[]> {
  const breaches: string[] = [];
  for (const [worker, lines] of journals) {
    lines.forEach(({ counter }, at) => {
      if (counter !== at + 1) breaches.push(`the journal of ${worker} has ${counter} as its line ${at + 1}`);
    });
  }
  const snapshot = await client.snapshot();
  const found: Entry[][] = [];
  for (const log of logs) {
    const segments: (readonly string[])[] = [];
    for (let oid: Oid | undefined = log; oid !== undefined;) {
      const revision = await snapshot.load(oid);
      if (revision === undefined && oid !== log) breaches.push(`the part ${oid} of log ${log} isn't there`);
      const segment = decodeSegment(revision?.data);
      segments.unshift(segment.entries);
      oid = segment.before;
    }
    found.push(segments.flat().map(parseEntry));
  }
  const counts = new Map([...journals].map(([worker, lines]) => [worker, lines.length]));
  return shortened([...breaches, ...breachesOf(found, counts, hanging)]);
}

/**
 * Compares the history with what was acknowledged: each under its tid, whole, and nothing besides.
 *
 * @param after transactions up to this one were made before the programs began
 */
export async function checkHistory(
  client: Client,
  logs: readonly Oid[],
  after: Tid,
  { journals, hanging }: Promised,
): Promise<string[]> {
  const wanted = new Map<string, string>();
  const missing = new Map<string, readonly Oid[]>();
  for (const [worker, lines] of journals) {
    for (const line of lines) {
      wanted.set(line.tid, `${worker} ${line.counter}`);
      missing.set(line.tid, line.logs.map((log) => logs[log]!));
    }
  }
  const breaches: string[] = [];
  let unheard = 0;
  for await (const { tid, oids } of client.transactions({ after })) {
    const what = wanted.get(`${tid}`);
    if (what === undefined) {
      if (++unheard > hanging.size) {
        breaches.push(`transaction ${tid} is there, which no program was told is committed`);
      }
    } else if (!missing.get(`${tid}`)!.every((oid) => oids.includes(oid))) {
      breaches.push(`transaction ${tid} of ${what} has other objects: ${oids}`);
    }
    missing.delete(`${tid}`);
  }
  for (const tid of missing.keys()) {
    breaches.push(`${wanted.get(tid)} was acknowledged as ${tid}, which isn't there`);
  }
  return shortened(breaches);
}

/** Compares the copies of each partition. */
export async function checkCopies(client: Client): Promise<string[]> {
  const upTo = await client.sync();
  const { table } = await client.view();
  const breaches: string[] = [];
  for (let number = 0; number < table.partitions; number++) {
    const partition = number as Partition;
    const found = await client.call("digests", { partition, upTo });
    if (found.length <= table.replicas) {
      breaches.push(`partition ${partition} has ${found.length} readable copies`);
    }
    const [first, ...others] = found.map(({ node, count, digest }) => ({ node, is: `${count} ${digest}` }));
    for (const other of others) {
      if (other.is !== first?.is) {
        breaches.push(`partition ${partition} is another on ${other.node} than on ${first?.node}`);
      }
    }
  }
  return shortened(breaches);
}

function shortened(breaches: readonly string[]): string[] {
  const more = breaches.length - SHOWN_MAX;
  return more <= 0 ? [...breaches] : [...breaches.slice(0, SHOWN_MAX), `and ${more} more like that`];
}
