/** Seeds that the repository keeps: those that failed once, and the trace hashes of a few. */
import { appendFileSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** A JSON object: seed to trace hash. */
export const hashesPath = fileURLToPath(new URL("./hashes.json", import.meta.url));

const seedsPath = fileURLToPath(new URL("./seeds.txt", import.meta.url));

/** Notes a seed that failed, with what was wrong. */
export function keepSeed(seed: number, breach: string): void {
  if (!knownSeeds().includes(seed)) appendFileSync(seedsPath, `${seed} ${breach.split("\n", 1)[0]}\n`);
}

/** Seeds that failed once. */
export function knownSeeds(): number[] {
  const text = readFileSync(seedsPath, "utf8");
  return text.split("\n").flatMap((line) => (/^\d+/.test(line) ? [parseInt(line)] : []));
}
