/** The end of a history, found without reading all of it. */
import { ZERO_TID } from "../core/ids.ts";
import type { TransactionInfo } from "../core/messages.ts";
import { transactionsBackwards } from "../roles/client/past.ts";
import type { CallClient } from "./client.ts";

/** The newest transactions, `count` at most, the newest last. */
export async function newestTransactions(client: CallClient, count: number): Promise<TransactionInfo[]> {
  const { lastTid: upTo } = await client.call("sync", {});
  const found: TransactionInfo[] = [];
  for await (const info of transactionsBackwards(client, { after: ZERO_TID, upTo })) {
    found.push(info);
    if (found.length === count) break;
  }
  return found.reverse();
}
