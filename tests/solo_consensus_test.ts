import assert from "node:assert/strict";
import { test } from "node:test";
import { LOG_ENTRIES_MAX } from "../core/limits.ts";
import type { MetadataState } from "../core/ports.ts";
import { encodeEntry } from "../roles/master/entries.ts";
import { masterDisk } from "./machines.ts";
import { SoloConsensus } from "./solo_consensus.ts";

/** A consensus on its disk, and what its host does for it. */
class Member {
  readonly disk = masterDisk();
  #store = this.disk.open();
  consensus = new SoloConsensus(this.#store.state);

  /** Proposes and saves, as one round does. */
  hold(...entries: Parameters<SoloConsensus["propose"]>[0][]) {
    this.#store.apply(entries.flatMap((entry) => this.consensus.propose(entry)), { durable: true });
    return this.consensus.saved();
  }

  /** Saves what shortens the log; gives how many writes that took. */
  compact(): number {
    const writes = this.consensus.compact();
    this.#store.apply(writes, { durable: true });
    return writes.length;
  }

  /** The process dies, and another begins on its disk. */
  restart(): MetadataState {
    this.disk.crash(0);
    this.#store = this.disk.open();
    this.consensus = new SoloConsensus(this.#store.state);
    return this.#store.state;
  }
}

const opened = (epoch: number) => ({ type: "opened", epoch } as const);

test("SoloConsensus holds an entry when its save is done, and not when it is proposed", () => {
  const { consensus } = new Member();

  const writes = consensus.propose(opened(1));
  assert.equal(writes.length, 1);
  assert.equal(consensus.metadata.epoch, 0);

  assert.deepEqual(consensus.saved(), [opened(1)]);
  assert.equal(consensus.metadata.epoch, 1);
  assert.deepEqual(consensus.saved(), []);
});

test("SoloConsensus holds entries in the order in which they were proposed", () => {
  const member = new Member();
  const entries = [opened(1), { type: "sessionMark", session: 1_000 } as const, opened(2)];
  assert.deepEqual(member.hold(...entries), entries);
  assert.equal(member.consensus.metadata.epoch, 2);
});

test("SoloConsensus finds what was held after a crash, and nothing that wasn't saved", () => {
  const member = new Member();
  member.hold(opened(1), { type: "sessionMark", session: 1_000 });
  member.consensus.propose(opened(2));

  member.restart();

  assert.deepEqual([member.consensus.metadata.epoch, member.consensus.metadata.sessionMark], [1, 1_000]);
  member.hold(opened(2));
  member.restart();
  assert.equal(member.consensus.metadata.epoch, 2);
});

test("SoloConsensus replaces a long log by a snapshot, and goes on from there", () => {
  const member = new Member();
  for (let epoch = 1; epoch < LOG_ENTRIES_MAX; epoch++) {
    member.hold(opened(epoch));
    assert.equal(member.compact(), 0);
  }
  member.hold(opened(LOG_ENTRIES_MAX));
  assert.equal(member.compact(), 1);
  assert.equal(member.compact(), 0);
  member.hold(opened(LOG_ENTRIES_MAX + 1));

  const { snapshot, entries } = member.restart();

  assert.deepEqual([snapshot?.index, entries.length], [LOG_ENTRIES_MAX, 1]);
  assert.equal(member.consensus.metadata.epoch, LOG_ENTRIES_MAX + 1);
});

test("SoloConsensus takes no snapshot of what isn't held yet", () => {
  const member = new Member();
  for (let epoch = 1; epoch <= LOG_ENTRIES_MAX; epoch++) member.hold(opened(epoch));
  member.consensus.propose(opened(LOG_ENTRIES_MAX + 1));
  assert.deepEqual(member.consensus.compact(), []);
});

const { snapshot, ...rest } = masterDisk().open().state;
const entry = (index: number) => ({ index, term: 1, entry: encodeEntry(opened(index)) });
const states: { what: string; state: MetadataState; rule: RegExp }[] = [
  {
    what: "that was never initialised",
    state: { ...rest, snapshot: null, entries: [] },
    rule: /initialised/,
  },
  {
    what: "whose log has a gap",
    state: { ...rest, snapshot, entries: [entry(1), entry(3)] },
    rule: /consecutive/,
  },
  {
    what: "whose log doesn't fit its snapshot",
    state: { ...rest, snapshot, entries: [entry(2)] },
    rule: /consecutive/,
  },
];
for (const { what, state, rule } of states) {
  test(`SoloConsensus doesn't start from a store ${what}`, () => {
    assert.throws(() => new SoloConsensus(state), { name: "InvariantError", message: rule });
  });
}
