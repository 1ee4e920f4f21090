/** Looking back: the newest transactions first, and the revisions of one object. */
import { PackedError } from "../../core/errors.ts";
import { ZERO_TID } from "../../core/ids.ts";
import type { Oid, Tid } from "../../core/ids.ts";
import { BACKWARDS_TRANSACTIONS_MAX } from "../../core/limits.ts";
import type { TransactionInfo } from "../../core/messages.ts";
import type { Calling, CallOptions } from "./caller.ts";
import { transactionsBetween } from "./restoring.ts";

/** Factor by which the next stretch is longer, if this one has few transactions, and shorter, if it has too many. */
const FURTHER = 16n;
/** The first stretch: about a millisecond, as tids count time. */
const FIRST_REACH = 2n ** 16n;

/** A revision of an object, without its data. */
export interface PastRevision {
  readonly tid: Tid;
  /** Bytes of its value; 0 for a deletion. */
  readonly size: number;
  readonly isDeletion: boolean;
  /** The revision that it repeats: it was made by an undo. */
  readonly link: Tid | null;
}

/** after < tid <= upTo; time and signal are those of each call. */
type Range = { readonly after: Tid; readonly upTo: Tid } & CallOptions;

/**
 * Transactions with after < tid <= upTo, descending. Storages list forwards, so stretches are read from the end on, each as long
 * as it takes to find some. Of one that turns out to have too many, the beginning is kept while the rest is listed
 * in the same way: every transaction is read once, and a few thousand are in memory.
 */
export async function* transactionsBackwards(
  client: Calling,
  range: Range,
  firstReach: bigint = FIRST_REACH,
): AsyncGenerator<TransactionInfo> {
  const { after, upTo } = range;
  let reach = firstReach;
  for (let end = upTo; end > after;) {
    const begin = (end - after > reach ? end - reach : after) as Tid;
    const found: TransactionInfo[] = [];
    let isWhole = true;
    for await (const info of transactionsBetween(client, { ...range, after: begin, upTo: end })) {
      found.push(info);
      isWhole = found.length < BACKWARDS_TRANSACTIONS_MAX;
      if (!isWhole) break;
    }
    if (!isWhole) {
      reach = reach > FURTHER ? reach / FURTHER : 1n;
      yield* transactionsBackwards(client, { ...range, after: found.at(-1)!.tid, upTo: end }, reach);
    }
    yield* found.reverse();
    end = begin;
    if (isWhole && found.length < BACKWARDS_TRANSACTIONS_MAX / Number(FURTHER)) reach *= FURTHER;
  }
}

/** Revisions of an object with tid <= upTo, the newest first, as far as history isn't packed; each costs a load. */
export async function* revisionsOf(
  client: Calling,
  oid: Oid,
  { upTo, ...options }: { readonly upTo: Tid } & CallOptions,
): AsyncGenerator<PastRevision> {
  for (let at = upTo; at > ZERO_TID;) {
    const found = await client.call("load", { oid, at }, options).catch((error: unknown) => {
      if (error instanceof PackedError) return undefined;
      throw error;
    });
    if (found === undefined) return;
    const { tid, data, parts, link } = found;
    const isDeletion = data === null && parts === undefined;
    yield { tid, size: parts?.size ?? data?.length ?? 0, isDeletion, link };
    at = tid - 1n as Tid;
  }
}
