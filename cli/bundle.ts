/**
 * What another machine needs to run its nodes, as one archive: a `neo.toml` that says where it lies, and each node's
 * folder with the database that gives it its identity. Made again it is the same, until the nodes have run there.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, relative } from "node:path";
import { CONFIG_FILE, formatConfig } from "./config.ts";
import type { ClusterConfig } from "./config.ts";
import { CliError } from "./exit.ts";
import { placeOf } from "./provision.ts";
import { credentialsOf, OPERATOR } from "./tls_folder.ts";

/** Only its owner may read it. */
const SECRET = 0o600;
const PRIVATE_FOLDER = 0o700;

/**
 * Writes `bundles/CLUSTER-HOST.tar.gz` in the cluster's folder.
 *
 * @throws CliError (`failed`) when the system's `tar` can't
 */
export function writeBundle(config: ClusterConfig, host: string): { path: string; bytes: number } {
  const staging = mkdtempSync(join(tmpdir(), "neo-bundle-"));
  try {
    const root = join(staging, config.cluster);
    mkdirSync(root);
    const nodes = config.nodes.map((node) => ({ ...node, host: node.host ?? config.here! }));
    const there = { ...config, here: host, nodes };
    const text = formatConfig(there, ({ data }) => relative(config.folder, data));
    writeFileSync(join(root, CONFIG_FILE), text);
    for (const node of config.nodes) {
      if (node.host !== host) continue;
      cpSync(placeOf(config, node), join(root, relative(config.folder, node.data)), { recursive: true });
    }
    if (config.tls !== undefined) {
      copyCertificates(config, host, join(root, relative(config.folder, config.tls)));
    }
    const path = join(config.folder, "bundles", `${config.cluster}-${host}.tar.gz`);
    writeFileSync(path, "", { mode: SECRET }); // keys are in it: nobody else may read it, not even while it grows
    chmodSync(path, SECRET);
    const { status, stderr, error } = spawnSync("tar", ["-czf", path, "-C", staging, config.cluster]);
    if (status !== 0) {
      const why = error?.message ?? stderr.toString().trim();
      throw new CliError("failed", `Cannot write ${path}: tar failed: ${why}`);
    }
    return { path, bytes: statSync(path).size };
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

/** What the nodes and commands of a host show, and whom they believe; not the authority's key. */
function copyCertificates(config: ClusterConfig, host: string, folder: string): void {
  mkdirSync(folder, { recursive: true, mode: PRIVATE_FOLDER });
  const holders = [...config.nodes.filter((node) => node.host === host), OPERATOR];
  const files = holders.flatMap((holder) => Object.values(credentialsOf(config.tls!, holder)));
  for (const file of new Set(files)) cpSync(file, join(folder, basename(file)));
}
