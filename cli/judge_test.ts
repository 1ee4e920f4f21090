import assert from "node:assert/strict";
import { test } from "node:test";
import { CLOCK_AHEAD_MS_MAX, DISK_FREE_BYTES_PROBLEM, DISK_FREE_BYTES_WARNING } from "../core/limits.ts";
import { tidOfDate } from "../core/tid.ts";
import type { ClusterStatus } from "./ask.ts";
import { judge, worstOf } from "./judge.ts";
import type { Look } from "./judge.ts";

const WALL_MS = Date.UTC(2026, 0, 1);
type Node = ClusterStatus["nodes"][number];
const node = (name: string, role: string, change: Partial<Node> = {}): Node => {
  const cells = role === "storage" ? 12 : 0;
  const state = "running";
  return { index: 1, name, role, address: "h:1", state, cells, readable: cells, problem: null, ...change };
};

function look(change: Partial<ClusterStatus> = {}, more: Partial<Look> = {}): Look {
  const nodes = [node("m1", "master"), node("s1", "storage"), node("s2", "storage")];
  const numbers = { epoch: 1, generation: 1, version: 1, partitions: 12, replicas: 1, clients: 0 };
  const lastTid = tidOfDate(WALL_MS - 1_000);
  const texts = {
    clusterId: "id",
    cluster: "shop",
    state: "running",
    primary: "m1",
    origin: "",
    backup: null,
    pack: null,
    oldestSnapshot: null,
    waitingFor: "",
  };
  const status = { ...texts, ...numbers, lastTid, nodes, ...change };
  return { status, problem: "", wallMs: WALL_MS, disks: [{ node: "s1", freeBytes: 10 ** 12 }], ...more };
}

function found(change: Look): string[] {
  return judge(change).map(({ check, severity, text }) => `${check} ${severity}: ${text}`);
}

/** The usual three, with one change to one of them. */
const nodes = (...changed: Node[]): { nodes: Node[] } => ({
  nodes: look().status!.nodes.map((one) => changed.find(({ name }) => name === one.name) ?? one),
});

test("judge() takes what is configured in the cluster for its bounds (T51, T54)", () => {
  const set = (key: string, value: number): { scope: string; key: string; value: string } => ({
    scope: "cluster",
    key,
    value: String(value),
  });
  const more = {
    disks: [{ node: "s1", freeBytes: 10 ** 12 }, { node: "s2", freeBytes: 10 ** 10 }],
    certificates: [{ of: "master m1", untilMs: WALL_MS + 40 * 24 * 3_600_000 }],
  };
  const ahead = { lastTid: tidOfDate(WALL_MS + 1_500) };
  assert.deepEqual(found(look(ahead, more)), []);
  const settings = [
    set("check.diskBytesWarning", 2 * 10 ** 12),
    set("check.diskBytesProblem", 10 ** 11),
    set("check.certificateDaysWarning", 41),
    set("check.clockAheadMsMax", 1_000),
  ];
  const checks = judge(look(ahead, { ...more, settings })).map(({ check, severity }) =>
    `${check} ${severity}`
  );
  assert.deepEqual(checks, ["disk problem", "clock warning", "disk warning", "certs warning"]);
});

test("judge: a backup that nobody copies to, or that can't follow, is a problem; one that is far behind a warning (N5, N13)", () => {
  const of = "shop";
  const newest = tidOfDate(WALL_MS - 1_000);
  const backup = { of, follower: "f1", newest, problem: "" };
  assert.deepEqual(found(look({ backup })), []);
  const behind = { backup, lastTid: tidOfDate(WALL_MS - 91_000) };
  assert.deepEqual(found(look(behind)), ["backup warning: the backup is 90 s behind shop"]);
  const settings = [{ scope: "cluster", key: "check.backupBehindMsMax", value: "100000" }];
  assert.deepEqual(found(look(behind, { settings })), []);
  assert.deepEqual(found(look({ backup: { ...backup, newest: null } })), []);
  assert.deepEqual(found(look({ backup: { ...backup, problem: "no answer" } })), [
    "backup problem: no answer",
  ]);
  const [nobody] = found(look({ backup: { ...backup, follower: "" } }));
  assert.match(nobody ?? "", /^backup problem: nobody copies shop to it/);
});

