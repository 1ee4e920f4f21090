/** What an operator sees and does about clients, and what is written down of it, with real processes (T22, T54). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { AbortedError, type Client, ConflictError, DatabaseError } from "../../mod.ts";
import { CliCluster } from "./kit.ts";

async function storing(client: Client, oid: bigint): Promise<{ commit(): Promise<unknown> }> {
  const tx = await client.begin();
  await tx.load(oid as never);
  tx.store(oid as never, new TextEncoder().encode(`by ${Math.random()}`));
  return tx;
}

test("client list shows who is there, client kill ends one, and cluster audit tells of it (T22, T54)", async () => {
  await using cluster = await CliCluster.started({ storages: 2, partitions: 6, tls: true });
  const client = await cluster.connect({ name: "web" });
  const oid = await client.newOid();
  const tx = await client.begin();
  tx.store(oid, new TextEncoder().encode("one"));
  await tx.commit();

  const other = await cluster.connect({ name: "batch" });
  const [early, late] = [await storing(client, oid), await storing(other, oid)];
  await early.commit();
  await assert.rejects(late.commit(), ConflictError);

  const seen = (await cluster.ok("client", "list", "--json")).json;
  assert.deepEqual(seen.clients.map(({ name, holder }: Record<string, string>) => [name, holder]), [
    ["web", "client app"],
    ["batch", "client app"],
  ]);
  assert.deepEqual(seen.silent, []);
  assert.equal(seen.conflicts[0].oid, oid.toString(16).padStart(16, "0"));
  assert.match(
    (await cluster.ok("client", "list")).stdout,
    /SESSION +NAME[^]*web[^]*Objects with most conflicts/,
  );

  const session: number = seen.clients.find(({ name }: { name: string }) => name === "batch").session;
  await cluster.ok("client", "kill", String(session));
  const again = await cluster.neo("client", "kill", String(session));
  assert.equal(again.exitCode, 6);
  assert.match(again.stderr, /no client has it/);
  // its program goes on with another session
  for (;;) {
    try {
      await (await storing(other, oid)).commit();
      break;
    } catch (error) {
      if (!(error instanceof AbortedError || error instanceof DatabaseError)) throw error;
    }
  }
  await cluster.ok("config", "set", "log.level=debug", "--reason", "a look");

  const { actions } = (await cluster.ok("cluster", "audit", "--json")).json;
  assert.deepEqual(
    actions.map(({ action, target, holder }: Record<string, string>) => [action, target, holder]),
    [
      ["changeConfig", "log.level=debug (cluster)", "admin operator"],
      ["killClient", `session ${session}`, "admin operator"],
      ["killClient", `session ${session}`, "admin operator"],
    ],
  );
  assert.deepEqual(actions.map(({ refusal }: Record<string, string>) => refusal === ""), [true, false, true]);
  assert.match(actions[0].author, /^\S+@\S+$/);
  await cluster.stop();
  await cluster.start();
  assert.match((await cluster.ok("cluster", "audit")).stdout, /stop the cluster[^]*killClient session/);
});
