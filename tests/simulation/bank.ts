/** A bank: transfers between accounts, whose sum is the same in every snapshot. */
import type { Oid, Tid } from "../../core/ids.ts";
import { ZERO_TID } from "../../core/ids.ts";
import type { Job } from "./jobs.ts";
import { commit, read, rest, sync } from "./jobs.ts";
import type { Worker } from "./sessions.ts";
import type { Stored } from "./stored.ts";
import { numberIn, textOf } from "./texts.ts";

/** What each account holds at first. */
export const FIRST_BALANCE = 100;

/** Looks at all accounts in one snapshot, then moves some money between two of them. */
export function* bankWorker(job: Job): Worker {
  const { random, history, client, objects: { accounts } } = job;
  while (!job.ends()) {
    yield* rest(job);
    const begun = yield* sync(job);
    const found = begun && (yield* read(job, begun.at, accounts));
    if (!found) continue;
    const balances = found.map((revision) => numberIn(textOf(revision)));
    if (sumOf(balances) !== accounts.length * FIRST_BALANCE) {
      history.breach(`bank: ${client} read accounts [${accounts}] at ${begun.at} as [${balances}]`);
    }
    if (random.chance(0.3)) continue;
    const from = random.int(0, accounts.length - 1);
    const to = (from + random.int(1, accounts.length - 1)) % accounts.length;
    const amount = random.int(1, 50);
    const seen = accounts.map((oid, i) => ({ oid, base: found[i]?.tid ?? ZERO_TID }));
    const drafts = [
      { ...seen[from]!, text: String(balances[from]! - amount) },
      { ...seen[to]!, text: String(balances[to]! + amount) },
    ];
    const isChecked = random.chance(0.1);
    const checks = seen.filter((_, i) => isChecked && i !== from && i !== to);
    yield* commit(job, random.chance(0.5) ? drafts : drafts.reverse(), { checks, ageMs: begun.ageMs });
  }
}

/** The sum after each commit that is stored. */
export function bankBreaches(accounts: readonly Oid[], { revisions }: Stored): string[] {
  const changes = accounts.flatMap((oid) =>
    (revisions.get(oid) ?? []).map(({ tid, text }) => ({ oid, tid, balance: numberIn(text) }))
  ).sort((a, b) => (a.tid < b.tid ? -1 : 1));
  const balances = new Map<Oid, number>();
  const sums = new Map<Tid, number>();
  for (const { oid, tid, balance } of changes) {
    balances.set(oid, balance);
    sums.set(tid, sumOf([...balances.values()]));
  }
  const expected = accounts.length * FIRST_BALANCE;
  return [...sums].flatMap(([tid, sum]) =>
    sum === expected ? [] : [`bank: accounts [${accounts}] hold ${sum} at ${tid}: it is ${expected}`]
  );
}

function sumOf(balances: readonly number[]): number {
  return balances.reduce((sum, balance) => sum + balance, 0);
}
