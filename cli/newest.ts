/** The end of a history, found without reading all of it. */
import { ZERO_TID } from "../core/ids.ts";
import type { Tid } from "../core/ids.ts";
import type { TransactionInfo } from "../core/messages.ts";
import { transactionsBetween } from "../roles/client/restoring.ts";
import type { CallClient } from "./client.ts";

/** Factor by which `newestTransactions` looks further back. */
const FURTHER = 16n;
/** Its first reach: about a millisecond, as tids count time. */
const FIRST_REACH = 2n ** 16n;

/** The newest transactions, `count` at most, the newest last. Looks back further and further until it has enough. */
export async function newestTransactions(client: CallClient, count: number): Promise<TransactionInfo[]> {
  const { lastTid } = await client.call("sync", {});
  for (let reach = FIRST_REACH;; reach *= FURTHER) {
    const after = (lastTid > reach ? lastTid - reach : ZERO_TID) as Tid;
    let found: TransactionInfo[] = [];
    for await (const info of transactionsBetween(client, { after, upTo: lastTid })) {
      found.push(info);
      if (found.length >= 2 * count) found = found.slice(-count);
    }
    if (found.length >= count || after === ZERO_TID) return found.slice(-count);
  }
}
