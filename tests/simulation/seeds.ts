/** Seeds that the repository keeps: those that failed once, and the trace hashes of a few. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** A JSON object: seed to trace hash. */
export const hashesPath = fileURLToPath(new URL("./hashes.json", import.meta.url));

/** Seeds that failed once. */
export function knownSeeds(): number[] {
  const text = readFileSync(fileURLToPath(new URL("./seeds.txt", import.meta.url)), "utf8");
  return text.split("\n").flatMap((line) => (/^\d+/.test(line) ? [parseInt(line)] : []));
}
