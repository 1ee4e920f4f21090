/** An import: one client brings transactions with their own tids, before others are let in. */
import type { Oid, Tid } from "../../core/ids.ts";
import { toOid, toTid, ZERO_TID } from "../../core/ids.ts";
import { tidOfDate } from "../../core/tid.ts";
import type { Draft, Job } from "./jobs.ts";
import { commit, LOAD_MS } from "./jobs.ts";
import type { Worker } from "./sessions.ts";
import { call, wait } from "./sessions.ts";
import { WALL_START_MS } from "./world.ts";

/** Imported objects have ids from here on. */
const FIRST_OID = 70_000_000n;
const YEAR_MS = 31_536_000_000;
const AGAIN_MS = 200;

/** A transaction as it stands where it comes from. */
interface Imported {
  readonly tid: Tid;
  readonly drafts: readonly Draft[];
}

/** Imports a short history, ends the stage, and says that it is done. It goes on where it was after any failure. */
export function* importAll(job: Job, history: readonly Imported[], done: () => void): Worker {
  for (;;) {
    const begun = yield* call("stage", { importing: true, origin: "a simulated source" }, LOAD_MS);
    if (begun.ok && (yield* importRest(job, history, begun.result.lastTid))) {
      const ended = yield* call("stage", { importing: false, origin: "" }, LOAD_MS);
      if (ended.ok) return done();
    }
    yield* wait(AGAIN_MS);
  }
}

/** Everything above a tid; false: something failed. */
function* importRest(job: Job, history: readonly Imported[], lastTid: Tid): Worker<boolean> {
  for (const { tid, drafts } of history) {
    if (tid <= lastTid) continue;
    const { fate, tid: given } = yield* commit(job, drafts, { restoreTid: tid });
    if (fate !== "acknowledged") return false;
    if (given !== tid) job.history.breach(`${job.client}: tid ${tid} was imported as ${given}`);
    if (!job.random.chance(0.1)) continue;
    const again = yield* commit(job, drafts, { restoreTid: tid });
    if (again.fate === "acknowledged") job.history.breach(`${job.client}: tid ${tid} was imported twice`);
  }
  return true;
}

/** A history of another database: each object's revisions follow each other. */
export function drawImport({ random }: Pick<Job, "random">): Imported[] {
  const oids = Array.from({ length: random.int(1, 6) }, (_, i) => toOid(FIRST_OID + BigInt(i)));
  const newest = new Map<Oid, Tid>();
  let tid = tidOfDate(WALL_START_MS - YEAR_MS);
  return Array.from({ length: random.int(1, 12) }, () => {
    tid = toTid(tid + BigInt(random.int(1, 1_000_000)));
    const some = random.some(oids, 0.5);
    const drafts = some.map((oid) => ({ oid, base: newest.get(oid) ?? ZERO_TID }));
    for (const oid of some) newest.set(oid, tid);
    return { tid, drafts };
  });
}
