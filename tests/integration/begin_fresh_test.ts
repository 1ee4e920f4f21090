/** Who begins sees what was committed before, also if word of it hasn't arrived by itself. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { pause } from "../../cli/wait.ts";
import { TcpProxy } from "../proxy.ts";
import type { FreshStart, FreshWord } from "./fresh_child.ts";
import { CliCluster } from "./kit.ts";
import { bytesOf } from "./numbers.ts";
import { Program } from "./programs.ts";

const CLIENTS = 50;
const ROUNDS = 20;
/** How long everything that the primary says is held back. */
const HELD_MS = 500;

test(`T14 A commits and tells B by a pipe, whose invalidation is held back: B's begin sees it, ${CLIENTS * ROUNDS} of ${CLIENTS * ROUNDS}`, async () => {
  await using cluster = await CliCluster.started({ storages: 2, replicas: 1 });
  const writer = await cluster.connect();
  const oid = await writer.newOid();
  const write = (value: number) =>
    writer.transact(async (tx) => {
      await tx.load(oid);
      tx.store(oid, bytesOf(value));
    });
  await write(0);
  await using stack = new AsyncDisposableStack();
  const proxies: TcpProxy[] = [];
  for (let at = 0; at < CLIENTS; at++) {
    const proxy = await TcpProxy.start(cluster.node("m1").address);
    stack.defer(() => proxy.close());
    proxies.push(proxy);
  }
  const start: FreshStart = { uris: proxies.map(({ address }) => `neo://shop@${address}`), oid };
  const child = stack.use(new Program("fresh_child.ts", start));
  assert.equal(await child.hear(), "ready");

  let fresh = 0;
  let old = 0;
  for (let round = 1; round <= ROUNDS; round++) {
    for (const proxy of proxies) proxy.hold("toClient");
    await write(round);
    const heldLongEnough = pause(HELD_MS);
    child.tell("changed");
    const atOnce = await child.hear<FreshWord>();
    assert.equal(atOnce.is, "atOnce");
    old += atOnce.values.filter((value) => value === round - 1).length;
    await heldLongEnough;
    for (const proxy of proxies) proxy.release("toClient");
    fresh += (await child.hear<FreshWord>()).values.filter((value) => value === round).length;
  }
  child.tell("enough");
  await child.end();

  assert.equal(fresh, CLIENTS * ROUNDS);
  assert.equal(old, CLIENTS * ROUNDS, "who doesn't ask reads what it has");
});
