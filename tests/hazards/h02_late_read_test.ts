/**
 * H2, with a database that answers late: what a read found while a lock stood above it ends at that lock, also when the answer
 * comes after the unlock. The client heard of that transaction before it asked, so nobody else tells it.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "../../adapters/system.ts";
import { evidenceDigest } from "../../core/evidence.ts";
import { toOid, ttidOf, ZERO_TID } from "../../core/ids.ts";
import type { ClientSession, Tid, Ttid } from "../../core/ids.ts";
import type { Effect } from "../../core/machine.ts";
import type { AskMessage } from "../../core/messages.ts";
import type { DatabaseAnswer } from "../../core/ports.ts";
import { answersOf, asPartition, asTid, helloAs, serveStorage, storageBench, tableOf } from "../machines.ts";

const oid = toOid(2);

test("H2 T43: an early read that is answered behind the unlock ends at what was locked", () => {
  const bench = storageBench();
  const primary = serveStorage(bench, { table: tableOf({ replicas: 0 }) });
  const { conn: client } = bench.comes(helloAs("client", { session: 1, epoch: 1 }));
  const data = new TextEncoder().encode("text");
  const content = { compression: 0, checksum: sha256(data), data, link: null, restore: false };
  const lock = (ttid: Ttid, base: Tid, tid: Tid): void => {
    bench.asked(client, "store", { ttid, version: 1, ageMs: 5, oid, base, ...content });
    const digest = evidenceDigest([{ oid, base, mode: "store", checksum: content.checksum }], sha256);
    bench.asked(client, "vote", { ttid, version: 1, home: asPartition(0), count: 1, digest, note: null });
    bench.asked(primary, "lock", { epoch: 1, ttid, tid });
  };
  const unlock = (ttid: Ttid, tid: Tid) => bench.told(primary, "unlock", { epoch: 1, ttid, tid });
  const [first, second] = [1, 2].map((count) => ttidOf(1 as ClientSession, count)) as [Ttid, Ttid];
  lock(first, ZERO_TID, asTid(10));
  unlock(first, asTid(10));
  lock(second, asTid(10), asTid(20));

  for (const read of ["load", "loadMany"] as const) {
    const body = read === "load"
      ? { oid, at: asTid(19), version: 1 }
      : { oids: [oid], at: asTid(19), version: 1 };
    const message = { name: read, body } as AskMessage;
    const asked = bench.machine.step(
      { type: "asked", conn: client, id: 99, withinMs: 1_000, message },
      bench.now,
    );
    const [query] = (asked as Effect[]).filter((effect) => effect.do === "read") as unknown as {
      context: never;
    }[];
    if (read === "loadMany") unlock(second, asTid(20));
    const revision = {
      tid: asTid(10),
      next: null,
      stored: { compression: 0, checksum: content.checksum, data },
      link: null,
    };
    const result = read === "load"
      ? { read, known: true, revision }
      : { read, objects: [{ oid, known: true, revision }] };
    const effects = bench.machine.step({
      type: "read",
      context: query!.context,
      result: result as DatabaseAnswer,
    }, bench.now);
    const next = read === "load"
      ? answersOf(effects, "load")[0]?.revision.next
      : answersOf(effects, "loadMany")[0]?.objects[0]?.revision?.next;
    assert.equal(next, 20n, read);
  }
});
