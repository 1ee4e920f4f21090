/**
 * Writes `tests/vectors/wire.txt`: a packet of every kind and its bytes. Run it after a message was added; a line of
 * an old message that changes says that older peers won't understand us.
 *
 *     deno run -A scripts/wire_vectors.ts
 *
 * @module
 */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodePacket, hexOf, printed, samples } from "../tests/samples.ts";

/** The file, from the first line to the last: a title, the packet as JSON, its bytes. */
export function wireVectors(): string {
  const entries = [...samples()].map(([title, packet]) =>
    `${title}\n${printed(packet)}\n${hexOf(encodePacket(packet))}\n`
  );
  return entries.join("\n");
}

if (import.meta.main) {
  writeFileSync(join(import.meta.dirname ?? ".", "..", "tests/vectors/wire.txt"), wireVectors());
}
