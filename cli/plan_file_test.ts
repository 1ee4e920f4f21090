import assert from "node:assert/strict";
import { test } from "node:test";
import { CliError } from "./exit.ts";
import { parsePlan } from "./plan_file.ts";

const NODES = `
[[node]]
name = "m1"
role = "master"
[[node]]
name = "s1"
role = "storage"
weight = 2
path = "east/host7"
`;

test("parsePlan() fills in what isn't said", () => {
  const plan = parsePlan(`cluster = "shop"\n${NODES}`, "/etc/plan.toml");
  const { nodes, ...rest } = plan;
  assert.deepEqual(rest, {
    folder: "/etc/shop",
    cluster: "shop",
    partitions: 240,
    replicas: 0,
    insecure: false,
    tls: false,
    here: undefined,
  });
  const s1 = { name: "s1", role: "storage", address: undefined, data: "s1", host: undefined };
  assert.deepEqual(nodes[1], { ...s1, weight: 2, path: ["east", "host7"] });
});

test("parsePlan() reads what is to be configured, and what nodes show (T51, P7)", () => {
  const shown = 'http = "127.0.0.1:9180"\nhttpTokenFile = "s1.token"\n';
  const config = '[config.cluster]\n"client.oidBatch" = 7\n[config.node.s1]\n"log.level" = "debug"\n';
  const plan = parsePlan(`cluster = "shop"\n${NODES}${shown}${config}`, "/etc/plan.toml");
  assert.deepEqual(plan.config, [
    { scope: "cluster", key: "client.oidBatch", value: "7" },
    { scope: "node:s1", key: "log.level", value: "debug" },
  ]);
  assert.deepEqual([plan.nodes[1]?.http, plan.nodes[1]?.httpTokenFile], ["127.0.0.1:9180", "s1.token"]);
});

const wrong: readonly { what: string; text: string; says: RegExp }[] = [
  {
    what: "an unknown key",
    text: `cluster = "s"\nreplica = 1\n${NODES}`,
    says: /replica: unknown key.*line 2/,
  },
  {
    what: "two masters",
    text: `cluster = "s"\n${NODES}[[node]]\nname = "m2"\nrole = "master"`,
    says: /found 2/,
  },
  {
    what: "too few storages",
    text: `cluster = "s"\nreplicas = 1\n${NODES}`,
    says: /replicas: .*there are 1: .*found 1/,
  },
  {
    what: "a name twice",
    text: `cluster = "s"\n${NODES}[[node]]\nname = "s1"\nrole = "storage"`,
    says: /"s1" is taken/,
  },
  {
    what: "a host without a machine that this one is",
    text: `cluster = "s"\n${NODES}host = "db2"`,
    says: /host of node 2: .*here = /,
  },
  {
    what: "a node of another machine without an address",
    text: `cluster = "s"\nhere = "db1"\n${NODES}host = "db2"`,
    says: /address of node 2: expected host:port, because db2/,
  },
  {
    what: "a folder of another machine that is absolute",
    text: `cluster = "s"\nhere = "db1"\n${NODES}host = "db2"\naddress = "10.0.0.2:9101"\ndata = "/srv/s1"`,
    says: /data of node 2: expected a folder seen from/,
  },
  {
    what: "a folder of another machine outside of the cluster's",
    text: `cluster = "s"\nhere = "db1"\n${NODES}host = "db2"\naddress = "10.0.0.2:9101"\ndata = "x/../../s1"`,
    says: /data of node 2: expected a folder seen from/,
  },
  {
    what: "two nodes in one folder",
    text: `cluster = "s"\n${NODES}data = "./m1/"`,
    says: /data of node 2: "\.\/m1\/" is taken by node m1/,
  },
  {
    what: "a master with a weight",
    text: `cluster = "s"\n${NODES}[[node]]\nname = "a"\nrole = "admin"\nweight = 1`,
    says: /weight of node 3/,
  },
  {
    what: "a value that can't be configured",
    text: `cluster = "s"\n${NODES}[config.cluster]\n"client.oidBatch" = 0`,
    says: /client\.oidBatch: expected a whole number from 1/,
  },
  {
    what: "a place that is none",
    text: `cluster = "s"\n${NODES.replace("east/", "east//")}`,
    says: /path of node 2/,
  },
];

for (const { what, text, says } of wrong) {
  test(`parsePlan() refuses ${what}, naming key and line`, () => {
    assert.throws(() => parsePlan(text, "/etc/plan.toml"), (error) => {
      assert.ok(error instanceof CliError);
      assert.equal(error.outcome, "usage");
      assert.match(error.message, says);
      return true;
    });
  });
}
