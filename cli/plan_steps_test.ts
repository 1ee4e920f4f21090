import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClusterConfig, NodeRole } from "./config.ts";
import { CliError } from "./exit.ts";
import type { PlannedNode, ProvisionPlan } from "./plan_file.ts";
import { nextSteps, textOf } from "./plan_steps.ts";
import type { Seen, SeenCluster } from "./plan_steps.ts";

const roles: { readonly [letter: string]: NodeRole } = { m: "master", s: "storage", a: "admin" };

function planned(name: string, more: Partial<PlannedNode> = {}): PlannedNode {
  const node = {
    name,
    role: roles[name[0]!]!,
    address: undefined,
    data: name,
    host: undefined,
    weight: 0,
    path: [],
  };
  return { ...node, ...more };
}

function planOf(...names: readonly string[]): ProvisionPlan {
  const rest = {
    folder: "/shop",
    cluster: "shop",
    partitions: 24,
    insecure: false,
    tls: false,
    here: undefined,
  };
  return { ...rest, replicas: 1, nodes: names.map((name) => planned(name)) };
}

function configOf(...names: readonly string[]): ClusterConfig {
  const nodes = names.map((name, at) => ({
    name,
    role: roles[name[0]!]!,
    address: `127.0.0.1:${9_000 + at}`,
    data: `/shop/${name}`,
    process: name,
  }));
  const rest = { clusterId: "", partitions: 24, replicas: 1, insecure: false, transactionTimeoutMs: 1 };
  return { folder: "/shop", cluster: "shop", ...rest, nodes };
}

/** A cluster with these nodes, all of which run and are members. */
function seen(names: readonly string[], more: Partial<SeenCluster> = {}): Seen {
  const members = (letter: string): string[] => names.filter((name) => name.startsWith(letter));
  const cluster: SeenCluster = {
    storages: members("s").map((name, at) => ({ name, index: at + 10, draining: false })),
    masters: members("m"),
    replicas: 1,
    config: [],
    isSpread: true,
    isWhole: true,
    ...more,
  };
  return { config: configOf(...names), running: new Set(names), cluster };
}

function doing(plan: ProvisionPlan, state: Seen): string[] {
  return nextSteps(plan, state).map((step) => {
    const name = "node" in step ? step.node.name : "name" in step ? step.name : undefined;
    return name === undefined ? step.do : `${step.do} ${name}`;
  });
}

test("nextSteps() of nothing makes the cluster and starts it", () => {
  const nothing: Seen = { config: undefined, running: new Set(), cluster: undefined };
  const steps = nextSteps(planOf("m1", "s1", "s2"), nothing);
  assert.deepEqual(steps, [{ do: "make" }, { do: "start", names: ["m1", "s1", "s2"] }]);
});

test("nextSteps() of a cluster as planned is nothing: doing it twice changes nothing", () => {
  assert.deepEqual(nextSteps(planOf("m1", "s1", "s2", "a1"), seen(["m1", "s1", "s2", "a1"])), []);
});

test("nextSteps() starts what doesn't run before it looks further", () => {
  const state = { ...seen(["m1", "s1", "s2"]), running: new Set(["m1", "s1"]), cluster: undefined };
  assert.deepEqual(nextSteps(planOf("m1", "s1", "s2", "s3"), state), [{ do: "start", names: ["s2"] }]);
});

test("nextSteps() adds what lacks, spreads copies when it is there, and waits until they are up to date", () => {
  const plan = planOf("m1", "s1", "s2", "s3", "a1");
  assert.deepEqual(doing(plan, seen(["m1", "s1", "s2"])), ["addStorage s3", "addAdmin a1"]);
  const all = ["m1", "s1", "s2", "s3", "a1"];
  assert.deepEqual(doing(plan, seen(all, { isSpread: false })), ["tweak"]);
  assert.deepEqual(doing(plan, seen(all, { isWhole: false })), ["await"]);
});

