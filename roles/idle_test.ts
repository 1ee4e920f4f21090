import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "../adapters/system.ts";
import { evidenceDigest } from "../core/evidence.ts";
import { toOid, ttidOf, ZERO_TID } from "../core/ids.ts";
import type { ClientSession } from "../core/ids.ts";
import { SCRUB_DELAY_MS, USE_REPORT_MS } from "../core/limits.ts";
import type { Body } from "../core/messages.ts";
import {
  adminBench,
  answersOf,
  asksOf,
  asNode,
  asPartition,
  asTid,
  clientBench,
  follow,
  helloAs,
  masterBench,
  runMaster,
  serveStorage,
  storageBench,
} from "../tests/machines.ts";

const ttid = ttidOf(1 as ClientSession, 1);
const client = helloAs("client", { session: 1, epoch: 1 });

/** What each role has done when it comes to rest. */
const rests: { what: string; dues: () => (number | undefined)[] }[] = [
  {
    what: "A master that runs, and has committed,",
    dues: () => {
      const bench = masterBench();
      runMaster(bench);
      const { conn } = bench.comes(client);
      const cells = [{ partition: asPartition(0), since: 1, locked: true }];
      const evidence = [2, 3].map((node) => ({ node: asNode(node), session: node - 1, cells }));
      const lists = {
        stored: [toOid(4)],
        checked: [],
        evidence,
        sent: [asNode(2), asNode(3)],
        failed: [],
        behind: null,
      };
      const body: Body<"finish"> = { ttid, home: asPartition(0), explicit: null, ...lists };
      const locks = asksOf(bench.asked(conn, "finish", body), "lock");
      const answers = locks.flatMap((lock) => answersOf(bench.answered(lock, {}), "finish"));
      assert.equal(answers.length, 1);
      return [bench.machine.due()];
    },
  },
  {
    what: "A storage that serves, and holds no transaction,",
    dues: () => {
      const bench = storageBench();
      const primary = serveStorage(bench);
      const dues = [bench.machine.due()];
      const { conn } = bench.comes(client);
      const data = Uint8Array.of(1);
      const stored = { compression: 0, checksum: sha256(data), data, link: null, restore: false };
      bench.asked(conn, "store", { ttid, version: 1, ageMs: 5, oid: toOid(4), base: ZERO_TID, ...stored });
      assert.ok(bench.machine.due() !== undefined, "an open transaction has its deadline");
      const held = [{ oid: toOid(4), base: ZERO_TID, mode: "store", checksum: stored.checksum } as const];
      const digest = evidenceDigest(held, sha256);
      bench.asked(conn, "vote", { ttid, version: 1, home: asPartition(0), count: 1, digest, note: null });
      bench.asked(primary, "lock", { epoch: 1, ttid, tid: asTid(40) });
      bench.told(primary, "unlock", { epoch: 1, ttid, tid: asTid(40) });
      dues.push(bench.machine.due());
      const next = ttidOf(1 as ClientSession, 2);
      bench.asked(conn, "check", { ttid: next, version: 1, ageMs: 5, oid: toOid(8), base: ZERO_TID });
      bench.told(conn, "abort", { ttid: next, epoch: 0, nodes: [] });
      return [...dues, bench.machine.due()];
    },
  },
  {
    what: "A client without a call",
    dues: () => {
      const bench = clientBench();
      const primary = follow(bench);
      const dues = [bench.machine.due()];
      const call = bench.give({ type: "call", call: 1, name: "sync", request: {}, withinMs: 9_000 });
      assert.equal(asksOf(call, "sync")[0]?.conn, primary);
      bench.answered(asksOf(call, "sync")[0]!, { lastTid: asTid(9), wallMs: 5 });
      return [...dues, bench.machine.due()];
    },
  },
  {
    what: "An admin",
    dues: () => {
      const bench = adminBench();
      follow(bench);
      bench.asked(bench.comes(helloAs("admin")).conn, "status", {});
      return [bench.machine.due()];
    },
  },
];
for (const { what, dues } of rests) {
  test(`${what} asks for no wake-up but for its rare reports and looks (T10)`, () => {
    for (const due of dues()) {
      assert.ok(due === undefined || due >= Math.min(SCRUB_DELAY_MS, USE_REPORT_MS), `${due}`);
    }
  });
}
