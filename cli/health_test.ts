import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClusterStatus } from "./ask.ts";
import type { NodeRole } from "./config.ts";
import { exitCodeOf, summaryOf, viewOf } from "./health.ts";
import type { Findings, LocalNode } from "./health.ts";
import type { ProcessState } from "./pid_file.ts";

const NODES = [["m1", "master"], ["s1", "storage"], ["s2", "storage"], ["a1", "admin"]] as const;

function local(states: { readonly [name: string]: ProcessState["state"] } = {}): LocalNode[] {
  return NODES.map(([name, role], index) => {
    const state = states[name] ?? "running";
    const address = `127.0.0.1:${9100 + index}`;
    const file = { pid: 100 + index, startTime: 1, role, name, address, version: "1.2.3", listens: true };
    const config = { name, role: role as NodeRole, address, data: `/data/${name}`, process: name };
    return { config, process: state === "stopped" ? { state } : { state, file }, lastLog: ["the end"] };
  });
}

function status(change: Partial<ClusterStatus> = {}, down: readonly string[] = []): ClusterStatus {
  const nodes = NODES.map(([name, role], index) => {
    const [isDown, cells] = [down.includes(name), role === "storage" ? 240 : 0];
    const state = isDown ? "unavailable" : "running";
    const readable = isDown ? 0 : cells;
    return { index, name, role, address: `127.0.0.1:${9100 + index}`, state, cells, readable, problem: null };
  });
  return {
    clusterId: "id",
    cluster: "shop",
    state: "running",
    primary: "m1",
    epoch: 1,
    generation: 1,
    version: 7,
    partitions: 240,
    replicas: 1,
    origin: "",
    backup: null,
    pack: null,
    oldestSnapshot: null,
    lastTid: 0x0400000000000000n as ClusterStatus["lastTid"],
    clients: 2,
    waitingFor: "",
    nodes,
    ...change,
  };
}

function findings(change: Partial<Findings>): Findings {
  const known = { clusterId: "id", partitions: 240, replicas: 1 };
  return {
    cluster: "shop",
    uri: "neo://shop@127.0.0.1:9100",
    known,
    status: status(),
    problem: "",
    local: local(),
    ...change,
  };
}

test("viewOf() is healthy when all runs and each partition has all its copies", () => {
  const view = viewOf(findings({}));

  assert.equal(
    summaryOf(view),
    "shop: healthy, 1/1 masters, 2/2 storages, every partition has 2 of 2 copies",
  );
  assert.deepEqual(view.problems, []);
  assert.equal(view.lastTid, "0400000000000000");
  assert.equal(view.nodes[1]?.pid, 101);
  assert.equal(exitCodeOf(view, true), 0);
});

const cases: readonly {
  what: string;
  found: Partial<Findings>;
  summary: RegExp;
  problems: RegExp;
  exitCode: number;
}[] = [
  {
    what: "a stopped cluster",
    found: {
      status: undefined,
      local: local({ m1: "stopped", s1: "stopped", s2: "stopped", a1: "stopped" }),
    },
    summary: /^shop: stopped$/,
    problems: /^$/,
    exitCode: 3,
  },
  {
    what: "a cluster whose nodes have all crashed",
    found: {
      status: undefined,
      local: local({ m1: "crashed", s1: "crashed", s2: "crashed", a1: "crashed" }),
    },
    summary: /^shop: stopped$/,
    problems: /^node m1 has crashed\nnode s1 has crashed/,
    exitCode: 3,
  },
  {
    what: "a crashed storage",
    found: { status: status({}, ["s2"]), local: local({ s2: "crashed" }) },
    summary: /^shop: degraded, 1\/1 masters, 1\/2 storages, 240 of 480 copies are up to date$/,
    problems: /^node s2 has crashed\n240 copies of partitions aren't up to date$/,
    exitCode: 4,
  },
  {
    what: "a crashed master",
    found: { status: undefined, problem: "Cannot reach the primary", local: local({ m1: "crashed" }) },
    summary: /^shop: unreachable$/,
    problems: /^Cannot reach the primary\nnode m1 has crashed$/,
    exitCode: 4,
  },
  {
    what: "a cluster that waits for a storage",
    found: {
      status: status({ state: "recovering", waitingFor: "storage s2" }, ["s2"]),
      local: local({ s2: "stopped" }),
    },
    summary: /^shop: recovering, 1\/1 masters, 1\/2 storages/,
    problems: /^the cluster is recovering: it waits for storage s2\nnode s2 is stopped\n/,
    exitCode: 4,
  },
  {
    what: "a cluster without its admin",
    found: { local: local({ a1: "stopped" }) },
    summary: /^shop: degraded, .*every partition has 2 of 2 copies$/,
    problems: /^node a1 is stopped$/,
    exitCode: 4,
  },
];
for (const { what, found, summary, problems, exitCode } of cases) {
  test(`viewOf() describes ${what}; the exit code is ${exitCode}`, () => {
    const view = viewOf(findings(found));

    assert.match(summaryOf(view), summary);
    assert.match(view.problems.join("\n"), problems);
    assert.equal(view.healthy, false);
    assert.equal(exitCodeOf(view, true), exitCode);
  });
}

test("viewOf() shows the end of the log of crashed nodes only", () => {
  const { nodes } = viewOf(findings({ local: local({ s2: "crashed" }) }));

  assert.deepEqual(nodes.map(({ lastLog }) => lastLog), [undefined, undefined, ["the end"], undefined]);
});

test("viewOf() of a cluster elsewhere lists its nodes; 5 when it doesn't answer", () => {
  const there = viewOf(findings({ local: [] }));
  const away = viewOf(findings({ local: [], status: undefined, problem: "Cannot reach the primary" }));

  assert.deepEqual(there.nodes.map(({ name, pid }) => [name, pid]), NODES.map(([name]) => [name, null]));
  assert.equal(exitCodeOf(there, false), 0);
  assert.equal(exitCodeOf(away, false), 5);
});
