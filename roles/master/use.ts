/**
 * What storages say their cells are used for (T41): reads, writes and bytes, where what was an hour ago counts half. Kept in
 * memory only: after a change of primary it is there again as soon as the storages have spoken.
 */
import type { NodeIndex, Partition } from "../../core/ids.ts";
import { USE_BYTES_PER_REQUEST, USE_HALF_LIFE_MS, USE_REQUESTS_MIN } from "../../core/limits.ts";
import type { Body } from "../../core/messages.ts";
import { sum } from "./topology.ts";

interface Entry {
  readonly requests: number;
  readonly atMs: number;
}

/** The use of all cells. */
export class UseBook {
  #cells = new Map<NodeIndex, Map<Partition, Entry>>();

  /** A storage tells. */
  told(node: NodeIndex, { cells }: Body<"use">, nowMs: number): void {
    const known = this.#cells.get(node) ?? new Map<Partition, Entry>();
    this.#cells.set(node, known);
    for (const { partition, reads, writes, bytes } of cells) {
      known.set(partition, { requests: reads + writes + bytes / USE_BYTES_PER_REQUEST, atMs: nowMs });
    }
  }

  /** A storage is a member no more. */
  forget(node: NodeIndex): void {
    this.#cells.delete(node);
  }

  /** The use of one storage, in requests. */
  of(node: NodeIndex, nowMs: number): number {
    return sum([...this.#cells.get(node)?.values() ?? []].map((entry) => faded(entry, nowMs)));
  }

  /** What a cell of each partition asks of its storage, if it has `copies`; nothing while it is too little to matter. */
  loads(partitions: number, copies: number, nowMs: number): number[] {
    const loads = new Array<number>(partitions).fill(0);
    for (const cells of this.#cells.values()) {
      for (const [partition, entry] of cells) {
        if (partition < partitions) loads[partition]! += faded(entry, nowMs) / copies;
      }
    }
    return sum(loads) < USE_REQUESTS_MIN ? [] : loads;
  }
}

function faded({ requests, atMs }: Entry, nowMs: number): number {
  return requests * 2 ** (-(nowMs - atMs) / USE_HALF_LIFE_MS);
}
