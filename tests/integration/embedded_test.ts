/** Databases that a program keeps in a folder: one process at a time, whole after kill -9, and served to many later. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { connect, toOid } from "../../mod.ts";
import type { Client } from "../../mod.ts";
import { CliCluster, within } from "./kit.ts";

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/** Starts the program on a folder, and waits until it has committed; gives what it said. */
async function started(directory: string, value: string): Promise<{ child: Child; said: string }> {
  const program = fileURLToPath(new URL("embedded_child.ts", import.meta.url));
  const isDeno = process.versions["deno"] !== undefined;
  const options = isDeno ? ["run", "-A", "--quiet", "--no-check"] : ["--disable-warning=ExperimentalWarning"];
  const child = spawn(process.execPath, [...options, program, directory, value], { stdio: "pipe" });
  const lines = createInterface({ input: child.stdout });
  const [said] = await within("a commit of the program", once(lines, "line"));
  return { child, said: String(said) };
}

async function ended(child: Child): Promise<unknown> {
  const exit = once(child, "exit");
  child.stdin.end();
  return (await within("the end of the program", exit))[0];
}

async function read(client: Client): Promise<string> {
  return new TextDecoder().decode((await (await client.snapshot()).load(toOid(1)))?.data);
}

test("a folder that another process has open is refused, and has everything once that is killed (T59)", async () => {
  await using cluster = await CliCluster.init({ single: true, partitions: 4 });
  const { folder: directory } = cluster;
  const { child, said } = await started(directory, "by the child");

  await assert.rejects(connect({ directory }), { name: "RefusedError", code: "denied" });
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await within("the end of the program", exit);

  const client = await connect({ directory });
  assert.equal(await client.sync(), BigInt(said));
  assert.equal(await read(client), "by the child");
  await client.close();
});

test("a program that closes its folder ends by itself, and another goes on with it (T59)", async () => {
  await using cluster = await CliCluster.init({ single: true });
  const directory = cluster.beside("notes");
  for (const value of ["first", "second"]) {
    const { child } = await started(directory, value);
    assert.equal(await ended(child), 0);
  }
  const client = await connect({ directory });
  assert.equal(await read(client), "second");
  await client.close();
});

test("a folder that connect() has made is served by neo start, and is a program's again after neo stop (T59)", async () => {
  await using cluster = await CliCluster.init({ single: true });
  const { folder: directory } = cluster;
  rmSync(directory, { recursive: true });
  const embedded = await connect({ directory, partitions: 6 });
  const { tid } = await embedded.transact((tx) => tx.store(toOid(1), new TextEncoder().encode("small")));
  await embedded.close();

  cluster.reload();
  await cluster.start();
  const client = await cluster.connect();
  assert.equal(await read(client), "small");
  await client.transact(async (tx) => {
    assert.equal((await tx.load(toOid(1)))?.tid, tid);
    tx.store(toOid(1), new TextEncoder().encode("grown"));
  });
  await assert.rejects(connect({ directory }), { name: "RefusedError", code: "denied" });
  await client.close();
  await cluster.stop();

  const again = await connect({ directory });
  assert.equal(await read(again), "grown");
  await again.close();
});
