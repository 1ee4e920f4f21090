/** Transactions of some hundred objects, all of them written together: nobody may ever see some of one and some of another. */
import type { Oid } from "../../core/ids.ts";
import { ZERO_TID } from "../../core/ids.ts";
import type { Job } from "./jobs.ts";
import { commit, read, sync } from "./jobs.ts";
import type { Worker } from "./sessions.ts";
import { wait } from "./sessions.ts";
import type { Stored } from "./stored.ts";

/** How much rarer they are than others. */
const PAUSE_MS_MAX = 6_000;

/** Writes all of them again, or looks at all of them. */
export function* bulkWorker(job: Job): Worker {
  const { random, history, client, objects: { bulk } } = job;
  while (!job.ends()) {
    yield* wait(random.between(0, PAUSE_MS_MAX));
    const begun = yield* sync(job);
    const found = begun && (yield* read(job, begun.at, bulk, { apart: false }));
    if (!found) continue;
    const tids = new Set(found.map((revision) => revision?.tid));
    if (tids.size > 1) history.breach(`bulk: ${client} read [${[...tids]}] together at ${begun.at}`);
    if (random.chance(0.3)) continue;
    yield* commit(job, bulk.map((oid, i) => ({ oid, base: found[i]?.tid ?? ZERO_TID })), {
      ageMs: begun.ageMs,
    });
  }
}

/** Objects that don't have the revisions of the first. */
export function bulkBreaches(bulk: readonly Oid[], { revisions }: Stored): string[] {
  const tidsOf = (oid: Oid) => (revisions.get(oid) ?? []).map(({ tid }) => tid).join();
  const odd = bulk.filter((oid) => tidsOf(oid) !== tidsOf(bulk[0]!));
  return odd.length === 0
    ? []
    : [`bulk: objects [${odd}] of ${bulk.length} have other revisions than the first`];
}
