/**
 * Memory of what has passed through. Large buffers lie outside the engine's heap, and it looks for dead ones late, when
 * they are some ten times as much as a small node needs: a value of 256 MiB would leave 100 MiB behind until then. So
 * whoever moves bytes counts them, and has the young ones collected now and then, which takes a few ms.
 *
 * @module
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { COLLECT_BYTES } from "../core/limits.ts";

type Collect = (options: { readonly type: "minor" | "major" }) => void;

let collect: Collect | undefined;
let movedBytes = 0;

/** Counts bytes for which buffers were made. */
export function moved(bytes: number): void {
  movedBytes += bytes;
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
