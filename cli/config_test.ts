import assert from "node:assert/strict";
import { test } from "node:test";
import { parseUri } from "../core/uri.ts";
import {
  formatConfig,
  isLoopback,
  listensAt,
  parseConfig,
  processesOf,
  selectProcesses,
  uriOf,
} from "./config.ts";
import { CliError } from "./exit.ts";

const ID = "0123456789abcdef0123456789abcdef";
const TOP = [`cluster = "shop"`, `clusterId = "${ID}"`, "partitions = 240", "replicas = 1"];
const MASTER = ["[[node]]", `name = "m1"`, `role = "master"`, `address = "127.0.0.1:9100"`, `data = "m1"`];
const STORAGE = ["[[node]]", `name = "s1"`, `role = "storage"`, `address = "127.0.0.1:9101"`, `data = "s1"`];

function textOf(...lines: readonly (readonly string[])[]): string {
  return lines.flat().join("\n");
}

test("parseConfig() reads nodes with folders relative to the file", () => {
  const config = parseConfig(textOf(TOP, MASTER, STORAGE), "/data/shop/neo.toml");

  assert.equal(config.folder, "/data/shop");
  assert.deepEqual(config.nodes[1], {
    name: "s1",
    role: "storage",
    address: "127.0.0.1:9101",
    data: "/data/shop/s1",
    process: "s1",
  });
  assert.equal(uriOf(config), "neo://shop@127.0.0.1:9100");
});

test("formatConfig() writes what parseConfig() reads", () => {
  const storage = [...STORAGE, `listen = "127.0.0.1:9301"`, `process = "single"`];
  const config = parseConfig(textOf(TOP, MASTER, storage), "/data/shop/neo.toml");
  assert.equal(config.nodes[1]?.listen, "127.0.0.1:9301");

  const text = formatConfig(config, ({ name }) => name);

  assert.deepEqual(parseConfig(text, "/data/shop/neo.toml"), config);
});

for (const address of ["[::1]:9100", "[0:0:0:0:0:0:0:1]:9100", "[0::1]:1"]) {
  test(`parseConfig() lets a node listen on ${address} (N14)`, () => {
    const master = [...MASTER.slice(0, 3), `address = "${address}"`, `data = "m1"`];
    const config = parseConfig(textOf(TOP, master), "/data/shop/neo.toml");
    assert.equal(uriOf(config), `neo://shop@${address}`);
    assert.ok(isLoopback(address));
  });
}
for (const address of ["[::]:1", "[fe80::1]:1", "[::2]:1", "[::1%25]:1", "[fe80::1%lo]:1"]) {
  test(`parseConfig() takes ${address} for one that others reach (N14)`, () => {
    const master = [...MASTER.slice(0, 3), `address = "${address}"`, `data = "m1"`];
    assert.throws(
      () => parseConfig(textOf(TOP, master), "/data/shop/neo.toml"),
      /can be reached from elsewhere/,
    );
    const config = parseConfig(textOf(["insecure = true"], TOP, master), "/data/shop/neo.toml");
    assert.equal(config.nodes[0]?.address, address);
  });
}

test("uriOf() writes a zone as URIs do (N14)", () => {
  const master = [...MASTER.slice(0, 3), `address = "[fe80::1%eth0]:9100"`, `data = "m1"`];
  const uri = uriOf(parseConfig(textOf(["insecure = true"], TOP, master), "/data/shop/neo.toml"));
  assert.equal(uri, "neo://shop@[fe80::1%25eth0]:9100");
  assert.deepEqual(parseUri(uri).masters, ["[fe80::1%eth0]:9100"]);
});

test("formatConfig() keeps the keys of multicast (T9)", () => {
  const keys = [`multicast = "239.1.2.3:9199"`, `multicastInterface = "127.0.0.1"`];
  const config = parseConfig(textOf(TOP, keys, MASTER), "/data/shop/neo.toml");
  assert.deepEqual(config.multicast, { group: "239.1.2.3:9199", networkInterface: "127.0.0.1" });
  assert.deepEqual(parseConfig(formatConfig(config, ({ name }) => name), "/data/shop/neo.toml"), config);
});

