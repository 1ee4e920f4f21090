import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { certificatesIn, judge } from "../adapters/tls_judge.ts";
import { neo, temporaryFolder } from "../tests/cli_world.ts";
import { readConfig } from "./config.ts";
import { permissionsOf } from "./permissions.ts";
import { credentialsOf, issue } from "./tls_folder.ts";

/** Runs commands on a cluster "shop" that is made so, and never started. */
async function withCluster(
  flags: readonly string[],
  body: (
    kit: { readonly folder: string; run: (...args: readonly string[]) => ReturnType<typeof neo> },
  ) => Promise<void>,
): Promise<void> {
  const { path, env, remove } = temporaryFolder();
  try {
    const folder = join(path, "shop");
    const run = (...args: readonly string[]) => neo(args, { cwd: path, env });
    const made = await run("init", "shop", "--name", "shop", "--storages", "1", ...flags);
    assert.equal(made.exitCode, 0, made.stderr);
    await body({ folder, run });
  } finally {
    remove();
  }
}

function identityIn(file: string, authority: string): unknown {
  const [shown] = certificatesIn(readFileSync(file, "utf8"));
  return judge(shown?.raw, certificatesIn(readFileSync(authority, "utf8")), Date.now());
}

test("neo init --tls makes an authority and what everybody shows, keys for their owner only (N6)", () =>
  withCluster(["--tls"], async ({ folder, run }) => {
    const tls = join(folder, "tls");
    assert.equal(readConfig(folder).tls, tls);
    const { certificates } = (await run("tls", "list", "--json", "-C", folder, "--wait", "0")).json;
    const names = certificates.map(({ role, name, state }: Record<string, string>) =>
      `${role} ${name} ${state}`
    );
    assert.deepEqual(
      names,
      ["admin a1", "admin operator", "client app", "master m1", "storage s1"].map((one) => `${one} valid`),
    );
    for (const { role, name, file, fingerprint } of certificates) {
      assert.deepEqual(identityIn(file, join(tls, "ca.crt")), {
        identity: { cluster: "shop", role, name },
        fingerprint,
      });
      assert.equal(statSync(file.replace(/crt$/, "key")).mode & 0o777, 0o600);
    }
    assert.equal(statSync(join(tls, "ca.key")).mode & 0o777, 0o600);
    assert.equal(statSync(tls).mode & 0o777, 0o700);
  }));

test("neo tls init does it for a cluster that has none, once (N6)", () =>
  withCluster([], async ({ folder, run }) => {
    const without = await run("tls", "list", "-C", folder);
    assert.equal(without.exitCode, 6);
    assert.match(without.stderr, /names none\nHint: make them: neo tls init/);
    const made = await run("tls", "init", "-C", folder);
    assert.equal(made.exitCode, 0, made.stderr);
    assert.match(made.stdout, /Made 5 certificates in/);
    assert.equal(readConfig(folder).tls, join(folder, "tls"));
    assert.equal((await run("tls", "init", "-C", folder)).exitCode, 6);
  }));

test("neo tls issue makes certificates for clients, operators and nodes; neo tls renew keeps the old one beside (N6)", () =>
  withCluster(["--tls"], async ({ folder, run }) => {
    const tls = join(folder, "tls");
    const web = await run("tls", "issue", "web", "--days", "7", "--json", "-C", folder);
    assert.equal(web.exitCode, 0, web.stderr);
    assert.deepEqual([web.json.role, web.json.state], ["client", "ends soon"]);
    assert.deepEqual(web.json.files, credentialsOf(tls, { role: "client", name: "web" }));
    assert.equal((await run("tls", "issue", "s1", "--json", "-C", folder)).json.role, "storage");
    assert.equal((await run("tls", "issue", "s1", "--role", "master", "-C", folder)).exitCode, 2);

    const renewed = (await run("tls", "renew", "--json", "-C", folder)).json.renewed;
    assert.deepEqual(renewed.map(({ name }: { name: string }) => name), ["web"], "what ends soon");
    const all = (await run("tls", "list", "--json", "-C", folder, "--wait", "0")).json.certificates;
    const mine = all.filter(({ name }: { name: string }) => name === "web");
    assert.deepEqual(mine.map(({ state }: { state: string }) => state), ["valid", "old"]);
    assert.equal(mine[1].fingerprint, web.json.fingerprint);
    assert.match((await run("tls", "renew", "-C", folder)).stdout, /No certificate ends within 30 days/);
    assert.equal((await run("tls", "renew", "nobody", "-C", folder)).exitCode, 7);
    assert.equal((await run("tls", "renew", "s1", "--all", "-C", folder)).exitCode, 2);
    assert.equal((await run("tls", "issue", "web", "--days", "3651", "-C", folder)).exitCode, 2);
    const long = await run("tls", "issue", "web", "--days", "3650", "-C", folder);
    assert.match(long.stderr, /the authority itself ends sooner\nHint: ask for \d+ days at most/);
  }));

test("without the authority's key nothing is signed, and it says where to go (N6)", () =>
  withCluster(["--tls"], async ({ folder, run }) => {
    rmSync(join(folder, "tls", "ca.key"));
    const refused = await run("tls", "issue", "web", "-C", folder);
    assert.equal(refused.exitCode, 6);
    assert.match(refused.stderr, /no .*ca\.key\nHint: do this on the machine that has it/);
  }));

test("nodes may read what they show and whom they believe, not the authority's key (N6, N14)", () =>
  withCluster(["--tls"], ({ folder }) => {
    const config = readConfig(folder);
    const s1 = config.nodes.find(({ name }) => name === "s1")!;
    const reads = permissionsOf(config, { name: "s1", nodes: [s1] }).find((flag) =>
      flag.startsWith("--allow-read=")
    )!;
    const files = reads.slice("--allow-read=".length).split(",").filter((path) => path.includes("/tls/"));
    assert.deepEqual(
      files.sort(),
      Object.values(credentialsOf(config.tls!, { role: "storage", name: "s1" })).sort(),
    );
    return Promise.resolve();
  }));

test("a cluster with TLS may listen beyond its machine, one without may not (N6)", () =>
  withCluster(["--tls"], async ({ folder, run }) => {
    const beyond = await run("init", join(folder, "..", "other"), "--listen", "0.0.0.0");
    assert.equal(beyond.exitCode, 2);
    assert.match(beyond.stderr, /without TLS.*\nHint: add --tls/);
    const made = await run("init", join(folder, "..", "other"), "--listen", "0.0.0.0", "--tls");
    assert.equal(made.exitCode, 0, made.stderr);
    assert.ok(existsSync(join(folder, "..", "other", "tls", "ca.crt")));
  }));

test("a certificate that is renewed while it is read is used as a whole: cert and key that don't fit change nothing (N6)", () =>
  withCluster(["--tls"], async ({ folder }) => {
    const { sourceOf } = await import("../adapters/tls_files.ts");
    const [tls, holder] = [join(folder, "tls"), { role: "client", name: "app" } as const];
    const files = credentialsOf(tls, holder);
    const warnings: string[] = [];
    const source = sourceOf(files, (text) => void warnings.push(text));
    const before = source();
    assert.equal(source(), before, "the same as long as nothing has changed");
    await issue({ folder: tls, cluster: "shop", days: 9 }, holder);
    const after = source();
    assert.notEqual(after.cert, before.cert);
    rmSync(files.key);
    assert.equal(source(), after);
    assert.equal(source(), after);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]!, /Keeps the certificate that it has: .*ENOENT/);
  }));
