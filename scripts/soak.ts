// deno-lint-ignore-file no-console
/**
 * Runs programs and a cluster of real processes while nodes are killed, stopped, cut off and slowed down, and checks
 * afterwards that everything acknowledged is there exactly once, on every copy, and that no node has grown.
 *
 *     deno task soak --minutes 10            3 masters, 4 storages, 1 replica, 10 programs
 *     deno task soak --minutes 2 --seed 7    the same draws again; processes keep their own pace
 *     deno task soak --kinds kill,pause      only these faults
 *     deno task soak:tests                   the long forms of the integration tests
 *
 * `--json` prints one object instead. Exit code 1: something is wrong; its folder then stays, and is named. Ctrl-C ends it and
 * leaves nothing behind.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { systemRandom } from "../adapters/system.ts";
import { faultKinds } from "../tests/soak/faults.ts";
import { mib } from "../tests/soak/resources.ts";
import type { Course } from "../tests/soak/resources.ts";
import { soak } from "../tests/soak/soak.ts";
import type { SoakReport } from "../tests/soak/soak.ts";

const MINUTES_DEFAULT = 10;
const SHAPE = { masters: 3, storages: 4, replicas: 1, partitions: 24, smallDisk: true, clocks: true };
const CLIENTS = 10;
const WORKERS = 2;
const FAULT_MS_MAX = 30_000;
const SEED_MAX = 1_000_000;
/** A run that is shorter says nothing about memory. */
const MEASURED_MINUTES_MIN = 1;

function show(report: SoakReport, minutes: number): void {
  const { shape, faults, errors, memory, files } = report;
  const counts = (of: { readonly [name: string]: number }) =>
    Object.entries(of).map(([name, count]) => `${name} ${count}`).join(", ") || "none";
  console.log(
    `\n${shape.masters} masters, ${shape.storages} storages, ${shape.replicas} replicas, ${minutes} minutes`,
  );
  console.log(`commits       ${report.commits}, of which ${report.merged} conflicts were merged`);
  console.log(`packs         ${report.packs}`);
  console.log(`tried again   ${counts(errors)}`);
  console.log(`faults        ${counts(faults)} (${(100 * report.chance).toFixed(0)} % each second)`);
  console.log(`longest pause ${(report.pauseMsMax / 1_000).toFixed(1)} s without a commit`);
  const table = (what: string, courses: { readonly [node: string]: Course }, text: (n: number) => string) => {
    for (const [node, { start, min, max, end }] of Object.entries(courses)) {
      console.log(
        `${what.padEnd(14)}${node.padEnd(4)} start ${text(start)}, min ${text(min)}, max ${text(max)}, end ${
          text(end)
        }`,
      );
    }
  };
  table("memory", memory, mib);
  table("files", files, String);
  for (const what of report.skipped) console.log(`skipped       ${what}`);
  for (const breach of report.breaches) console.log(`BROKEN        ${breach}`);
  if (report.kept !== undefined) console.log(`everything is left in ${report.kept}`);
  console.log(`${report.breaches.length === 0 ? "passed" : "FAILED"}; seed ${report.seed}`);
}

/** Ctrl-C ends it in order, a second time at once. */
export function interrupted(): AbortSignal {
  const abort = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (abort.signal.aborted) process.exit(130);
      console.error("ends; once more ends it at once");
      abort.abort();
    });
  }
  return abort.signal;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      minutes: { type: "string" },
      seed: { type: "string" },
      kinds: { type: "string" },
      json: { type: "boolean" },
    },
  });
  const minutes = Number(values.minutes ?? MINUTES_DEFAULT);
  const seed = Number(values.seed ?? Math.floor(systemRandom().next() * SEED_MAX));
  const kinds = faultKinds.filter((kind) => values.kinds?.split(",").includes(kind) ?? true);
  if (!(minutes > 0) || !Number.isSafeInteger(seed) || kinds.length === 0) {
    console.error(
      `Cannot run: expected [--minutes M] [--seed N] [--kinds KIND,KIND] [--json]; kinds are ${faultKinds}`,
    );
    process.exitCode = 2;
    return;
  }
  const signal = interrupted();
  if (!values.json) console.log(`seed ${seed}`);
  try {
    const report = await soak({
      ...SHAPE,
      seed,
      faults: { ms: 60_000 * minutes },
      clients: CLIENTS,
      workers: WORKERS,
      faultMsMax: FAULT_MS_MAX,
      kinds,
      measures: minutes >= MEASURED_MINUTES_MIN,
      say: values.json ? () => {} : (line) => console.log(line),
      signal,
    });
    if (values.json) console.log(JSON.stringify(report));
    else show(report, minutes);
    process.exit(report.breaches.length === 0 ? 0 : 1);
  } catch (error) {
    if (!signal.aborted) throw error;
    process.exit(130);
  }
}

if (import.meta.main) await main();
