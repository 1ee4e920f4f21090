/** A status that is watched (T54). */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { neo, spawnNeo } from "../cli_world.ts";
import { CliCluster } from "./kit.ts";

test("neo status --watch tells each change once, a line for people and an object for programs, until Ctrl-C (T54)", async () => {
  await using cluster = await CliCluster.started({ storages: 2, replicas: 1, partitions: 6 });
  const child = spawnNeo(["status", "--watch", "-C", cluster.folder], cluster.around);
  const objects = spawnNeo(["status", "-w", "--json", "-C", cluster.folder], cluster.around);
  try {
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const views = createInterface({ input: objects.stdout })[Symbol.asyncIterator]();
    const next = async (from: AsyncIterator<string>): Promise<string> => (await from.next()).value as string;
    assert.match(await next(lines), /^\S+Z shop: healthy, 1\/1 masters, 2\/2 storages/);
    assert.equal(JSON.parse(await next(views)).healthy, true);
    await cluster.kill9("s2");
    let line = await next(lines);
    while (!/shop: degraded/.test(line)) line = await next(lines);
    let view = JSON.parse(await next(views));
    while (view.healthy) view = JSON.parse(await next(views));
    assert.ok(view.problems.length > 0);
  } finally {
    for (const one of [child, objects]) {
      one.kill("SIGINT");
      await once(one, "close");
    }
  }
  const interrupted = (listener: (signal: "SIGINT") => void) => {
    queueMicrotask(() => listener("SIGINT"));
    return () => {};
  };
  const { exitCode } = await neo(["status", "--watch"], { ...cluster.around, onSignal: interrupted });
  assert.equal(exitCode, 130);
});
