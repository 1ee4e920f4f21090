import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  asksOf,
  asNode,
  emptyReport,
  helloAs,
  masterBench,
  runMaster,
  storageHello,
  tableOf,
  tellsOf,
} from "../../tests/machines.ts";
import { MASTER_NEXT, movePhase } from "./phases.ts";
import type { Phase } from "./phases.ts";

const phases = Object.keys(MASTER_NEXT) as Phase[];
/** Written out here once more: a step that is added or dropped must be decided twice. */
const allowed: { readonly [from in Phase]: readonly Phase[] } = {
  recovering: ["recovering", "verifying", "stopping"],
  verifying: ["starting", "recovering", "stopping"],
  starting: ["running", "recovering", "stopping"],
  running: ["stopping", "recovering"],
  stopping: ["ended"],
  ended: [],
};
for (const from of phases) {
  for (const to of phases) {
    const may = allowed[from].includes(to);
    test(`movePhase() ${may ? "lets" : "doesn't let"} a cluster go from ${from} to ${to} (T18)`, () => {
      if (may) assert.equal(movePhase(from, to), to);
      else {
        const message = `Broken invariant: a cluster may go from ${from} to ${to}`;
        assert.throws(() => movePhase(from, to), { name: "InvariantError", message });
      }
    });
  }
}

test("MASTER_NEXT leads from every phase to the end (T18)", () => {
  const reached = new Set<Phase>(["ended"]);
  for (const _ of phases) {
    for (const from of phases) if (MASTER_NEXT[from].some((to) => reached.has(to))) reached.add(from);
  }
  assert.deepEqual([...reached].sort(), [...phases].sort());
});

test("A master's phase is written in one place, which asks the table (T18)", () => {
  const source = readFileSync(new URL("./site.ts", import.meta.url), "utf8");
  const writes = source.split("\n").filter((line) => /#phase(: Phase)? = /.test(line)).map((line) =>
    line.trim()
  );
  assert.deepEqual(writes, ['#phase: Phase = "recovering";', "this.#phase = movePhase(this.#phase, phase);"]);
});

test("MasterMachine goes through its phases at start-up, each at its own event (T18)", () => {
  const bench = masterBench();
  const seen: string[] = [];
  const at = <T>(event: string, effects: T): T => {
    seen.push(`${event}: ${bench.machine.view.phase}`);
    return effects;
  };
  at("opened", bench.give({ type: "opened" }));
  const [first, second] = [1, 2].map((number) =>
    at(`s${number} comes`, bench.comes(storageHello(number)).effects)
  );
  at("s1 is fenced", bench.answered(asksOf(first!, "fence")[0]!, emptyReport(tableOf())));
  const starts = at("s2 is fenced", bench.answered(asksOf(second!, "fence")[0]!, emptyReport(tableOf())));
  asksOf(starts, "start").forEach((start, i) => at(`s${i + 1} serves`, bench.answered(start, {})));

  assert.deepEqual(seen, [
    "opened: recovering",
    "s1 comes: recovering",
    "s2 comes: recovering",
    "s1 is fenced: recovering",
    "s2 is fenced: starting",
    "s1 serves: starting",
    "s2 serves: running",
  ]);
});

test("MasterMachine doesn't change its phase for news of nodes, or for what peers say of phases (T18)", () => {
  const bench = masterBench({ storages: 3 });
  const [s1] = runMaster(bench, { storages: 3 });
  const { conn: client } = bench.comes(helloAs("client"));
  const nodes = [{
    index: asNode(2),
    name: "s1",
    role: "storage",
    address: "s1:1",
    state: "unknown",
    session: 9,
  }];
  bench.told(s1!, "space", { low: true, freeBytes: 0 });
  for (const conn of [s1!, client]) {
    bench.told(conn, "nodes", { nodes });
    bench.told(conn, "phase", { phase: "ended", epoch: 9 });
    bench.told(conn, "shutdown", { epoch: 9 });
  }
  bench.comes(storageHello(9));
  bench.lost(client);

  assert.equal(bench.machine.view.phase, "running");
});

test("MasterMachine tells its followers of a phase by the message of that name, and not with nodes (T18)", () => {
  const bench = masterBench();
  runMaster(bench);
  const { conn } = bench.comes(helloAs("client"));

  const effects = bench.give({ type: "terminate" });

  assert.deepEqual(tellsOf(effects, "phase"), [{ conns: [conn], body: { phase: "stopping", epoch: 1 } }]);
  assert.deepEqual(tellsOf(effects, "nodes"), []);
});
