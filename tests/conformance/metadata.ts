/** What every `MetadataStore` promises. An adapter is done when its test file calls this and passes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { InvariantError } from "../../core/errors.ts";
import type { LogEntry, MetadataState, MetadataStore, MetadataWrite } from "../../core/ports.ts";

/** A place for one store, as `DatabaseKit` is for databases. */
export interface MetadataKit {
  open(): MetadataStore | Promise<MetadataStore>;
  crash(): void | Promise<void>;
  end(): void | Promise<void>;
}

/** Makes a place for a store that begins with that snapshot, or with none, and with this identity or an empty one. */
export type MakeMetadata = (image: Uint8Array | null, diskId?: string) => MetadataKit;

const first = Uint8Array.of(1, 2, 3);
const snapshot0 = { index: 0, term: 0, image: first };
const taken2 = { index: 2, term: 1, image: Uint8Array.of(2) };
const snapshot2 = { op: "snapshot", ...taken2 } as const;
const nothing = new Uint8Array(0);
const unvoted = { term: 0, votedFor: null };
const ballot = (term: number, votedFor: number | null) => ({ op: "ballot", term, votedFor } as const);

function entry(index: number, term = 1): LogEntry {
  return { index, term, entry: new TextEncoder().encode(`entry ${index} of term ${term}`) };
}

function append(...entries: readonly LogEntry[]): MetadataWrite {
  return { op: "append", entries };
}

function testWith(title: string, make: () => MetadataKit, body: (kit: MetadataKit) => Promise<void>): void {
  test(title, async () => {
    const kit = make();
    try {
      await body(kit);
    } finally {
      await kit.end();
    }
  });
}

/** Applies rounds, one after another, and gives what is there after the process has died. */
async function stateAfter(
  kit: MetadataKit,
  rounds: readonly (readonly MetadataWrite[])[],
): Promise<MetadataState> {
  const store = await kit.open();
  for (const writes of rounds) await store.apply(writes, { durable: true });
  await kit.crash();
  return (await kit.open()).state;
}

/** Runs the whole suite against the stores that `make` gives places to. */
export function testMetadata(name: string, make: MakeMetadata): void {
  testLog(name, make);
  testMetadataMistakes(name, make);
  testLife(name, make);
}

function testLog(name: string, make: MakeMetadata): void {
  const cases: {
    title: string;
    rounds: readonly (readonly MetadataWrite[])[];
    state: Omit<MetadataState, "ballot" | "diskId">;
    vote?: MetadataState["ballot"];
  }[] = [
    { title: "nothing", rounds: [[], [append()]], state: { snapshot: snapshot0, entries: [] } },
    {
      title: "entries in their order",
      rounds: [[append(entry(1), entry(2))], [append(entry(3)), append(entry(4))]],
      state: { snapshot: snapshot0, entries: [1, 2, 3, 4].map((index) => entry(index)) },
    },
    {
      title: "what replaced the end of the log",
      rounds: [[append(entry(1), entry(2), entry(3), entry(4))], [append(entry(2, 2), entry(3, 2))]],
      state: { snapshot: snapshot0, entries: [entry(1), entry(2, 2), entry(3, 2)] },
    },
    {
      title: "a snapshot and the entries above it",
      rounds: [[append(entry(1), entry(2), entry(3))], [snapshot2]],
      state: { snapshot: taken2, entries: [entry(3)] },
    },
    {
      title: "a snapshot beyond the log, and what follows it",
      rounds: [[append(entry(1))], [snapshot2, append(entry(3, 2))]],
      state: { snapshot: taken2, entries: [entry(3, 2)] },
    },
    {
      title: "the same snapshot again",
      rounds: [[snapshot2], [{ ...snapshot2, image: Uint8Array.of(9) }]],
      state: { snapshot: { ...taken2, image: Uint8Array.of(9) }, entries: [] },
    },
    {
      title: "a snapshot of another's log, and nothing of its own",
      rounds: [[append(entry(1), entry(2), entry(3))], [{ ...snapshot2, alone: true }, append(entry(3, 4))]],
      state: { snapshot: taken2, entries: [entry(3, 4)] },
    },
    {
      title: "its term and its vote (X1, T52)",
      rounds: [[ballot(1, null)], [ballot(3, null), append(entry(1)), ballot(3, 2)], [snapshot2]],
      state: { snapshot: taken2, entries: [] },
      vote: { term: 3, votedFor: 2 },
    },
    {
      title: "a later term in place of a vote",
      rounds: [[ballot(2 ** 40, 2), ballot(2 ** 40, 2)], [ballot(2 ** 40 + 1, null)]],
      state: { snapshot: snapshot0, entries: [] },
      vote: { term: 2 ** 40 + 1, votedFor: null },
    },
    {
      title: "many entries of one round (T31)",
      rounds: [[append(...Array.from({ length: 500 }, (_, i) => entry(i + 1, 2 ** 40)))]],
      state: { snapshot: snapshot0, entries: Array.from({ length: 500 }, (_, i) => entry(i + 1, 2 ** 40)) },
    },
    {
      title: "an empty entry and an empty image",
      rounds: [[{ ...snapshot2, image: nothing }, append({ index: 3, term: 1, entry: nothing })]],
      state: { snapshot: { ...taken2, image: nothing }, entries: [{ index: 3, term: 1, entry: nothing }] },
    },
  ];
  for (const { title, rounds, state, vote = unvoted } of cases) {
    testWith(`${name} has ${title} after a crash`, () => make(first, "d-1"), async (kit) => {
      assert.deepEqual(await stateAfter(kit, rounds), { ...state, ballot: vote, diskId: "d-1" });
    });
  }
}

