/** The soak in a short form: each kind of fault once, on real processes, and the same checks afterwards. */
import assert from "node:assert/strict";
import process from "node:process";
import type { FaultKind } from "../soak/faults.ts";
import { soak } from "../soak/soak.ts";
import { testWith } from "./kit.ts";

const SEED = 1;
const KINDS: readonly FaultKind[] = ["kill", "pause", "reset", "partition", "delay"];
const signals = { met: process.platform !== "win32", reason: "it stops processes by a signal" };

testWith(
  signals,
  "N15 nodes killed, stopped, reset, cut off and slowed down under load: all acknowledged is there once, on every copy",
  async () => {
    const lines: string[] = [];
    const report = await soak({
      seed: SEED,
      masters: 3,
      storages: 4,
      replicas: 1,
      partitions: 12,
      smallDisk: false,
      clocks: false,
      faults: { rounds: 1 },
      clients: 3,
      workers: 2,
      faultMsMax: 1_500,
      kinds: KINDS,
      measures: false,
      say: (line) => lines.push(line),
    });
    assert.deepEqual(report.breaches, [], [...lines, report.kept].join("\n"));
    assert.deepEqual(Object.keys(report.faults), KINDS);
    assert.ok(report.commits > 0 && report.merged > 0, "programs worked, and met one another");
  },
);
