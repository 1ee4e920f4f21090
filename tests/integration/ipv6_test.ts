/** A whole cluster on `::1`. */
import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import { parseAddress } from "../../adapters/tcp.ts";
import { connect, toOid } from "../../mod.ts";
import { CliCluster, testWith } from "./kit.ts";

const met = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === "::1"));
const need = { met, reason: "this machine has no IPv6 loopback (::1)" };

testWith(need, "N14 a cluster lives on ::1: init, start, commits, status, a storage more, stop", async () => {
  await using cluster = await CliCluster.init({ storages: 2, partitions: 4, listen: "::1" });
  for (const { address } of cluster.nodes()) assert.equal(parseAddress(address).host, "::1");
  await cluster.start();
  assert.match(cluster.uri, /^neo:\/\/shop@\[::1\]:\d+$/);

  const client = await connect(cluster.uri);
  await client.transact((tx) => tx.store(toOid(1), new Uint8Array([6])));
  await client.close();

  const { stdout } = await cluster.ok("obj", "get", "1", "--cluster", cluster.uri);
  assert.equal(stdout, "\u0006");
  await cluster.ok("node", "add");
  cluster.reload();
  assert.equal(cluster.nodes("storage").length, 3);
  for (const { address } of cluster.nodes()) assert.equal(parseAddress(address).host, "::1");
  const status = await cluster.ok("status");
  for (const { address } of cluster.nodes("storage")) {
    assert.ok(status.stdout.includes(address), status.stdout);
  }
  await cluster.ok("stop");
});

test("N14 init refuses to listen where others could reach it", async () => {
  await using cluster = await CliCluster.init({ single: true });
  const { exitCode, stderr } = await cluster.neo("init", cluster.beside("other"), "--listen", "fe80::1");
  assert.equal(exitCode, 2);
  assert.match(stderr, /Cannot listen on \[fe80::1\] without TLS: it can be reached from elsewhere/);
});
