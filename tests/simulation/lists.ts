/** Lists that transactions append to: the richest history there is, judged by `anomalies.ts`. */
import type { Oid, Tid } from "../../core/ids.ts";
import { ZERO_TID } from "../../core/ids.ts";
import { anomaliesOf } from "./anomalies.ts";
import type { Verdict } from "./anomalies.ts";
import type { History, ListRecord } from "./history.ts";
import type { Job } from "./jobs.ts";
import { commit, read, rest, sync } from "./jobs.ts";
import type { ListTransaction } from "./list_history.ts";
import type { Worker } from "./sessions.ts";
import type { Stored } from "./stored.ts";
import { listIn, listText, textOf } from "./texts.ts";

/** A list as it was read. */
interface SeenList {
  readonly oid: Oid;
  readonly base: Tid;
  readonly list: readonly number[];
}

/** Reads some lists in one snapshot, and appends to some of those; now and then it looks at the past. */
export function* listAppendWorker(job: Job): Worker {
  const { random, world, history, client } = job;
  const session = `${client} since ${world.nowMs}, ${random.int(1, 1_000_000)}`;
  while (!job.ends()) {
    yield* rest(job);
    const begunMs = world.nowMs;
    const begun = yield* sync(job);
    if (begun === undefined) continue;
    const past = random.chance(0.1) ? history.acknowledged.filter(({ tid }) => tid! <= begun.at) : [];
    const at = past.length > 0 ? random.pick(past).tid! : begun.at;
    const seen = yield* readLists(job, at);
    if (seen === undefined) continue;
    const asked = past.length > 0 ? undefined : begunMs;
    const common = { client, session, at, begunMs: asked, reads: seen, readMs: world.nowMs };
    if (past.length > 0 || random.chance(0.25)) {
      history.lists.push({ ...common, appends: [], number: undefined });
    } else yield* append(job, common, begun.ageMs);
  }
}

function* readLists(job: Job, at: Tid): Worker<readonly SeenList[] | undefined> {
  const { random, objects: { lists } } = job;
  const some = random.some(lists, 0.5);
  const oids = some.length > 0 ? some : [random.pick(lists)];
  const found = yield* read(job, at, oids);
  return found && oids.map((oid, i) => {
    return { oid, base: found[i]?.tid ?? ZERO_TID, list: listIn(textOf(found[i])) };
  });
}

function* append(
  job: Job,
  common: Omit<ListRecord, "appends" | "number" | "reads"> & { readonly reads: readonly SeenList[] },
  ageMs: number,
): Worker {
  const { random, history } = job;
  const places = [...common.reads.keys()];
  const some = random.some(places, 0.4);
  const chosen = some.length > 0 ? some : [random.pick(places)];
  const grown = common.reads.map(({ oid, list }, i) => {
    const elements = chosen.includes(i) ? history.newElements(random.int(1, 2)) : [];
    return { oid, elements, text: listText([...list, ...elements]) };
  });
  const drafts = chosen.map((i) => ({
    oid: grown[i]!.oid,
    base: common.reads[i]!.base,
    text: grown[i]!.text,
  }));
  const isChecked = random.chance(0.15);
  const checks = common.reads.filter((_, i) => isChecked && !chosen.includes(i));
  const appends = grown.flatMap(({ oid, elements }) => elements.map((element) => ({ oid, element })));
  history.lists.push({ ...common, appends, number: history.transactions.length });
  yield* commit(job, drafts, { checks: checks.map(({ oid, base }) => ({ oid, base })), ageMs });
}

/** What the checker says of all that was done to the lists. */
export function listVerdict(history: History, lists: readonly Oid[], stored: Stored): Verdict {
  const tids = new Map([...stored.transactions.values()].map(({ number, tid }) => [number, tid]));
  return anomaliesOf({
    transactions: history.lists.map((record) => transactionOf(record, history, tids)),
    stored: new Map(lists.map((oid) => [oid, listIn(stored.revisions.get(oid)?.at(-1)?.text ?? null)])),
  });
}

const fates = { open: "unknown", unknown: "unknown", refused: "refused", acknowledged: "committed" } as const;

function transactionOf(
  { session, at, begunMs, readMs, reads, appends, number, client }: ListRecord,
  history: History,
  tids: ReadonlyMap<number, Tid>,
): ListTransaction {
  const steps = [
    ...reads.map(({ oid, list }) => ({ do: "read", key: oid, list }) as const),
    ...appends.map(({ oid, element }) => ({ do: "append", key: oid, element }) as const),
  ];
  const common = { steps, at, begunMs, session: begunMs === undefined ? undefined : session };
  const commit = number === undefined ? undefined : history.transactions[number];
  if (commit === undefined) {
    return {
      ...common,
      name: `reads of ${client} at ${readMs.toFixed(0)} ms`,
      fate: "committed",
      endedMs: readMs,
    };
  }
  const { fate, endedMs } = commit;
  const name = `transaction ${number} of ${client}`;
  return { ...common, name, fate: fates[fate], endedMs, tid: tids.get(commit.number) };
}
