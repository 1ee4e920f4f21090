/** A plan, and a cluster of real processes that is brought to it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { systemRandom } from "../../adapters/system.ts";
import { readConfig } from "../../cli/config.ts";
import { findPorts } from "../../cli/ports.ts";
import { neo, neoProcess } from "../cli_world.ts";
import { CliCluster, eventually, testWith } from "./kit.ts";
import { Load } from "./load.ts";

const LETTERS: { readonly [letter: string]: string } = { m: "master", s: "storage", a: "admin" };

function planOf(
  nodes: readonly string[],
  more: { readonly replicas?: number; readonly partitions?: number } = {},
): string {
  const { replicas = 1, partitions = 12 } = more;
  const tables = nodes.map((name) => `[[node]]\nname = "${name}"\nrole = "${LETTERS[name[0]!]}"\n`);
  return `cluster = "shop"\nreplicas = ${replicas}\npartitions = ${partitions}\n${tables.join("")}`;
}

async function provisionIn(
  { cluster, plan, env = {} }: {
    readonly cluster: CliCluster;
    readonly plan: string;
    readonly env?: { readonly [name: string]: string };
  },
  ...flags: readonly string[]
) {
  const file = cluster.beside("plan.toml");
  writeFileSync(file, plan);
  const result = await neo(["provision", file, "--wait", "60", ...flags], {
    env: { ...cluster.around.env, ...env },
    cwd: cluster.beside(""),
  });
  if (existsSync(join(cluster.folder, "neo.toml"))) cluster.reload();
  return result;
}

function provision(cluster: CliCluster, plan: string, ...flags: readonly string[]) {
  return provisionIn({ cluster, plan }, ...flags);
}

const stepsOf = (
  result: { readonly json: { readonly steps: readonly { readonly do: string }[] } },
): string[] => result.json.steps.map((step) => step.do);

test("provision makes what the plan says, changes nothing the second time, and follows the plan under load", async () => {
  await using cluster = new CliCluster();
  const first = planOf(["m1", "s1", "s2", "a1"]);
  const dry = await provision(cluster, first, "--dry-run", "--json");
  assert.deepEqual([stepsOf(dry), existsSync(cluster.folder)], [["make", "start"], false]);
  const made = await provision(cluster, first, "--json");
  assert.equal(made.exitCode, 0, made.stderr);
  assert.deepEqual([made.json.changed, stepsOf(made)], [true, ["make", "start"]]);
  const again = await provision(cluster, first, "--json");
  assert.deepEqual([again.exitCode, again.json.changed, stepsOf(again)], [0, false, []]);
  const configured = `${first}[config.role.storage]\n"storage.copyBytesPerS" = 50_000_000\n`;
  assert.deepEqual(stepsOf(await provision(cluster, configured, "--json")), ["configure"]);
  assert.deepEqual(stepsOf(await provision(cluster, configured, "--json")), []);

  const load = await Load.on(cluster);
  load.run();
  await load.acknowledge(20);
  const second = planOf(["m1", "s2", "s3", "s4", "a1"], { replicas: 2 });
  const followed = await provision(cluster, second, "--json");
  assert.equal(followed.exitCode, 0, followed.stderr);
  assert.deepEqual(stepsOf(followed).slice(0, 4), ["addStorage", "addStorage", "setReplicas", "drain"]);
  assert.deepEqual(stepsOf(followed).slice(-2), ["await", "forget"]);
  assert.equal((await provision(cluster, second, "--json")).json.changed, false);
  assert.deepEqual(cluster.nodes("storage").map(({ name }) => name), ["s2", "s3", "s4"]);
  assert.ok(existsSync(join(cluster.folder, "s1", "storage.sqlite")), "no data folder is deleted");
  await load.acknowledge(20);
  await load.rest();
  await load.check(await cluster.connect());
});

test("provision starts what has been stopped, and refuses what can't be changed", async () => {
  await using cluster = new CliCluster();
  const plan = planOf(["m1", "s1"], { replicas: 0 });
  assert.equal((await provision(cluster, plan)).exitCode, 0);
  await cluster.stop("s1");
  assert.deepEqual(stepsOf(await provision(cluster, plan, "--json")), ["start"]);
  const refused = await provision(cluster, planOf(["m1", "s1"], { replicas: 0, partitions: 13 }));
  assert.equal(refused.exitCode, 6);
  assert.match(refused.stderr, /it has 12 partitions, the plan wants 13\nHint: .*fixed for ever/);
  const wrong = await provision(cluster, `${plan}\nhost = "db2"`);
  assert.deepEqual([wrong.exitCode, /host of node 2/.test(wrong.stderr)], [2, true]);
});

test("provision --bundle writes what another machine needs, certificates too: its nodes join when it is started there (N6)", async () => {
  await using cluster = new CliCluster();
  const [port] = await findPorts(1, undefined, systemRandom());
  const plan = `here = "db1"\ntls = true\n${
    planOf(["m1", "s1", "s2"])
  }host = "db2"\naddress = "127.0.0.1:${port}"\n`;
  const file = cluster.beside("plan.toml");
  writeFileSync(file, plan);
  const around = { env: cluster.around.env, cwd: cluster.beside("") };
  const whole = neoProcess(["provision", file, "--json", "--wait", "60"], around);
  await eventually("the cluster is made", () => existsSync(join(cluster.folder, "neo.toml")));
  const bundle = await neo(["provision", file, "--bundle", "db2", "--json"], around);
  assert.equal(bundle.exitCode, 0, bundle.stderr);
  const there = join(cluster.beside("db2"));
  mkdirSync(there);
  assert.equal(spawnSync("tar", ["-xzf", bundle.json.path, "-C", there]).status, 0);
  const config = readConfig(join(there, "shop"));
  assert.deepEqual([config.here, existsSync(join(there, "shop", "m1"))], ["db2", false]);
  assert.deepEqual(readdirSync(config.tls!).sort(), [
    "admin-operator.crt",
    "admin-operator.key",
    "ca.crt",
    "storage-s2.crt",
    "storage-s2.key",
  ]);
  try {
    const started = await neo(["start", "-C", join(there, "shop")], around);
    assert.equal(started.exitCode, 0, started.stderr);
    const result = await whole;
    assert.equal(result.exitCode, 0, result.stderr);
    const status = await neo(["status", "-C", cluster.folder, "--json"], around);
    assert.equal(status.json.healthy, true, JSON.stringify(status.json.problems));
  } finally {
    await neo(["stop", "s2", "-C", join(there, "shop")], around);
    cluster.reload();
  }
});

test("provision --bundle refuses a machine that the plan doesn't name", async () => {
  await using cluster = new CliCluster();
  const file = cluster.beside("plan.toml");
  writeFileSync(file, planOf(["m1", "s1", "s2"]));
  const result = await neo(["provision", file, "--bundle", "db2"], { env: cluster.around.env });
  assert.deepEqual([result.exitCode, /no node of the plan runs there/.test(result.stderr)], [2, true]);
});

testWith(
  { met: process.platform !== "win32", reason: "its stand-in for systemctl is a shell script" },
  "provision has systemd start what the plan says, once, and no more what is gone (T24)",
  async () => {
    await using cluster = new CliCluster();
    const [tools, log] = [cluster.beside("tools"), cluster.beside("systemctl.log")];
    mkdirSync(tools, { recursive: true });
    writeFileSync(
      join(tools, "systemctl"),
      `#!/bin/sh\n[ ! -e '${log}.off' ] || exit 1\necho "$@" >> '${log}'\n`,
      {
        mode: 0o755,
      },
    );
    const env = { XDG_CONFIG_HOME: cluster.beside("xdg"), PATH: `${tools}:${process.env["PATH"]}` };
    const units = join(env.XDG_CONFIG_HOME, "systemd", "user");
    const heard = () => existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : [];
    const apply = async (nodes: readonly string[]) => {
      const plan = `services = "user"\n${planOf(nodes, { replicas: 0 })}`;
      const result = await provisionIn({ cluster, plan, env }, "--json");
      assert.equal(result.exitCode, 0, result.stderr);
      return stepsOf(result);
    };
    assert.deepEqual(await apply(["m1", "s1", "a1"]), ["make", "start", "install"]);
    const services = ["neo-shop-m1.service", "neo-shop-s1.service", "neo-shop-a1.service"];
    assert.deepEqual(heard(), [
      "--user daemon-reload",
      `--user enable neo-shop.target ${services.join(" ")}`,
    ]);
    assert.deepEqual(readdirSync(units).sort(), [...services, "neo-shop.target"].sort());
    assert.deepEqual(await apply(["m1", "s1", "a1"]), []);
    assert.ok((await apply(["m1", "s1", "a1", "a2"])).includes("install"));
    assert.ok(existsSync(join(units, "neo-shop-a2.service")));
    assert.deepEqual(await apply(["m1", "s1", "a1"]), ["forget", "install"]);
    assert.ok(!existsSync(join(units, "neo-shop-a2.service")));
    assert.ok(heard().includes("--user disable neo-shop-a2.service"));

    writeFileSync(`${log}.off`, "");
    const before = heard().length;
    assert.ok((await apply(["m1", "s1", "a1", "a3"])).includes("install"));
    assert.equal(heard().length, before, "systemd doesn't hear");
    rmSync(`${log}.off`);
    assert.deepEqual(await apply(["m1", "s1", "a1", "a3"]), ["install"], "it is told when it does");
    assert.match(heard().at(-1) ?? "", /--user enable .*neo-shop-a3.service/);
    assert.deepEqual(await apply(["m1", "s1", "a1", "a3"]), []);
  },
);
