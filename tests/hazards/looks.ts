/** What a test looks at from outside: databases of storages, and who has a readable copy. */
import type { Stage } from "./kit.ts";
import { textOf, tidAt } from "./words.ts";

/** The newest revision of an object in a storage's database. */
export function storedAt(stage: Stage, name: string, oid: bigint): string | undefined {
  const query = { read: "load", oid, at: tidAt(2 ** 62) };
  const { revision } = stage.storage(name).store.read(query) as {
    revision: { stored: { data: Uint8Array } | null } | null;
  };
  return textOf(revision?.stored?.data);
}

/** Storages with a readable copy of a partition, as the primary's table has it. */
export function readersOf(stage: Stage, partition: number): string[] {
  const row = stage.master.machine.view.table.split("\n")[partition] ?? "";
  return [...row.matchAll(/ (\d+)[UF]/g)].map(([, node]) => `s${Number(node) - 1}`);
}
