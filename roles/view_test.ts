import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "../adapters/system.ts";
import type { Conn } from "../core/ids.ts";
import type { Body, TellMessage, TellName } from "../core/messages.ts";
import { PartitionTable } from "../core/partition_table.ts";
import { asNode, asPartition, asTid, tableOf, welcomeOf } from "../tests/machines.ts";
import { View } from "./view.ts";

const conn = 1 as Conn;

function viewOf(): View {
  const view = new View(sha256);
  assert.equal(
    view.welcome(welcomeOf({ epoch: 5, lastTid: asTid(100), truncations: 1, session: 7 })),
    undefined,
  );
  return view;
}

function tell<N extends TellName>(view: View, name: N, body: Body<N>) {
  return view.told(conn, { name, body } as unknown as TellMessage, "whole table");
}

/** Outdates s2's cell of partition 0, as the primary would tell it. */
function change(more: Partial<Body<"tableChange">> = {}): Body<"tableChange"> {
  const next = tableOf();
  const cells = [{ partition: asPartition(0), node: asNode(3), state: "outOfDate", since: 2 }];
  next.apply(2, cells);
  return { generation: 1, base: 1, version: 2, digest: next.digest(sha256), cells, epoch: 5, ...more };
}

test("View.welcome() takes the primary's table, nodes, session and last tid (T15)", () => {
  const view = viewOf();
  assert.deepEqual([view.epoch, view.lastTid, view.session, view.phase], [5, 100n, 7, "running"]);
  assert.equal(view.table?.toString(), tableOf().toString());
  assert.deepEqual([...view.nodes.values()].map(({ name, state }) => [name, state]), [
    ["s1", "running"],
    ["s2", "running"],
  ]);
});

const refusals = [
  { what: "a lower epoch", welcome: { epoch: 4, lastTid: asTid(200), truncations: 1 }, names: /epoch 4.*5/ },
  {
    what: "a lower last tid",
    welcome: { epoch: 6, lastTid: asTid(99), truncations: 1 },
    names: /last tid 99.*100/,
  },
  {
    what: "another cluster id",
    welcome: { epoch: 6, lastTid: asTid(200), clusterId: "c-2" },
    names: /c-2.*c-1/,
  },
];
for (const { what, welcome, names } of refusals) {
  test(`View.welcome() refuses ${what}, names both sides, and keeps what it has (T15)`, () => {
    const view = viewOf();
    const why = view.welcome(welcomeOf(welcome));
    assert.match(why ?? "", names);
    assert.deepEqual([view.epoch, view.lastTid, view.clusterId], [5, 100n, "c-1"]);
  });
}

test("View.welcome() takes a lower last tid with a table of a later generation: its masters were lost (B12)", () => {
  const view = viewOf();
  const { version, replicas } = tableOf();
  const rows = Array.from({ length: tableOf().partitions }, (_, at) => [...tableOf().cells(asPartition(at))]);
  const image = new PartitionTable({ generation: 2, version: version + 1, replicas, rows }).toImage();
  const next = { epoch: 1_005, lastTid: asTid(50), truncations: 1, image };
  assert.equal(view.welcome(welcomeOf(next)), undefined);
  assert.deepEqual([view.lastTid, view.generation], [50n, 2]);
  assert.match(view.welcome(welcomeOf({ ...next, lastTid: asTid(49) })) ?? "", /last tid 49.*50/);
});

test("View.welcome() takes a lower last tid when more was truncated, and the same epoch again", () => {
  const view = viewOf();
  assert.equal(view.welcome(welcomeOf({ epoch: 5, lastTid: asTid(100), truncations: 1 })), undefined);
  assert.equal(view.welcome(welcomeOf({ epoch: 6, lastTid: asTid(50), truncations: 2 })), undefined);
  assert.equal(view.lastTid, 50n);
});

test("View.welcome() forgets nodes that the primary doesn't name", () => {
  const view = viewOf();
  view.welcome(welcomeOf({ epoch: 6, lastTid: asTid(100), truncations: 1, nodes: [] }));
  assert.equal(view.nodes.size, 0);
});

test("View.told() applies a difference of the table whose digest fits", () => {
  const view = viewOf();
  assert.equal(tell(view, "tableChange", change()), undefined);
  assert.equal(view.table?.version, 2);
  assert.equal(view.table?.cell(asPartition(0), asNode(3))?.state, "outOfDate");
});

const misfits = [
  { what: "a later base", body: { base: 3, version: 4 } },
  { what: "an earlier base", body: { base: 0, version: 1 } },
  { what: "another generation", body: { generation: 2 } },
  { what: "another digest", body: { digest: new Uint8Array(16) } },
  { what: "a short digest", body: { digest: new Uint8Array() } },
];
for (const { what, body } of misfits) {
  test(`View.told() asks for the whole table after a difference with ${what}, and keeps its own until then`, () => {
    const view = viewOf();

    const question = tell(view, "tableChange", change(body));

    assert.equal(question?.message.name, "askTable");
    assert.deepEqual([question?.conn, question?.context], [conn, "whole table"]);
    assert.equal(view.table?.toString(), tableOf().toString());
  });
}

test("View.told() takes whole tables, nodes and phases, each by its own message (T18)", () => {
  const view = viewOf();
  const node = { ...view.nodes.get(asNode(2))!, state: "unavailable" };

  tell(view, "nodes", { nodes: [node] });
  assert.deepEqual([view.nodes.get(asNode(2))?.state, view.nodes.get(asNode(3))?.state], [
    "unavailable",
    "running",
  ]);
  assert.equal(view.phase, "running");

  tell(view, "phase", { phase: "stopping", epoch: 5 });
  assert.equal(view.phase, "stopping");

  const other = tableOf({ storages: 3, partitions: 6 });
  tell(view, "table", { image: other.toImage(), epoch: 5 });
  assert.equal(view.table?.toString(), other.toString());
});
