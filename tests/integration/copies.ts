/** Copies of partitions, as clients see them. */
import assert from "node:assert/strict";
import { monoMs, pause } from "../../cli/wait.ts";
import type { Partition } from "../../core/ids.ts";
import { PROCESS_LOOK_MS } from "../../core/limits.ts";
import type { Client } from "../../mod.ts";
import { WITHIN_MS } from "./kit.ts";

/** Waits until every partition has that many readable copies, and sees that all of them hold the same. */
export async function equalCopies(client: Client, partitions: number, copies: number): Promise<void> {
  const endMs = monoMs() + WITHIN_MS;
  for (let partition = 0; partition < partitions; partition++) {
    for (;;) {
      const upTo = await client.sync();
      const found = await client.call("digests", { partition: partition as Partition, upTo });
      for (const { node, count, digest } of found) {
        assert.deepEqual({ count, digest }, { count: found[0]!.count, digest: found[0]!.digest }, node);
      }
      if (found.length >= copies) break;
      assert.ok(monoMs() < endMs, `partition ${partition} has ${found.length} readable copies`);
      await pause(PROCESS_LOOK_MS);
    }
  }
}
