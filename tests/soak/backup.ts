/** How a backup keeps up with its source under load, and how fast it gets what it lacks: two clusters of real processes on this machine. */
import { monoMs } from "../../cli/wait.ts";
import type { Client, Tid } from "../../mod.ts";
import { CliCluster } from "../integration/kit.ts";
import type { FailoverOptions, PartReport } from "./failover.ts";
import { measureFloor, median } from "./floor.ts";

const COMMITS = 1_000;
/** Programs that commit at once. */
const WRITERS = 20;
const VALUE_BYTES = 300;
const SHAPE = { storages: 2, replicas: 1, partitions: 12 };

/** Commits new objects, several at once; gives the newest tid. */
async function load(client: Client): Promise<Tid> {
  const oids = [...await client.newOids(COMMITS)];
  let last = 0n as Tid;
  const write = async (): Promise<void> => {
    for (let oid = oids.pop(); oid !== undefined; oid = oids.pop()) {
      const tx = await client.begin();
      tx.store(oid, new Uint8Array(VALUE_BYTES));
      const tid = await tx.commit();
      if (tid > last) last = tid;
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, write));
  return last;
}

async function reaches(client: Client, tid: Tid): Promise<void> {
  const since = await client.sync();
  if (since >= tid) return;
  for await (const change of client.changes({ since })) if (change.tid >= tid) return;
}

/** How long a backup needs behind the last commit of a load, and for as many that it gets all at once. */
export async function backupFollows(options: FailoverOptions): Promise<PartReport> {
  const name = "a backup that follows";
  const ms: number[] = [];
  const rates: number[] = [];
  const caughtUp: number[] = [];
  const { commitMs } = await measureFloor();
  await using source = await CliCluster.started(SHAPE);
  await using backup = await CliCluster.started(SHAPE);
  const writer = await source.connect();
  const reader = await backup.connect();
  await backup.ok("cluster", "follow", source.uri);
  for (let run = 1; run <= options.runs; run++) {
    options.signal.throwIfAborted();
    options.say(`${name}: run ${run} of ${options.runs}`);
    const beganMs = monoMs();
    const last = await load(writer);
    const endedMs = monoMs();
    await reaches(reader, last);
    ms.push(monoMs() - endedMs);
    rates.push(COMMITS * 1_000 / (endedMs - beganMs));
    await backup.stop("a1");
    const missed = await load(writer);
    await backup.start("a1");
    const againMs = monoMs();
    await reaches(reader, missed);
    caughtUp.push(COMMITS * 1_000 / (monoMs() - againMs));
  }
  const middle = (values: readonly number[]): string => median(values).toFixed(0);
  return {
    name,
    what: `behind ${COMMITS} commits of ${WRITERS} programs, up to date after`,
    ms,
    boundMs: undefined,
    facts: [
      `the source took ${middle(rates)} commits a second meanwhile; SQLite's bare durable row ${
        commitMs.toFixed(2)
      } ms`,
      `what it lacked of ${COMMITS} came at ${middle(caughtUp)} a second, once its follower ran again`,
    ],
    breaches: [],
  };
}
