/** What a process of nodes may do. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseConfig, processesOf } from "../../cli/config.ts";
import { spawnProcess } from "../../cli/daemons.ts";
import { logFileOf } from "../../cli/log_tail.ts";
import { confined, permissionsOf } from "../../cli/permissions.ts";
import { CliCluster, testWith, within } from "./kit.ts";

const need = { met: process.versions["deno"] !== undefined, reason: "only Deno has permissions" };

testWith(
  need,
  "a node that start begins reads and writes its own folder, meets its cluster, and can do no more",
  async () => {
    await using cluster = await CliCluster.init({ storages: 1, partitions: 2 });
    const { config } = cluster;
    const group = processesOf(config).find(({ name }) => name === "s1")!;
    const probe = fileURLToPath(new URL("permissions_probe.ts", import.meta.url));
    const world = { self: [process.execPath, "run", "-A", "--quiet", probe], env: cluster.around.env };

    const spawned = spawnProcess(config, group, { ...world } as never);
    await within("the probe's end", spawned.ended);

    const lines = readFileSync(logFileOf(config, group.name), "utf8").trim().split("\n");
    assert.deepEqual(JSON.parse(lines.at(-1)!), {
      "reads neo.toml": "yes",
      "writes neo.toml": "refused",
      "reads its folder": "yes",
      "writes its folder": "yes",
      "writes its log": "yes",
      "reads another node's folder": "refused",
      "writes another node's folder": "refused",
      "reads /etc/passwd": "refused",
      "listens on 127.0.0.1": "yes",
      "connects to 127.0.0.1": "yes",
      "listens for everybody": "refused",
      "connects elsewhere": "refused",
      "sends datagrams": "refused",
      "runs a program": "refused",
      "signals another process": "refused",
      "knows its NEO_ variables": "yes",
      "knows HOME": "refused",
      "knows all variables": "refused",
      "knows the machine's name": "refused",
    });
  },
);

const TOP = `cluster = "shop"\nclusterId = "${
  "0".repeat(32)
}"\npartitions = 1\nreplicas = 0\ninsecure = true\n`;
const nodeAt = (address: string, more = ""): string =>
  `[[node]]\nname = "m1"\nrole = "master"\naddress = "${address}"\ndata = "m,1"\n${more}`;
const flagsOf = (text: string): string[] => {
  const config = parseConfig(text, "/data/shop/neo.toml");
  return permissionsOf(config, processesOf(config)[0]!);
};

test("permissionsOf() lets nodes of several machines meet any address, those of one machine this machine only", () => {
  assert.ok(flagsOf(TOP + nodeAt("10.0.0.1:9100")).includes("--allow-net"));
  assert.ok(flagsOf(TOP + nodeAt("[::1]:9100")).includes("--allow-net=127.0.0.1,[::1],localhost"));
});

test("permissionsOf() lets datagrams out if neo.toml wants multicast", () => {
  const [net] = flagsOf(`${TOP}multicast = "239.1.2.3:9199"\n${nodeAt("127.0.0.1:9100")}`).filter((flag) =>
    flag.includes("net")
  );
  assert.equal(net, "--allow-net=127.0.0.1,[::1],localhost,239.1.2.3,0.0.0.0,[::]");
});

test("permissionsOf() writes commas of folders twice", () => {
  assert.ok(flagsOf(TOP + nodeAt("[::1]:9100")).includes("--allow-write=/data/shop/m,,1,/data/shop/log"));
});

test("confined() leaves a runtime as it is that has no such flags", () => {
  assert.deepEqual(confined(["--disable-warning=x", "main.ts"], ["--allow-net"]), [
    "--disable-warning=x",
    "main.ts",
  ]);
  assert.deepEqual(confined(["run", "-A", "main.ts"], ["--allow-net"]), ["run", "--allow-net", "main.ts"]);
});
