/**
 * What a node lacks of the partition table (T38): only the changes since the one that it has, which it names by its digest.
 * Both sides check: the sender knows which table that was, the receiver whether it comes to the same one.
 */
import { sameBytes } from "./bytes.ts";
import { ofCbor, toCbor } from "./cbor.ts";
import { MalformedError } from "./errors.ts";
import type { NodeIndex, Partition } from "./ids.ts";
import type { CellChange } from "./messages.ts";
import { cellStates, PartitionTable } from "./partition_table.ts";
import type { CellState } from "./partition_table.ts";
import type { Digest } from "./ports.ts";
import { bytes, integer, list, node, record, text } from "./schema.ts";
import { pushVarint, VarintReader } from "./varints.ts";

/** An image begins with a number, a difference with a word. */
const DIFFERENCE = "since";
const fields = record({
  what: text,
  base: bytes,
  version: integer,
  replicas: integer,
  /** Of the changes, once (T8). */
  nodes: list(node),
  changes: bytes,
  digest: bytes,
});
const WHAT = "a difference of the partition table";

/** The way from a table with the digest `base` to this one, as bytes. */
export function differenceOf(
  table: PartitionTable,
  since: { readonly base: Uint8Array; readonly cells: readonly CellChange[] },
  digest: Digest,
): Uint8Array {
  const { version, replicas } = table;
  const { base, cells } = since;
  const nodes = [...new Set(cells.map((cell) => cell.node))];
  const place = new Map(nodes.map((index, at) => [index, at]));
  const out: number[] = [];
  for (const cell of cells) {
    pushVarint(out, cell.partition);
    pushVarint(out, place.get(cell.node)!);
    out.push(cellStates.indexOf(cell.state as CellState));
    pushVarint(out, cell.since);
  }
  const changes = Uint8Array.from(out);
  const result = table.digest(digest);
  return toCbor(fields.write({ what: DIFFERENCE, base, version, replicas, nodes, changes, digest: result }));
}

function cellsOf(changes: Uint8Array, nodes: readonly NodeIndex[]): CellChange[] {
  const reader = new VarintReader(changes, WHAT);
  const cells: CellChange[] = [];
  while (!reader.isAtEnd) {
    const partition = reader.varint() as Partition;
    const index = nodes[reader.varint()];
    const state = cellStates[reader.byte()];
    if (index === undefined || state === undefined) {
      throw new MalformedError(`Cannot read ${WHAT}: unknown cell`);
    }
    cells.push({ partition, node: index, state, since: reader.varint() });
  }
  return cells;
}

/**
 * Reads a table that a primary sent, as an image or as a difference from our own.
 *
 * @throws MalformedError when it is neither, or a difference that doesn't fit
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import type { NodeIndex, Partition } from "./ids.ts";
 * import { PartitionTable } from "./partition_table.ts";
 * import { differenceOf, tableFrom } from "./table_difference.ts";
 * const digest = (...parts: readonly Uint8Array[]) => new Uint8Array(32).fill(parts[0]!.length); // a poor one
 * const old = PartitionTable.deal({ partitions: 1, replicas: 0, nodes: [1 as NodeIndex] });
 * const cells = [{ partition: 0 as Partition, node: 1 as NodeIndex, state: "feeding", since: 1 }];
 * const sent = differenceOf(old.changed(2, cells), { base: old.digest(digest), cells }, digest);
 * assert.equal(tableFrom(sent, old, digest).toString(), "0: 1F");
 * ```
 */
export function tableFrom(sent: Uint8Array, own: PartitionTable | undefined, digest: Digest): PartitionTable {
  const wire = ofCbor(sent, "a partition table");
  if (!Array.isArray(wire) || wire[0] !== DIFFERENCE) return PartitionTable.ofImage(sent);
  const difference = fields.read(wire, WHAT);
  if (!own || !sameBytes(own.digest(digest), difference.base)) {
    throw new MalformedError("Cannot change the partition table: the difference begins at another one");
  }
  const isSame = difference.version === own.version;
  const table = isSame
    ? own
    : own.changed(difference.version, cellsOf(difference.changes, difference.nodes), difference.replicas);
  if (!sameBytes(table.digest(digest), difference.digest)) {
    throw new MalformedError("Cannot change the partition table: the difference leads to another one");
  }
  return table;
}
