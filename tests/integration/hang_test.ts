/** Programs that stop in the middle of a commit: the others go on, and when they wake up they hear what became of it. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { Client, Oid } from "../../mod.ts";
import { TcpProxy } from "../proxy.ts";
import type { HangResult, HangStart } from "./hang_child.ts";
import { CliCluster, testWith, within } from "./kit.ts";
import { bytesOf, numberOf } from "./numbers.ts";
import { Program } from "./programs.ts";

/** Long enough that no process of a busy machine is without its turn for so long, and is taken for one that hangs. */
const TIMEOUT_MS = 3_000;
/** Others may be told to try again while somebody holds what they want. */
const ATTEMPTS = 3;
/** The question to commit has more bytes than a sign of life. */
const FINISH_BYTES_MIN = 32;
/** Stands in the note of the transaction that hangs. */
const MARK = "hangs";

const signals = { met: process.platform !== "win32", reason: "it stops a process by a signal" };

/** A cluster that waits for hanging clients for a few seconds only. */
async function impatientCluster(): Promise<CliCluster> {
  const cluster = await CliCluster.init({ storages: 2, replicas: 1 });
  try {
    const file = join(cluster.folder, "neo.toml");
    writeFileSync(file, `transactionTimeoutMs = ${TIMEOUT_MS}\n${readFileSync(file, "utf8")}`);
    cluster.reload();
    assert.equal(cluster.config.transactionTimeoutMs, TIMEOUT_MS);
    await cluster.start();
    return cluster;
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
}

/** Another client changes the object too. */
function add(client: Client, oid: Oid): Promise<{ readonly attempts: number }> {
  return client.transact(async (tx) => {
    tx.store(oid, bytesOf(numberOf(await tx.load(oid)) + 1));
  }, { attempts: ATTEMPTS });
}

/** A program with its transaction begun, whose words to the primary the test can hold. */
async function readyProgram(
  cluster: CliCluster,
  stack: AsyncDisposableStack,
  start: Pick<HangStart, "oid" | "resolves">,
): Promise<{ readonly program: Program; readonly proxy: TcpProxy }> {
  const proxy = await TcpProxy.start(cluster.node("m1").address);
  stack.defer(() => proxy.close());
  const uri = `neo://shop@${proxy.address}`;
  const program = stack.use(new Program("hang_child.ts", { ...start, uri, mark: MARK } satisfies HangStart));
  assert.equal(await program.hear(), "ready");
  return { program, proxy };
}

/** What a program that has waked up heard: its commit was given up, and nothing of it is there. */
async function assertGivenUp(program: Program, client: Client): Promise<void> {
  let result = await program.hear<HangResult | "resolving">();
  while (result === "resolving") { // the object has changed once more
    program.tell("resolve");
    result = await program.hear<HangResult | "resolving">();
  }
  assert.ok("error" in result, "it isn't committed");
  const { name, code, message } = result.error;
  assert.deepEqual([name, code], ["AbortedError", "aborted"]);
  assert.match(message, /^Cannot .*: .*given up/);
  await program.end();
  for await (const { user } of client.records()) assert.notEqual(new TextDecoder().decode(user), MARK);
}

/** No node was taken for dead. */
async function assertHealthy(cluster: CliCluster): Promise<void> {
  assert.match((await cluster.ok("status")).stdout, /^shop: healthy/);
}

testWith(
  signals,
  "A12 a process stopped between vote and finish stops nobody; it wakes up to an AbortedError, and nothing of it is stored",
  async () => {
    await using cluster = await impatientCluster();
    await using stack = new AsyncDisposableStack();
    const client = await cluster.connect();
    const oid = await client.newOid();
    await add(client, oid);
    const [begun, vote] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const older = client.transact(async (tx) => { // older than who holds the lock, and asks for it in vain
      tx.store(oid, bytesOf(numberOf(await tx.load(oid)) + 1));
      begun.resolve();
      await vote.promise;
    }, { attempts: ATTEMPTS });
    await begun.promise;
    const { program, proxy } = await readyProgram(cluster, stack, { oid, resolves: false });

    proxy.hold("toTarget");
    program.tell("commit");
    await within("its finish", proxy.held("toTarget", FINISH_BYTES_MIN));
    program.signal("SIGSTOP");
    vote.resolve();
    assert.equal((await older).attempts, 1, "who waits isn't taken for one who hangs");
    await add(client, oid);
    program.signal("SIGCONT");
    proxy.release("toTarget");

    await assertGivenUp(program, client);
    assert.equal(numberOf(await (await client.snapshot()).load(oid)), 3);
    await assertHealthy(cluster);
  },
);

testWith(
  signals,
  "A12 a process stopped while it resolves a conflict stops nobody; it wakes up to an AbortedError, and nothing of it is stored",
  async () => {
    await using cluster = await impatientCluster();
    await using stack = new AsyncDisposableStack();
    const client = await cluster.connect();
    const oid = await client.newOid();
    await add(client, oid);
    const { program } = await readyProgram(cluster, stack, { oid, resolves: true });
    await add(client, oid);

    program.tell("commit");
    assert.equal(await program.hear(), "resolving");
    program.signal("SIGSTOP");
    assert.equal((await add(client, oid)).attempts, 1, "who waits isn't taken for one who hangs");
    program.signal("SIGCONT");
    program.tell("resolve");

    await assertGivenUp(program, client);
    assert.equal(numberOf(await (await client.snapshot()).load(oid)), 3);
    await assertHealthy(cluster);
  },
);
