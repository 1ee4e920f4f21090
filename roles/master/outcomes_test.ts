/** What a storage says of an outcome, and whether it still may. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ttidOf } from "../../core/ids.ts";
import type { ClientSession } from "../../core/ids.ts";
import {
  answersOf,
  asPartition,
  asTid,
  helloAs,
  masterBench,
  only,
  runMaster,
  tellsOf,
} from "../../tests/machines.ts";

const shape = { storages: 2, replicas: 1, partitions: 1 };

/** A client has asked for an outcome, and the home cell that is asked is taken away before it answers. */
function scene() {
  const bench = masterBench(shape);
  runMaster(bench, shape);
  const operator = bench.comes(helloAs("admin", { name: "" })).conn;
  const { conn: client, effects } = bench.comes(helloAs("client"));
  const session = tellsOf(effects, "welcome")[0]!.body.session as ClientSession;
  const fateOf = (from: ReturnType<typeof bench.give>) =>
    only(from, "ask").find(({ message }) => message.name === "fate");
  const first = fateOf(bench.asked(client, "outcome", { ttid: ttidOf(session, 1), home: asPartition(0) }))!;
  return { bench, operator, first, fateOf };
}

test("B11: that a home cell knows nothing doesn't count once the cell is taken away: another one is asked", () => {
  const { bench, operator, first, fateOf } = scene();
  bench.asked(operator, "setReplicas", { replicas: 0 });
  bench.asked(operator, "drainNode", { name: "s1", undo: false });
  bench.asked(operator, "tweak", { ignored: [], dryRun: false });
  const row = bench.machine.view.table;
  assert.ok(/^0: \dU$/.test(row), `one copy is left: ${row}`);

  const effects = bench.answered(first, { tid: null });

  const isLeft = fateOf(effects) !== undefined;
  assert.deepEqual([answersOf(effects, "outcome"), isLeft], [[], true]);
  assert.notEqual(fateOf(effects)!.conn, first.conn);
});

test("B11: a home cell that knows the tid is believed, and so is one that knows nothing while it is the same", () => {
  for (const tid of [asTid(7), null]) {
    const { bench, first } = scene();
    assert.deepEqual(answersOf(bench.answered(first, { tid }), "outcome"), [{ tid }]);
  }
});
