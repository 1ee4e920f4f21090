/**
 * Memory of what has passed through. Large buffers lie outside the engine's heap, and it looks for dead ones late, when
 * they are some ten times as much as a small node needs: a value of 256 MiB would leave 100 MiB behind until then. So
 * whoever moves bytes counts them, and has the young ones collected now and then, which takes a few ms.
 *
 * @module
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { COLLECT_BYTES, COLLECTED_BYTES_MIN } from "../core/limits.ts";

type Collect = (options: { readonly type: "minor" | "major" }) => void;

let collect: Collect | undefined;
let movedBytes = 0;

/** Counts a buffer that has passed, with copies that were made of it. Among small ones the engine collects by itself. */
export function moved(bytes: number, copies = 0): void {
  if (bytes < COLLECTED_BYTES_MIN) return;
  movedBytes += bytes * (1 + copies);
  if (movedBytes < COLLECT_BYTES) return;
  movedBytes = 0;
  collect ??= collector();
  collect({ type: "minor" });
}

/** The engine's collector, which programs don't see unless they ask for it. */
function collector(): Collect {
  setFlagsFromString("--expose-gc");
  const found: unknown = runInNewContext("typeof gc === 'function' ? gc : undefined");
  return typeof found === "function" ? (found as Collect) : () => {};
}
