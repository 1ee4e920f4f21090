/**
 * B6: a client that has seen something follows no primary that hasn't: a lower epoch is a deposed one's, a lower last tid is that of
 * a cluster which has lost what was acknowledged, unless a truncation says so.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClientSession, NodeIndex } from "../../core/ids.ts";
import { RETRY_DELAY_MS_MAX } from "../../core/limits.ts";
import type { Body } from "../../core/messages.ts";
import { PartitionTable } from "../../core/partition_table.ts";
import { hasHeard } from "./actors.ts";
import { Stage } from "./kit.ts";
import { Puppet } from "./puppet.ts";
import { tidAt } from "./words.ts";

type Said = { readonly epoch: number; readonly lastTid: number; readonly truncations?: number };

/** A client that a primary in the test's hand has told of epoch 3 and tid 50, and that then meets one which says something else. */
async function meeting(said: Said) {
  const stage = new Stage({ storages: 1, replicas: 0, partitions: 1 });
  const primary = new Puppet(stage, "m1", stage.hello("master", { name: "m1" }));
  const { client, connected } = stage.startClient("c1");
  await stage.run();
  welcome(stage, primary, { epoch: 3, lastTid: 50 });
  await stage.finish(connected);
  const { conn } = primary.peers.at(-1)!;
  stage.wires.cut("c1", "m1");
  await stage.pass(RETRY_DELAY_MS_MAX);
  assert.notEqual(primary.peers.at(-1)!.conn, conn, "it comes again");
  const lost = primary.actor.heard.filter(({ what }) => what === "lost").length;
  welcome(stage, primary, said);
  await stage.run();
  const turnedAway = primary.actor.heard.filter(({ what }) => what === "lost").length > lost;
  return { stage, client, turnedAway };
}

function welcome(stage: Stage, primary: Puppet, { epoch, lastTid, truncations = 0 }: Said): void {
  const table = PartitionTable.deal({ partitions: 1, replicas: 0, nodes: [2 as NodeIndex] });
  const body: Body<"welcome"> = {
    clusterId: stage.shape.clusterId,
    cluster: "test",
    epoch,
    index: 0,
    session: epoch as ClientSession,
    lastTid: tidAt(lastTid),
    truncations,
    phase: "running",
    wallMs: stage.time.wallMs,
    image: table.toImage(),
    nodes: [],
  };
  primary.tell(primary.peers.at(-1)!.conn, "welcome", body);
}

for (
  const { why, said, follows } of [
    { why: "a lower epoch", said: { epoch: 2, lastTid: 60 }, follows: false },
    { why: "a lower last tid", said: { epoch: 4, lastTid: 49 }, follows: false },
    {
      why: "a lower last tid of the same truncation number",
      said: { epoch: 4, lastTid: 49, truncations: 0 },
      follows: false,
    },
    {
      why: "a lower last tid of a higher truncation number",
      said: { epoch: 4, lastTid: 49, truncations: 1 },
      follows: true,
    },
    {
      why: "a lower epoch of a higher truncation number",
      said: { epoch: 2, lastTid: 49, truncations: 1 },
      follows: false,
    },
    { why: "the same epoch and tid", said: { epoch: 3, lastTid: 50 }, follows: true },
    { why: "a higher epoch and tid", said: { epoch: 4, lastTid: 51 }, follows: true },
  ]
) {
  test(`B6: a client ${follows ? "follows" : "turns away"} a primary with ${why} than it has seen`, async () => {
    const { turnedAway, client, stage } = await meeting(said);
    assert.equal(turnedAway, !follows);
    assert.ok(hasHeard(stage.actor("c1"), "told welcome"));
    if (follows) assert.equal(await stage.finish(client.lastTid()), tidAt(said.lastTid));
  });
}