const wrong: readonly { what: string; text: string; says: RegExp }[] = [
  { what: "broken TOML", text: textOf(TOP, ["[[node]"]), says: /\(line 5, column \d+\)$/ },
  {
    what: "an unknown key",
    text: textOf(["clutser = 1"], TOP),
    says: /clutser: unknown key; .*line 1, column 1/,
  },
  {
    what: "an unknown key of a node",
    text: textOf(TOP, MASTER, STORAGE, ["  port = 1"]),
    says: /port of node 2: unknown key; .*\(line 15, column 3\)/,
  },
  { what: "a missing key", text: textOf(TOP.slice(1), MASTER), says: /cluster: expected .*found nothing/ },
  {
    what: "an override that the node wouldn't look at",
    text: textOf(TOP, MASTER, STORAGE, [`  override = { "client.oidBatch" = "5" }`]),
    says: /override of node 2: client\.oidBatch: it is for client, not for a storage/,
  },
  {
    what: "a missing key of a node",
    text: textOf(TOP, MASTER.slice(0, 4)),
    says: /data of node 1: expected a folder, found nothing \(line 5/,
  },
  {
    what: "partitions out of bounds",
    text: textOf(TOP.slice(0, 2), ["partitions = 0", "replicas = 1"], MASTER),
    says: /partitions: expected a whole number from 1 to 65536, found 0 \(line 3/,
  },
  {
    what: "a text for a number",
    text: textOf(TOP.slice(0, 3), [`replicas = "1"`], MASTER),
    says: /replicas: expected a whole number .*found "1" \(line 4/,
  },
  {
    what: "an unknown role",
    text: textOf(TOP, [...MASTER.slice(0, 2), `role = "boss"`, ...MASTER.slice(3)]),
    says: /role of node 1: expected one of master, storage, admin, found "boss" \(line 7/,
  },
  {
    what: "a name that two nodes have",
    text: textOf(TOP, MASTER, ["[[node]]", `name = "m1"`, ...STORAGE.slice(2)]),
    says: /name of node 2: "m1" is taken by node m1 \(line 11/,
  },
  {
    what: "a folder that two nodes have",
    text: textOf(TOP, MASTER, [...STORAGE.slice(0, 4), `data = "./m1"`]),
    says: /data of node 2: .* is taken by node m1/,
  },
  {
    what: "an address that others can reach, without TLS",
    text: textOf(TOP, MASTER, [...STORAGE.slice(0, 3), `address = "0.0.0.0:9101"`, `data = "s1"`]),
    says: /address of node 2: "0.0.0.0:9101" can be reached from elsewhere; .*insecure = true \(line 13/,
  },
  {
    what: "a listen address that others can reach, without TLS",
    text: textOf(TOP, MASTER, STORAGE, [`listen = "0.0.0.0:9101"`]),
    says: /listen of node 2: "0.0.0.0:9101" can be reached from elsewhere; .*insecure = true \(line 15/,
  },
  {
    what: "a listen address that is another node's address",
    text: textOf(TOP, MASTER, STORAGE, [`listen = "127.0.0.1:9100"`]),
    says: /listen of node 2: "127.0.0.1:9100" is taken by node m1 \(line 15/,
  },
  {
    what: "a cluster without master",
    text: textOf(TOP, STORAGE),
    says: /expected at least 1 node with role = "master", found none/,
  },
  {
    what: "nodes that are no tables",
    text: textOf(["node = 3"], TOP),
    says: /node: expected tables \[\[node\]\]/,
  },
];
for (const { what, text, says } of wrong) {
  test(`parseConfig() refuses ${what} and names the place`, () => {
    assert.throws(
      () => parseConfig(text, "/data/neo.toml"),
      (error) => error instanceof CliError && error.outcome === "usage" && says.test(error.message),
    );
  });
}

test("parseConfig() lets nodes listen beyond this machine when the file says that it is insecure", () => {
  const node = [...STORAGE.slice(0, 3), `address = "10.0.0.7:9101"`, `data = "s1"`];

  const config = parseConfig(textOf(["insecure = true"], TOP, MASTER, node), "/data/neo.toml");

  assert.equal(config.nodes[1]?.address, "10.0.0.7:9101");
});

test("parseConfig() lets a node listen on this machine only, and be reached elsewhere through something else", () => {
  const node = [
    ...STORAGE.slice(0, 3),
    `address = "db.example:9101"`,
    `listen = "[::1]:9301"`,
    `data = "s1"`,
  ];
  const config = parseConfig(textOf(TOP, MASTER, node), "/data/neo.toml");

  assert.deepEqual([config.nodes[1]!, config.nodes[0]!].map(listensAt), ["[::1]:9301", "127.0.0.1:9100"]);

  const same = parseConfig(textOf(TOP, MASTER, STORAGE, [`listen = "127.0.0.1:9101"`]), "/data/neo.toml");
  assert.equal(same.nodes[1]?.listen, undefined, "its own address says nothing new");
});

test("processesOf() puts nodes with one process key together, masters first", () => {
  const single = (lines: readonly string[]) => [...lines, `process = "single"`];
  const config = parseConfig(textOf(TOP, single(STORAGE), single(MASTER)), "/data/neo.toml");

  const names = processesOf(config).map(({ name, nodes }) => [name, nodes.map((node) => node.name)]);

  assert.deepEqual(names, [["single", ["m1", "s1"]]]);
  assert.equal(selectProcesses(config, ["s1"])[0]?.name, "single");
  assert.throws(() => selectProcesses(config, ["s9"]), /Cannot find node "s9"/);
});

test("parseConfig(): an admin may follow another cluster, nobody else, and it is written back (N5)", () => {
  const upstream = `upstream = "neo://shop@db1:9100,[::1]:9100?ca=a%20b&cert=c&key=k"`;
  const admin = [
    ...STORAGE.slice(0, 1),
    `name = "a1"`,
    `role = "admin"`,
    `address = "127.0.0.1:9102"`,
    `data = "a1"`,
  ];
  const config = parseConfig(textOf(TOP, MASTER, admin, [upstream]), "/data/neo.toml");
  assert.equal(config.nodes[1]?.upstream, "neo://shop@db1:9100,[::1]:9100?ca=a%20b&cert=c&key=k");
  const again = parseConfig(formatConfig(config, ({ data }) => data), "/data/neo.toml");
  assert.equal(again.nodes[1]?.upstream, config.nodes[1]?.upstream);
  assert.throws(
    () => parseConfig(textOf(TOP, MASTER, STORAGE, [upstream]), "/data/neo.toml"),
    /only admins follow/,
  );
  const half = textOf(TOP, MASTER, admin, [`upstream = "neo://shop@db1:1?ca=a"`]);
  assert.throws(() => parseConfig(half, "/data/neo.toml"), /says nothing of cert and key/);
  const wrong = textOf(TOP, MASTER, admin, [`upstream = "neo://shop"`]);
  assert.throws(() => parseConfig(wrong, "/data/neo.toml"), /upstream/);
});