test("nextSteps() configures what the plan says, takes back what it doesn't, and revokes nothing less (T51)", () => {
  const names = ["m1", "s1", "s2"];
  const bytes = { scope: "cluster", key: "storage.copyBytesPerS", value: "5" };
  const revoked = { scope: "cluster", key: "tls.revoked", value: "ab" };
  const old = { scope: "role:storage", key: "log.level", value: "debug" };
  const plan = { ...planOf(...names), config: [bytes] };
  assert.deepEqual(nextSteps(plan, seen(names, { config: [revoked, old] })), [{
    do: "configure",
    changes: [bytes, { scope: "role:storage", key: "log.level", value: null }],
  }]);
  assert.deepEqual(nextSteps(plan, seen(names, { config: [bytes, revoked] })), []);
  assert.deepEqual(
    nextSteps(planOf(...names), seen(names, { config: [old] })),
    [],
    "a plan that says nothing of it",
  );
});

test("nextSteps() drains a storage that isn't planned, and forgets it when the cluster has", () => {
  const plan = planOf("m1", "s1", "s2");
  const names = ["m1", "s1", "s2", "s3"];
  assert.deepEqual(doing(plan, seen(names)), ["drain s3"]);
  const storages = seen(names).cluster!.storages.map((one) => ({ ...one, draining: one.name === "s3" }));
  assert.deepEqual(nextSteps(plan, seen(names, { storages, isWhole: false })), [{
    do: "await",
    names: ["s3"],
  }]);
  assert.deepEqual(doing(plan, seen(names, { storages: storages.slice(0, 2) })), ["forget s3"]);
});

test("nextSteps() removes one master at a time, and takes each out of the file behind it", () => {
  const names = ["m1", "m2", "m3", "s1", "s2"];
  const plan = planOf("m1", "s1", "s2");
  assert.deepEqual(doing(plan, seen(names)), ["removeMaster m2"]);
  assert.deepEqual(doing(plan, seen(names, { masters: ["m1", "m3"] })), ["removeMaster m3", "forget m2"]);
});

test("nextSteps() changes the number of copies", () => {
  const steps = nextSteps(planOf("m1", "s1", "s2"), seen(["m1", "s1", "s2"], { replicas: 0 }));
  assert.deepEqual(steps, [{ do: "setReplicas", from: 0, replicas: 1 }]);
  assert.equal(textOf(steps[0]!, planOf("m1")), "keep 2 copies instead of 1");
});

const fixed: readonly { what: string; plan: ProvisionPlan; says: RegExp }[] = [
  { what: "another cluster", plan: { ...planOf("m1"), cluster: "wiki" }, says: /there is shop, not wiki/ },
  {
    what: "other partitions",
    plan: { ...planOf("m1"), partitions: 25 },
    says: /has 24 partitions, .* wants 25/,
  },
  {
    what: "another role",
    plan: { ...planOf("s1"), nodes: [planned("m1", { role: "admin" })] },
    says: /role master, the plan wants admin/,
  },
  {
    what: "another address",
    plan: { ...planOf(), nodes: [planned("m1", { address: "h:1" })] },
    says: /address 127.0.0.1:9000/,
  },
  {
    what: "another folder",
    plan: { ...planOf(), nodes: [planned("m1", { data: "/x" })] },
    says: /wants them in \/x/,
  },
  {
    what: "another host",
    plan: { ...planOf(), here: "a", nodes: [planned("m1", { host: "a" })] },
    says: /host none, the plan wants a/,
  },
];

for (const { what, plan, says } of fixed) {
  test(`nextSteps() refuses ${what}, with what to do`, () => {
    assert.throws(() => nextSteps(plan, seen(["m1", "s1"])), (error) => {
      assert.ok(error instanceof CliError);
      assert.equal(error.outcome, "refused");
      assert.match(error.message, says);
      assert.notEqual(error.hint, "");
      return true;
    });
  });
}
