import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { OPEN_FILES_MIN } from "../core/limits.ts";
import { neo, temporaryFolder } from "../tests/cli_world.ts";
import { readConfig } from "./config.ts";
import { openFiles } from "./doctor.ts";

/** A cluster "shop" with certificates that doesn't run, and what `neo doctor` says of it. */
async function withShop(
  body: (
    kit: {
      readonly folder: string;
      examine: () => Promise<{ readonly exitCode: number; readonly found: readonly string[] }>;
    },
  ) => Promise<void>,
): Promise<void> {
  const { path, env, remove } = temporaryFolder();
  try {
    const folder = join(path, "shop");
    const made = await neo(["init", "shop", "--name", "shop", "--storages", "1", "--tls"], {
      cwd: path,
      env,
    });
    assert.equal(made.exitCode, 0, made.stderr);
    await body({
      folder,
      examine: async () => {
        const { exitCode, json } = await neo(["doctor", "-C", folder, "--json"], { env });
        const examined: readonly { check: string; severity: string; text: string; remedy: string }[] =
          json.examined;
        for (const { severity, remedy } of examined) {
          assert.equal(remedy === "", severity === "ok", "a remedy for each");
        }
        const found = examined.filter(({ severity, check }) => severity !== "ok" && check !== "disk");
        return {
          exitCode,
          found: found.map(({ check, severity, remedy }) => `${check} ${severity}: ${remedy}`),
        };
      },
    });
  } finally {
    remove();
  }
}

test("neo doctor finds nothing where all is well, and changes nothing (T24)", () =>
  withShop(async ({ examine }) => {
    assert.deepEqual((await examine()).found, []);
    assert.deepEqual((await examine()).found, []);
  }));

test("neo doctor finds what stands in a cluster's way, each with a remedy (T24, N6)", () =>
  withShop(async ({ folder, examine }) => {
    const [m1, s1, a1] = ["m1", "s1", "a1"].map((name) =>
      readConfig(folder).nodes.find((node) => node.name === name)!
    );
    const expect = async (wanted: readonly (string | RegExp)[]): Promise<void> => {
      const { exitCode, found } = await examine();
      assert.equal(exitCode, wanted.some((one) => /problem/.test(String(one))) ? 2 : 1);
      assert.equal(found.length, wanted.length, found.join("\n"));
      wanted.forEach((one, at) =>
        typeof one === "string" ? assert.equal(found[at], one) : assert.match(found[at]!, one)
      );
    };
    const key = join(folder, "tls", "ca.key");
    chmodSync(key, 0o640);
    await expect([`secrets problem: chmod 600 ${key}`]);
    chmodSync(key, 0o600);

    const server = createServer();
    server.listen(Number(m1!.address.split(":")[1]), "127.0.0.1");
    await once(server, "listening");
    await expect([/^ports problem: end what does, or give m1 another address/]);
    server.close();
    await once(server, "close");

    rmSync(join(folder, "tls", "storage-s1.crt"));
    await expect([/^certs problem: neo tls issue s1 where/]);
    const again = await neo(["tls", "issue", "s1", "--days", "5", "-C", folder]);
    assert.equal(again.exitCode, 0, again.stderr);
    await expect(["certs warning: neo tls renew s1"]);
    await neo(["tls", "renew", "s1", "-C", folder]);

    const gone = {
      pid: 2 ** 22,
      startTime: 1,
      role: "storage",
      name: "s1",
      address: s1!.address,
      version: "0.1.0",
      listens: true,
    };
    writeFileSync(join(s1!.data, "neo.pid"), JSON.stringify(gone));
    mkdirSync(join(folder, "log"));
    writeFileSync(
      join(folder, "log", "s1.log"),
      '{"level":"error","text":"Cannot go on: the disk is gone"}\n',
    );
    await expect(["processes problem: see neo logs s1; then neo start s1"]);
    rmSync(join(s1!.data, "neo.pid"));

    rmSync(join(s1!.data, "storage.sqlite"));
    await expect(["folders problem: bring it back, or neo node add --replace s1"]);
    rmSync(a1!.data, { recursive: true });
    await expect([
      /^folders problem: bring it back, or take its node out/,
      /^folders problem: bring it back, or neo node/,
    ]);
  }));

test("neo doctor says how many files a process may open, and when that is few (T24)", () => {
  const limits = (count: string): string =>
    `Limit  Soft Limit  Hard Limit  Units\nMax open files            ${count}                 524288   files\n`;
  assert.deepEqual(openFiles(limits("1024"))[0]?.severity, "warning");
  assert.deepEqual(openFiles(limits(String(OPEN_FILES_MIN)))[0]?.severity, "ok");
  assert.deepEqual(openFiles(limits("unlimited"))[0]?.severity, "ok");
  assert.deepEqual(openFiles(undefined), []);
});