test("judge: a cluster as it should be is ok, and so is one that is empty (N13)", () => {
  assert.deepEqual(found(look()), []);
  assert.deepEqual(found(look({ lastTid: 0n as ClusterStatus["lastTid"] })), []);
  assert.equal(worstOf(judge(look())), "ok");
});

test("judge: no answer, no operation, and a lost storage are problems (N13, T57)", () => {
  const silent = look({}, { status: undefined, problem: "refused" });
  assert.deepEqual(found(silent), ["connection problem: no primary answers: refused"]);
  assert.deepEqual(found(look({ state: "recovering", waitingFor: "s1" })), [
    "cluster problem: the cluster is recovering: it waits for s1",
  ]);
  const lost = nodes(node("s2", "storage", { state: "unavailable", readable: 0 }));
  assert.deepEqual(found(look(lost)), [
    "cluster problem: storage s2 is unavailable",
    "replication warning: 12 of 12 copies on s2 aren't up to date",
  ]);
  assert.deepEqual(found(look(nodes(node("m1", "master", { state: "unavailable" })))), [
    "cluster problem: master m1 is unavailable",
  ]);
});

test("judge: copies that catch up or are missing, and a storage nobody misses, are warnings (N13)", () => {
  const late = nodes(node("s2", "storage", { readable: 11 }));
  assert.deepEqual(found(look(late)), ["replication warning: 1 of 12 copies on s2 aren't up to date"]);
  assert.deepEqual(found(look({ replicas: 2 })), [
    "replication warning: 12 copies of partitions have no storage: add one, then tweak the table",
  ]);
  const empty = {
    nodes: [...look().status!.nodes, node("s3", "storage", { cells: 0, readable: 0, state: "unavailable" })],
  };
  assert.deepEqual(found(look(empty)), ["cluster warning: storage s3 is unavailable"]);
  const stranger = {
    nodes: [
      ...look().status!.nodes,
      node("s4", "storage", { cells: 0, readable: 0, state: "unknown", problem: "p" }),
    ],
  };
  assert.deepEqual(found(look(stranger)), ["cluster warning: storage s4 isn't a member: p"]);
});

test("judge: disks are judged at their bounds, and by what their storage says (N13)", () => {
  const disk = (freeBytes: number) => found(look({}, { disks: [{ node: "s1", freeBytes }] }));
  assert.deepEqual(disk(DISK_FREE_BYTES_WARNING), []);
  assert.match(disk(DISK_FREE_BYTES_WARNING - 1)[0]!, /^disk warning/);
  assert.match(disk(DISK_FREE_BYTES_PROBLEM)[0]!, /^disk warning/);
  assert.match(disk(DISK_FREE_BYTES_PROBLEM - 1)[0]!, /^disk problem/);
  assert.deepEqual(found(look(nodes(node("s1", "storage", { problem: "its disk is short" })))), [
    "disk problem: s1: its disk is short",
  ]);
});

test("judge: a newest tid ahead of the clock is a warning (N13)", () => {
  const ahead = (ms: number) => found(look({ lastTid: tidOfDate(WALL_MS + ms) }));
  assert.deepEqual(ahead(CLOCK_AHEAD_MS_MAX - 1), []);
  assert.deepEqual(ahead(60_000), [
    "clock warning: the newest transaction is 60 s ahead of this machine's clock",
  ]);
});

test("judge: the worst stands first, and an admin that is away is nobody's finding", () => {
  const change = nodes(
    node("s1", "storage", { readable: 0 }),
    node("s2", "storage", { state: "unavailable" }),
  );
  const all = judge(look({ nodes: [...change.nodes, node("a1", "admin", { state: "unavailable" })] }));
  assert.deepEqual(all.map(({ severity }) => severity), ["problem", "warning"]);
  assert.equal(worstOf(all), "problem");
  assert.equal(worstOf(all.slice(1)), "warning");
});

test("judge: certificates that end soon are a warning, ended ones a problem (N6, N13)", () => {
  const day = 24 * 3_600_000;
  const certificates = [
    { of: "storage s1", untilMs: WALL_MS + 31 * day },
    { of: "storage s2", untilMs: WALL_MS + 3 * day },
    { of: "client app", untilMs: WALL_MS - 1 },
  ];
  assert.deepEqual(found(look({}, { certificates })), [
    "certs problem: the certificate of client app has ended: neo tls renew",
    "certs warning: the certificate of storage s2 ends in 3 days: neo tls renew",
  ]);
});
