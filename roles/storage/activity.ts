/** What a storage tells operators of clients: transactions that aren't final, what they wait for, objects that make conflicts. */
import type { Oid, Ttid } from "../../core/ids.ts";
import { ACTIVITY_ROWS_MAX, CONFLICTS_COUNTED_MAX, CONFLICTS_SHOWN } from "../../core/limits.ts";
import type { Answer } from "../../core/messages.ts";
import type { Transaction } from "./transaction.ts";

type Activity = Answer<"askActivity">;

/** Counts conflicts by object. When there are too many objects, those with few are forgotten. */
export class Conflicts {
  #counts = new Map<Oid, number>();

  /** A store or a check met a newer revision. */
  add(oid: Oid): void {
    this.#counts.set(oid, (this.#counts.get(oid) ?? 0) + 1);
    if (this.#counts.size > CONFLICTS_COUNTED_MAX) {
      this.#counts = new Map(this.#sorted().slice(0, CONFLICTS_COUNTED_MAX / 2));
    }
  }

  /** Those with most. */
  get hottest(): Activity["conflicts"] {
    return this.#sorted().slice(0, CONFLICTS_SHOWN).map(([oid, count]) => ({ oid, count }));
  }

  #sorted(): [Oid, number][] {
    return [...this.#counts].sort(([, a], [, b]) => b - a);
  }
}

/** Transactions as operators see them, the oldest first. `ageMs` of them is when they began, by the primary's clock. */
export function activityOf(
  all: Iterable<Transaction>,
  holders: (oid: Oid) => readonly Ttid[],
  { hottest: conflicts }: Conflicts,
): Activity {
  const oldest = [...all].sort((a, b) => a.ageMs - b.ageMs).slice(0, ACTIVITY_ROWS_MAX);
  const held = oldest.map(({ ttid, ageMs, objects, open, voted }) => {
    const waitsFor = [...open].find((oid) => objects.get(oid)?.state === "waiting") ?? null;
    const behind = waitsFor === null ? undefined : holders(waitsFor).find((other) => other !== ttid);
    return { ttid, ageMs, objects: objects.size, voted, waitsFor, behind: behind ?? null };
  });
  return { held, conflicts };
}
