import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ZERO_TID } from "../../core/ids.ts";
import {
  asNode,
  helloAs,
  LOST,
  only,
  serveStorage,
  storageBench,
  storageDisk,
  tableOf,
} from "../../tests/machines.ts";
import { PRIMARY } from "../seeker.ts";
import { moveStorage, STORAGE_NEXT } from "./phases.ts";
import type { StoragePhase } from "./phases.ts";

const phases = Object.keys(STORAGE_NEXT) as StoragePhase[];
/** Written out here once more: a step that is added or dropped must be decided twice. */
const allowed: { readonly [from in StoragePhase]: readonly StoragePhase[] } = {
  seeking: ["seeking", "fenced", "ended"],
  fenced: ["fenced", "serving", "seeking", "ended"],
  serving: ["serving", "fenced", "orphaned", "ended"],
  orphaned: ["orphaned", "fenced", "ended"],
  ended: ["ended"],
};
for (const from of phases) {
  for (const to of phases) {
    const may = allowed[from].includes(to);
    test(`moveStorage() ${may ? "lets" : "doesn't let"} a storage go from ${from} to ${to} (T18)`, () => {
      if (may) assert.equal(moveStorage(from, to), to);
      else {
        const message = `Broken invariant: a storage may go from ${from} to ${to}`;
        assert.throws(() => moveStorage(from, to), { name: "InvariantError", message });
      }
    });
  }
}

test("A storage's phase is written through the table only (T18)", () => {
  const source = readFileSync(new URL("./storage.ts", import.meta.url), "utf8");
  const writes = [...source.matchAll(/#phase(?:: StoragePhase)? = ([^;]+);/g)].map(([, value]) => value!);
  assert.ok(writes.length > 3);
  assert.deepEqual(
    writes.filter((value) => value !== '"seeking"' && !value.startsWith("moveStorage(this.#phase, ")),
    [],
  );
});

test("StorageMachine goes through its phases by fence, start, loss and stop (T18)", () => {
  const bench = storageBench();
  const phase = () => bench.machine.load.phase;
  const fence = (epoch: number) => ({ epoch, session: epoch, node: asNode(2), image: tableOf().toImage() });
  const start = (epoch: number) => ({ epoch, lastTid: ZERO_TID, sessions: [], sessionMark: 0 });
  bench.give({ type: "opened" });
  const seen = [phase()];
  const { conn: first } = bench.reached(PRIMARY, helloAs("master"));
  seen.push(phase());
  bench.asked(first, "fence", fence(1));
  seen.push(phase());
  bench.asked(first, "start", start(1));
  seen.push(phase());
  bench.lost(first, { target: PRIMARY });
  seen.push(phase());
  const { conn: second } = bench.reached(PRIMARY, helloAs("master"));
  bench.asked(second, "fence", fence(2));
  seen.push(phase());
  bench.lost(second, { target: PRIMARY });
  seen.push(phase());
  bench.give({ type: "terminate" });
  seen.push(phase());

  assert.deepEqual(seen, [
    "seeking",
    "seeking",
    "fenced",
    "serving",
    "orphaned",
    "fenced",
    "seeking",
    "ended",
  ]);
});

test("StorageMachine doesn't change its phase for news of nodes and phases, nor by anybody but its primary (T18)", () => {
  const bench = storageBench();
  const primary = serveStorage(bench);
  const { conn: client } = bench.comes(helloAs("client", { session: 1 }));
  const nodes = [{
    index: asNode(2),
    name: "s1",
    role: "storage",
    address: "s1:1",
    state: "unknown",
    session: 1,
  }];
  for (const conn of [primary, client]) {
    bench.told(conn, "nodes", { nodes });
    bench.told(conn, "phase", { phase: "stopping", epoch: 1 });
  }
  bench.told(client, "shutdown", { epoch: 1 });
  bench.asked(client, "fence", { epoch: 9, session: 9, node: asNode(2), image: tableOf().toImage() });
  bench.asked(client, "start", { epoch: 1, lastTid: ZERO_TID, sessions: [], sessionMark: 0 });
  bench.lost(client, { error: LOST });

  assert.equal(bench.machine.load.phase, "serving");
});

test("StorageMachine makes a higher epoch durable before it answers the fence, and refuses lower ones (T18)", () => {
  const disk = storageDisk(1);
  const bench = storageBench(disk);
  const primary = serveStorage(bench, { epoch: 5 });
  const body = { epoch: 6, session: 2, node: asNode(2), image: tableOf().toImage() };

  const effects = bench.asked(primary, "fence", body);

  const saved = only(effects, "save").find(({ write }) => write.op === "epoch");
  assert.deepEqual(saved, { do: "save", write: { op: "epoch", epoch: 6 }, durable: true });
  disk.crash(0);
  const restarted = storageBench(disk);
  restarted.give({ type: "opened" });
  const { conn } = restarted.reached(PRIMARY, helloAs("master"));
  const [refusal] = only(restarted.asked(conn, "fence", { ...body, epoch: 5 }), "refuse");
  assert.equal(refusal?.error.code, "staleEpoch");
  assert.equal(restarted.machine.load.phase, "seeking");
});
