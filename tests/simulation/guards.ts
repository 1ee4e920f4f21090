/** Pairs of which one at least must be on: who turns one off checks that the other is still as it was read. */
import type { Oid, Tid } from "../../core/ids.ts";
import { ZERO_TID } from "../../core/ids.ts";
import type { Job } from "./jobs.ts";
import { commit, read, rest, sync } from "./jobs.ts";
import type { Worker } from "./sessions.ts";
import type { Stored } from "./stored.ts";
import { textOf } from "./texts.ts";

/** What each object is at first. */
export const ON = "on";
const OFF = "off";

/** Turns one of a pair off if the other is on, or on again. Without its check two of them would turn off both. */
export function* guardWorker(job: Job): Worker {
  const { random, history, client, objects: { guards } } = job;
  while (!job.ends()) {
    yield* rest(job);
    const pair = random.pick(guards);
    const begun = yield* sync(job);
    const found = begun && (yield* read(job, begun.at, pair));
    if (!found) continue;
    const isOn = found.map((revision) => textOf(revision) !== OFF);
    if (!isOn.includes(true)) {
      history.breach(`guards: ${client} read both of [${pair}] as off at ${begun.at}`);
    }
    const seen = pair.map((oid, i) => ({ oid, base: found[i]?.tid ?? ZERO_TID }));
    const place = isOn[0] === isOn[1] ? random.int(0, 1) : isOn.indexOf(false);
    const [mine, other] = [seen[place]!, seen[1 - place]!];
    const text = isOn[place] ? OFF : ON;
    yield* commit(job, [{ ...mine, text }], { checks: text === OFF ? [other] : [], ageMs: begun.ageMs });
  }
}

/** Moments at which both of a pair were off. */
export function guardBreaches(guards: readonly (readonly Oid[])[], { revisions }: Stored): string[] {
  return guards.flatMap((pair) => {
    const changes = pair.flatMap((oid) =>
      (revisions.get(oid) ?? []).map(({ tid, text }) => ({ oid, tid, isOff: text === OFF }))
    ).sort((a, b) => (a.tid < b.tid ? -1 : 1));
    const off = new Set<Oid>();
    const both: Tid[] = [];
    for (const { oid, tid, isOff } of changes) {
      if (isOff) off.add(oid);
      else off.delete(oid);
      if (off.size === pair.length) both.push(tid);
    }
    return both.length === 0 ? [] : [`guards: both of [${pair}] were off at ${both[0]}`];
  });
}
