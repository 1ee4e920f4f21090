/** Values in parts: streamed before their commit, given up now and then, and read part by part. */
import type { Oid, Tid } from "../../core/ids.ts";
import { ZERO_TID } from "../../core/ids.ts";
import { PART_BYTES_MAX } from "../../core/limits.ts";
import { partCount } from "../../core/parts.ts";
import type { LoadedRevision } from "../../roles/client/calls.ts";
import type { Job } from "./jobs.ts";
import { commit, LOAD_MS, noteRead, rest, sync } from "./jobs.ts";
import type { Worker } from "./sessions.ts";
import { call } from "./sessions.ts";
import { partsText } from "./texts.ts";

/** Drafts are numbered beyond all calls of a process. */
const FIRST_DRAFT = 1_000_000_000;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Replaces a value in parts, after it has read the one before; leaves its parts behind now and then. */
export function* streamWorker(job: Job): Worker {
  const { random, history, objects: { streams } } = job;
  while (!job.ends()) {
    yield* rest(job);
    const oid = random.pick(streams);
    const begun = yield* sync(job);
    if (begun === undefined) continue;
    const found = yield* readParts(job, oid, begun.at);
    if (found === "failed") continue;
    const size = (random.chance(0.1) ? PART_BYTES_MAX : 0) + random.int(20, 100_000);
    const draft = FIRST_DRAFT + history.drafts++;
    const isStored = yield* sendParts(job, { draft, oid, size, ageMs: begun.ageMs });
    if (!isStored || random.chance(0.1)) continue; // nobody says that it is given up: its time will be over
    const write = { oid, base: found?.tid ?? ZERO_TID, text: partsText(size), streamed: true };
    yield* commit(job, [write], { ageMs: begun.ageMs, draft });
  }
}

/** Gives the parts of a value; false when that failed. */
function* sendParts(
  { random }: Job,
  { size, ...part }: {
    readonly draft: number;
    readonly oid: Oid;
    readonly size: number;
    readonly ageMs: number;
  },
): Worker<boolean> {
  const whole = encoder.encode(partsText(size).padEnd(size, " "));
  for (let at = 0; at < size; at += PART_BYTES_MAX) {
    const data = whole.slice(at, at + PART_BYTES_MAX);
    const sent = yield* call("part", { ...part, data }, random.chance(0.9) ? LOAD_MS : 300);
    if (!sent.ok) return false;
  }
  return true;
}

/** The value of an object in a snapshot, part by part. */
function* readParts(job: Job, oid: Oid, at: Tid): Worker<LoadedRevision | undefined | "failed"> {
  const { history, client } = job;
  const outcome = yield* call("load", { oid, at }, LOAD_MS);
  if (!outcome.ok) return "failed";
  const found = outcome.result;
  if (found?.parts === undefined) {
    noteRead(job, at, oid, found);
    return found;
  }
  const { tid, parts } = found;
  let size = 0;
  for (let seq = 0; seq < partCount(parts); seq++) {
    const part = yield* call("loadPart", { oid, tid, seq, parts }, LOAD_MS);
    if (!part.ok) return "failed";
    const text = decoder.decode(part.result?.subarray(0, 40)).trimEnd();
    if (seq === 0 && text !== partsText(parts.size)) {
      history.breach(`${client}: part ${seq} of ${oid} at ${tid} is "${text}", of ${parts.size} bytes`);
    }
    size += part.result?.length ?? 0;
  }
  if (size !== parts.size) {
    history.breach(`${client}: ${size} of ${parts.size} bytes of ${oid} at ${tid} came`);
  }
  noteRead(job, at, oid, found);
  return found;
}
