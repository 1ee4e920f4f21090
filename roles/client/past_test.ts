import assert from "node:assert/strict";
import { test } from "node:test";
import { toTid, ZERO_TID } from "../../core/ids.ts";
import type { Tid, Ttid } from "../../core/ids.ts";
import type { TransactionInfo } from "../../core/messages.ts";
import type { Calling } from "./caller.ts";
import type { Calls } from "./calls.ts";
import { transactionsBackwards } from "./past.ts";

const nothing = new Uint8Array();

/** A client of a history with these tids, ascending; counts what is read of it. */
function listing(tids: readonly bigint[]): Calling & { readonly read: number; readonly pages: number } {
  const counts = { read: 0, pages: 0 };
  const call = (name: string, { after, upTo, count }: Calls["transactions"]["request"]): Promise<never> => {
    assert.equal(name, "transactions");
    const found = tids.filter((tid) => after < tid && tid <= upTo).slice(0, count);
    counts.pages += 1;
    counts.read += found.length;
    const transactions = found.map((tid): TransactionInfo => (
      {
        tid: tid as Tid,
        ttid: 1n as Ttid,
        status: " ",
        user: nothing,
        description: nothing,
        extension: nothing,
        oids: [],
      }
    ));
    const end = found.length === count ? found.at(-1)! : upTo;
    return Promise.resolve({ transactions, upTo: end } as never);
  };
  return {
    call: call as never,
    get read() {
      return counts.read;
    },
    get pages() {
      return counts.pages;
    },
  };
}

for (
  const [what, apart] of [["dense", 1n], ["a second apart", 2n ** 26n], ["a day apart", 2n ** 42n]] as const
) {
  test(`transactionsBackwards(): 9,000 transactions, ${what}, behind a long pause, are each read once, or nearly so (N2)`, async () => {
    const end = 2n ** 62n;
    const tids = [1n, ...Array.from({ length: 9_000 }, (_, at) => end / 2n + BigInt(at) * apart), end];
    const client = listing(tids);
    const found: bigint[] = [];
    for await (const { tid } of transactionsBackwards(client, { after: ZERO_TID, upTo: toTid(end) })) {
      found.push(tid);
    }
    assert.deepEqual(found, [...tids].reverse());
    assert.ok(client.read < 1.2 * tids.length, `${client.read} were read`);
  });
}

test("transactionsBackwards(): who wants the newest few reads few (N2)", async () => {
  const tids = Array.from({ length: 9_000 }, (_, at) => 2n ** 60n + BigInt(at) * 2n ** 20n);
  const client = listing(tids);
  let count = 0;
  for await (const _ of transactionsBackwards(client, { after: ZERO_TID, upTo: toTid(tids.at(-1)!) })) {
    if (++count === 5) break;
  }
  assert.ok(client.read < 100, `${client.read} were read`);
});