function testMetadataMistakes(name: string, make: MakeMetadata): void {
  const mistakes: { title: string; write: MetadataWrite }[] = [
    { title: "a gap", write: append(entry(7)) },
    { title: "entries out of order", write: append(entry(4), entry(6)) },
    { title: "an entry that the snapshot contains", write: append(entry(2)) },
    { title: "a snapshot that is older", write: { ...snapshot2, index: 1 } },
    { title: "an older term", write: ballot(1, null) },
    { title: "a second vote in one term", write: ballot(2, 3) },
    { title: "a vote that is taken back", write: ballot(2, null) },
  ];
  for (const { title, write } of mistakes) {
    testWith(
      `${name}: apply() throws at ${title}, does nothing of the round, and ends there`,
      () => make(first),
      async (kit) => {
        const store = await kit.open();
        const round = async (...writes: MetadataWrite[]) => await store.apply(writes, { durable: true });
        await round(append(entry(1), entry(2), entry(3)), snapshot2, ballot(2, 1));

        await assert.rejects(round(append(entry(4)), append(entry(5, 2)), write), InvariantError);

        await assert.rejects(round(), InvariantError);
        await store.close();
        assert.deepEqual((await kit.open()).state, {
          snapshot: taken2,
          entries: [entry(3)],
          ballot: { term: 2, votedFor: 1 },
          diskId: "",
        });
      },
    );
  }
}

function testLife(name: string, make: MakeMetadata): void {
  testWith(`${name}: without a snapshot a master waits`, () => make(null), async (kit) => {
    const { snapshot, entries, ballot } = (await kit.open()).state;
    assert.deepEqual([snapshot, entries, ballot], [null, [], unvoted]);
  });

  testWith(
    `${name}: a store without a snapshot takes a log and another's snapshot`,
    () => make(null),
    async (kit) => {
      const image = Uint8Array.of(7);
      const rounds = [[append(entry(1))], [{ op: "snapshot", index: 7, term: 3, image } as const], [
        append(entry(8)),
      ]];
      const { snapshot, entries } = await stateAfter(kit, rounds);
      assert.deepEqual([snapshot, entries], [{ index: 7, term: 3, image }, [entry(8)]]);
    },
  );

  testWith(`${name}: a second opener is refused while the first lives`, () => make(first), async (kit) => {
    const store = await kit.open();
    await assert.rejects(async () => await kit.open(), { name: "StoreOpenError", reason: "inUse" });
    await store.apply([append(entry(1))], { durable: true });
    await store.close();

    assert.deepEqual((await kit.open()).state.entries, [entry(1)]);
  });

  testWith(`${name}: a store isn't used after close()`, () => make(first), async (kit) => {
    const store = await kit.open();
    const free = store.freeBytes();
    assert.ok(free === undefined || free > 0);
    await store.close();
    await store.close();
    await assert.rejects(
      async () => await store.apply([append(entry(1))], { durable: true }),
      InvariantError,
    );
  });
}
