import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../tests/cli_world.ts";
import { CONFIG_FILE, UNFINISHED_FILE } from "./config.ts";
import { CliError } from "./exit.ts";
import { clustersByName, rememberCluster, resolveFolder, resolveTarget } from "./target.ts";

function withFolder(work: (folder: ReturnType<typeof temporaryFolder>) => void): void {
  const folder = temporaryFolder();
  try {
    work(folder);
  } finally {
    folder.remove();
  }
}

function makeCluster(parent: string, name: string): string {
  const folder = join(parent, name);
  mkdirSync(join(folder, "m1", "deep"), { recursive: true });
  const id = "0".repeat(32);
  const top = `cluster = "${name}"\nclusterId = "${id}"\npartitions = 1\nreplicas = 0\n`;
  const node = `[[node]]\nname = "m1"\nrole = "master"\naddress = "127.0.0.1:9100"\ndata = "m1"\n`;
  writeFileSync(join(folder, CONFIG_FILE), top + node);
  return folder;
}

function folderOf(given: string | undefined, around: Parameters<typeof resolveTarget>[1]): string {
  return resolveFolder(given, around).folder;
}

test("resolveTarget() takes -C before NEO_CLUSTER before the neo.toml here or above", () => {
  withFolder(({ path, env }) => {
    const [one, two, three] = ["one", "two", "three"].map((name) => makeCluster(path, name));
    const cwd = join(three!, "m1", "deep");

    assert.equal(folderOf(undefined, { env, cwd }), three);
    assert.equal(folderOf(undefined, { env: { ...env, NEO_CLUSTER: two }, cwd }), two);
    assert.equal(folderOf("../../../one", { env: { ...env, NEO_CLUSTER: two }, cwd }), one);
    assert.equal(folderOf(join(one!, CONFIG_FILE), { env, cwd: path }), one);
  });
});

test("resolveTarget() takes a URI and checks it", () => {
  const target = resolveTarget("neo://shop@10.0.0.1:9100,[::1]:9200", { env: {}, cwd: "." });

  assert.ok(target.kind === "uri");
  assert.deepEqual(target.parsed.masters, ["10.0.0.1:9100", "[::1]:9200"]);
  assert.throws(() => resolveTarget("neo://shop", { env: {}, cwd: "." }), {
    name: "CliError",
    outcome: "usage",
  });
  assert.throws(() => resolveFolder("neo://shop@a", { env: {}, cwd: "." }), {
    name: "CliError",
    outcome: "usage",
  });
});

test("resolveTarget() finds the folder of a name that init has written down", () => {
  withFolder(({ path, env }) => {
    const shop = makeCluster(path, "shop");
    assert.equal(rememberCluster("web", "/elsewhere", env), undefined);

    assert.equal(rememberCluster("web", shop, env), "/elsewhere");

    assert.deepEqual(clustersByName(env), { web: shop });
    assert.equal(folderOf("web", { env, cwd: "/" }), shop);
  });
});

test("rememberCluster() writes to XDG_CONFIG_HOME, else to ~/.config", () => {
  withFolder(({ path }) => {
    rememberCluster("a", "/a", { XDG_CONFIG_HOME: join(path, "xdg") });
    rememberCluster("b", "/b", { HOME: path });

    assert.match(readFileSync(join(path, "xdg", "neo", "clusters.toml"), "utf8"), /a = "\/a"/);
    assert.match(readFileSync(join(path, ".config", "neo", "clusters.toml"), "utf8"), /b = "\/b"/);
  });
});

test("resolveTarget() says what stands in the way", () => {
  withFolder(({ path, env }) => {
    rememberCluster("gone", join(path, "gone"), env);
    mkdirSync(join(path, "half"));
    writeFileSync(join(path, "half", UNFINISHED_FILE), "");
    mkdirSync(join(path, "empty"));
    const cases: readonly { given: string | undefined; outcome: string; says: RegExp }[] = [
      { given: undefined, outcome: "usage", says: /no neo.toml here or above/ },
      { given: "gone", outcome: "notFound", says: /"gone": .* has no neo.toml/ },
      { given: "nobody", outcome: "notFound", says: /no folder and no known name/ },
      { given: "./nowhere", outcome: "notFound", says: /there is no such folder/ },
      { given: "empty", outcome: "notFound", says: /it has no neo.toml/ },
      { given: "half", outcome: "refused", says: /an init there didn't come to its end/ },
    ];
    for (const { given, outcome, says } of cases) {
      assert.throws(
        () => resolveTarget(given, { env, cwd: path }),
        (error) => error instanceof CliError && error.outcome === outcome && says.test(error.message),
        `for ${given}`,
      );
    }
  });
});
