import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { neo, temporaryFolder } from "../tests/cli_world.ts";

/** Words that shells and units take for something else. */
const HOSTILE = "it's 100% $HOME";

async function withShop(
  body: (
    kit: {
      readonly folder: string;
      readonly to: string;
      run: (...args: readonly string[]) => ReturnType<typeof neo>;
    },
  ) => Promise<void>,
): Promise<void> {
  const { path, env, remove } = temporaryFolder();
  try {
    const cwd = join(path, HOSTILE);
    mkdirSync(cwd);
    const run = (...args: readonly string[]) => neo(args, { cwd, env });
    const made = await run("init", "shop", "--name", "shop", "--storages", "1");
    assert.equal(made.exitCode, 0, made.stderr);
    await body({ folder: join(cwd, "shop"), to: join(path, "units"), run });
  } finally {
    remove();
  }
}

test("neo service install writes a service for each process and a target, in words that nothing misreads (T24)", () =>
  withShop(async ({ folder, to, run }) => {
    const dry = await run("service", "install", "-C", folder, "--to", to, "--dry-run", "--json");
    assert.equal(dry.exitCode, 0, dry.stderr);
    assert.deepEqual([dry.json.written, existsSync(to)], [false, false]);
    const done = await run("service", "install", "-C", folder, "--to", to);
    assert.equal(done.exitCode, 0, done.stderr);
    assert.match(
      done.stdout,
      /Next: systemctl daemon-reload && systemctl enable --now neo-shop\.target neo-shop-m1\.service/,
    );
    for (const { path, text } of dry.json.files) assert.equal(readFileSync(path, "utf8"), text);

    const script = join(folder, "service", "s1.sh");
    assert.equal(spawnSync("sh", ["-n", script]).status, 0);
    const printing = readFileSync(script, "utf8").replace("exec ", "printf '%s\\n' ").replace(
      /^mkdir .*$/m,
      "",
    );
    const words = spawnSync("sh", ["-c", printing], { encoding: "utf8" });
    assert.equal(words.stdout.split("\n").at(-2), folder, words.stderr);
    const unit = readFileSync(join(to, "neo-shop-s1.service"), "utf8");
    assert.match(unit, /^ExecStart=\/bin\/sh ".*it's 100%% \$\$HOME\/shop\/service\/s1\.sh"$/m);
    assert.match(unit, /^Type=notify$/m);
    assert.match(unit, /^Restart=on-failure$/m);
  }));

test("neo service install --user is for a session: no account, another folder (T24)", () =>
  withShop(async ({ folder, run }) => {
    const { json } = await run("service", "install", "s1", "-C", folder, "--user", "--dry-run", "--json");
    const names = json.files.map(({ path }: { path: string }) => path.split("/").slice(-3).join("/"));
    assert.deepEqual(names, [
      "shop/service/s1.sh",
      "systemd/user/neo-shop-s1.service",
      "systemd/user/neo-shop.target",
    ]);
    assert.doesNotMatch(json.files[1].text, /^User=/m);
    assert.match(json.files[2].text, /^WantedBy=default\.target$/m);
    assert.match(json.next, /^systemctl --user daemon-reload/);
  }));

const hasSystemd = spawnSync("systemd-analyze", ["--version"]).status === 0;
test(
  "systemd finds nothing wrong with the units (T24)",
  { skip: hasSystemd ? false : "systemd-analyze isn't there" },
  () =>
    withShop(async ({ folder, to, run }) => {
      await run("service", "install", "-C", folder, "--to", to);
      const files = ["neo-shop-m1.service", "neo-shop-s1.service", "neo-shop-a1.service", "neo-shop.target"]
        .map((name) => join(to, name));
      const { status, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", ...files], {
        encoding: "utf8",
        env: { ...process.env, SYSTEMD_LOG_LEVEL: "warning" },
      });
      const ours = stderr.split("\n").filter((line) => line.includes("neo-shop"));
      assert.deepEqual(ours, []);
      assert.equal(status, 0, stderr);
    }),
);
