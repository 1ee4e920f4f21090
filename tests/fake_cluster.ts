/** A cluster of plain lists, which answers like a client of one; and a small history to put into it. */
import assert from "node:assert/strict";
import { DatabaseError } from "../core/errors.ts";
import { toOid, toTid } from "../core/ids.ts";
import type { Oid, Tid } from "../core/ids.ts";
import type { TransactionInfo } from "../core/messages.ts";
import type { TransactionRecord } from "../core/records.ts";
import type { Calling } from "../roles/client/caller.ts";
import type { CallName, Calls, Commit, LoadedRevision } from "../roles/client/calls.ts";

const none = new Uint8Array();
export const bytes = (...values: number[]) => Uint8Array.from(values);

type Handlers = { readonly [N in CallName]?: (request: Calls[N]["request"]) => Calls[N]["result"] };

/** A cluster of plain lists, which answers like a client of one. */
export class FakeCluster implements Calling {
  readonly commits: Commit[] = [];
  readonly stages: boolean[] = [];
  /** Calls so far, by name. */
  readonly counts = new Map<string, number>();

  readonly #handlers: Handlers = {
    stage: ({ importing, origin }) => {
      this.stages.push(importing);
      return { lastTid: this.#lastTid, origin };
    },
    sync: () => ({ lastTid: this.#lastTid, ageMs: 0 }),
    commit: (commit) => {
      const tid = commit.restoreTid!;
      if (tid <= this.#lastTid) throw new DatabaseError("tidTaken", "Cannot restore: too old");
      this.commits.push(commit);
      return { tid, ttid: 1n as never };
    },
    transactions: ({ after, upTo, count }) => {
      const found = this.commits.filter(({ restoreTid: tid }) => after < tid! && tid! <= upTo).map(infoOf);
      const transactions = found.slice(0, count);
      return { transactions, upTo: transactions.length < found.length ? transactions.at(-1)!.tid : upTo };
    },
    loadExact: ({ oid, tid }) => this.#load(oid, tid, (at) => at === tid),
    loadMany: ({ oids, at }) => oids.map((oid) => this.#load(oid, at, (tid) => tid <= at)),
  };

  get #lastTid(): Tid {
    return this.commits.at(-1)?.restoreTid ?? toTid(0n);
  }

  #load(oid: Oid, _at: Tid, isWanted: (tid: Tid) => boolean): LoadedRevision | undefined {
    for (const { restoreTid, writes } of this.commits.toReversed()) {
      const write = writes.find((write) => write.oid === oid);
      if (write === undefined || !isWanted(restoreTid!)) continue;
      return { tid: restoreTid!, next: null, data: write.data, link: write.link ?? null };
    }
    return undefined;
  }

  call<N extends CallName>(name: N, request: Calls[N]["request"]): Promise<Calls[N]["result"]> {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    const handler = this.#handlers[name] as
      | ((request: Calls[N]["request"]) => Calls[N]["result"])
      | undefined;
    assert.ok(handler, `${name} is called`);
    return new Promise((resolve) => resolve(handler(request)));
  }
}

function infoOf({ restoreTid, writes, user, description, extension, status }: Commit): TransactionInfo {
  const oids = writes.map(({ oid }) => oid);
  return { tid: restoreTid!, ttid: 1n as never, status, user, description, extension, oids };
}

export function transaction(tid: number, records: TransactionRecord["records"]): TransactionRecord {
  return { tid: toTid(tid), status: " ", user: bytes(0xff), description: none, extension: bytes(1), records };
}

export const HISTORY: readonly TransactionRecord[] = [
  transaction(1000, [{ oid: toOid(7), data: bytes(1) }, { oid: toOid(3), data: bytes(2, 2) }]),
  transaction(2000, [{ oid: toOid(3), data: null }]),
  { ...transaction(3000, [{ oid: toOid(3), data: bytes(2, 2), from: toTid(1000) }]), status: "p" },
  transaction(4000, [{ oid: toOid(3), data: null, from: toTid(2000) }]),
];

export async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of source) found.push(one);
  return found;
}
