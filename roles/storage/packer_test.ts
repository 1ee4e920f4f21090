import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "../../adapters/system.ts";
import type { Conn, NodeIndex, Oid, Partition, Tid } from "../../core/ids.ts";
import { toTid, ZERO_TID } from "../../core/ids.ts";
import { PACK_LOOKS_PER_ROW, PACK_PAUSE_MS, PACK_ROWS, PACK_ROWS_PER_S } from "../../core/limits.ts";
import { PartitionTable } from "../../core/partition_table.ts";
import type { DatabaseState, RevisionKey } from "../../core/ports.ts";
import { Settings } from "../settings.ts";
import { Packer } from "./packer.ts";
import { Reads } from "./reads.ts";
import { Scrubber } from "./scrubber.ts";
import { Site } from "./site.ts";
import type { Asker } from "./site.ts";

const at = (monoMs: number) => ({ monoMs, wallMs: 0 });
const key = (oid: number, tid: number): RevisionKey => ({ oid: BigInt(oid) as Oid, tid: toTid(tid) });
const BEGINNING = key(0, 0);
const PRIMARY = 7 as Conn;
/** Behind a slice of which so many rows go. */
const pauseOf = (gone: number): number =>
  Math.ceil((1_000 * (gone + (PACK_ROWS - gone) / PACK_LOOKS_PER_ROW)) / PACK_ROWS_PER_S);
/** More than that. */
const PAUSE_MS = pauseOf(2);

/** Storage 2 of a cluster of two, with a cell of each of two partitions. */
class Stage {
  readonly site: Site;
  readonly packer: Packer;
  readonly dropped: RevisionKey[] = [];

  constructor(
    { packBound = ZERO_TID, packed = { bound: ZERO_TID, after: null }, settings = new Settings() }:
      & Partial<Pick<DatabaseState, "packBound" | "packed">>
      & { readonly settings?: Settings } = {},
  ) {
    const image = PartitionTable.deal({ partitions: 2, replicas: 1, nodes: [1, 2] as NodeIndex[] }).toImage();
    this.site = new Site({ digest: sha256, epoch: 1, image, settings });
    this.site.index = 2 as NodeIndex;
    const dropped = (rows: readonly RevisionKey[]): void => void this.dropped.push(...rows);
    this.packer = new Packer({ site: this.site, state: { packBound, packed }, dropped });
  }

  /** A cell is in another state from now on. */
  cell(partition: number, state: string): void {
    const { table } = this.site;
    const change = {
      partition: partition as Partition,
      node: 2 as NodeIndex,
      state,
      since: table!.version + 1,
    };
    this.site.table = table!.changed(table!.version + 1, [change]);
    this.packer.tableChanged();
  }

  /** What was decided since the last call, in words. */
  done(): string[] {
    return this.site.taken().flatMap((effect) => {
      switch (effect.do) {
        case "read":
          assert.ok(effect.query.read === "packable");
          return [`look to ${effect.query.bound} behind ${nameOf(effect.query.after)}`];
        case "save":
          if (effect.write.op === "packBound") return [`bound ${effect.write.tid}`];
          assert.ok(effect.write.op === "pack");
          return [`take ${effect.write.revisions.map(nameOf)} to ${nameOf(effect.write.after)}`];
        case "tell":
          return [`done ${(effect.message.body as { tid: Tid }).tid}`];
        default:
          return [];
      }
    });
  }

  /** Lets it look when it is due, and gives what is there. */
  look(monoMs: number, revisions: readonly RevisionKey[], next: RevisionKey | null): string[] {
    this.packer.due(at(monoMs));
    const looks = this.done();
    assert.match(looks.at(-1) ?? "nothing", /^look/);
    this.packer.found(++this.#looks, { read: "packable", revisions, next }, at(monoMs));
    return [...looks, ...this.done()];
  }
  #looks = 0;
}

function nameOf(row: RevisionKey | null): string {
  return row === null ? "the end" : `${row.oid}@${row.tid}`;
}

test("Packer saves a bound before all else, takes slice after slice as fast as is configured, and tells the primary (T13)", () => {
  const stage = new Stage();
  stage.packer.begin(PRIMARY);
  assert.deepEqual(stage.done(), [], "nothing is packed");
  stage.packer.take(toTid(9));
  assert.deepEqual(stage.done(), ["bound 9"]);
  const first = stage.look(1_000, [key(0, 1)], key(5, 3));
  assert.deepEqual(first, ["look to 9 behind 0@0", "take 0@1 to 5@3"]);
  assert.equal(stage.packer.dueMs, 1_000 + pauseOf(1));
  assert.deepEqual(stage.look(1_000 + PAUSE_MS, [], key(7, 3)), ["look to 9 behind 5@3"], "nothing to save");
  const last = stage.look(1_000 + 2 * PAUSE_MS, [key(8, 2)], null);
  assert.deepEqual(last, ["look to 9 behind 7@3", "take 8@2 to the end", "done 9"]);
  assert.equal(stage.packer.dueMs, undefined);
  assert.deepEqual(stage.dropped, [key(0, 1), key(8, 2)]);
  stage.packer.take(toTid(8));
  assert.deepEqual([stage.done(), stage.site.packBound], [[], 9n], "it never falls");
});

test("Packer goes on where it was behind a restart, and begins again for a bound that came meanwhile (T13)", () => {
  const stage = new Stage({ packBound: toTid(9), packed: { bound: toTid(9), after: key(5, 3) } });
  stage.packer.begin(PRIMARY);
  stage.packer.take(toTid(12));
  assert.deepEqual(stage.done(), ["bound 12"]);
  assert.deepEqual(stage.look(0, [], null), ["look to 9 behind 5@3", "take  to the end"]);
  assert.deepEqual(stage.look(PAUSE_MS, [], null), ["look to 12 behind 0@0", "take  to the end", "done 12"]);

  const done = new Stage({ packBound: toTid(9), packed: { bound: toTid(9), after: null } });
  done.packer.begin(PRIMARY);
  assert.deepEqual([done.done(), done.packer.dueMs], [["done 9"], undefined], "each primary hears of it");
});

test("Packer passes over rows of cells that aren't readable, and begins again when they are; behind a crash as well (T13)", () => {
  const stage = new Stage();
  stage.cell(1, "outOfDate");
  stage.packer.begin(PRIMARY);
  stage.packer.take(toTid(9));
  stage.done();
  const first = stage.look(0, [key(2, 1), key(3, 1)], key(4, 1));
  assert.deepEqual(first, ["look to 9 behind 0@0", "take 2@1 to 0@0"], "a crash begins from here");
  assert.deepEqual(stage.look(PAUSE_MS, [], null), ["look to 9 behind 4@1", "take  to 0@0"], "it isn't done");
  assert.equal(stage.packer.dueMs, undefined);
  stage.cell(1, "upToDate");
  assert.deepEqual(stage.look(PAUSE_MS, [key(3, 1)], null), [
    "look to 9 behind 0@0",
    "take 3@1 to the end",
    "done 9",
  ]);
});

test("Packer begins again when a cell is readable in which nothing could go: what it lacked has come (T13)", () => {
  const stage = new Stage();
  stage.cell(1, "outOfDate");
  stage.packer.begin(PRIMARY);
  stage.packer.take(toTid(9));
  stage.done();
  assert.deepEqual(stage.look(0, [], null).at(-1), "take  to 0@0", "it isn't done");
  stage.cell(1, "upToDate");
  assert.deepEqual(stage.look(PAUSE_MS, [key(3, 1)], null).slice(1), ["take 3@1 to the end", "done 9"]);
});

test("Packer isn't done any more when a cell comes that isn't readable, and a crash doesn't forget it (T13)", () => {
  const stage = new Stage({ packBound: toTid(9), packed: { bound: toTid(9), after: null } });
  stage.packer.begin(PRIMARY);
  assert.deepEqual(stage.done(), ["done 9"]);
  stage.cell(1, "outOfDate");
  assert.deepEqual(stage.done(), ["take  to 0@0"]);
  stage.cell(1, "upToDate");
  assert.deepEqual(stage.look(PAUSE_MS, [key(3, 1)], null).slice(1), ["take 3@1 to the end", "done 9"]);

  const late = new Stage({ packBound: toTid(9), packed: { bound: toTid(9), after: null } });
  late.cell(1, "outOfDate");
  late.packer.begin(PRIMARY);
  assert.deepEqual(late.done(), ["take  to 0@0"], "it came while no primary let us serve");
});

test("Packer isn't done at its end when a cell came meanwhile that isn't readable, and waits until it is (T13)", () => {
  const stage = new Stage();
  stage.packer.begin(PRIMARY);
  stage.packer.take(toTid(9));
  stage.done();
  stage.look(0, [], key(4, 1));
  stage.cell(1, "outOfDate");
  assert.deepEqual(stage.look(PAUSE_MS, [], null).at(-1), "take  to 0@0", "it isn't done");
  stage.cell(0, "feeding");
  assert.equal(stage.packer.dueMs, undefined, "nothing else helps");
  stage.cell(1, "upToDate");
  assert.deepEqual(stage.look(PAUSE_MS, [key(3, 1)], null).slice(1), ["take 3@1 to the end", "done 9"]);
});

test("Packer begins again at its end when the table changed while it passed over rows (T13)", () => {
  const stage = new Stage();
  stage.cell(1, "outOfDate");
  stage.packer.begin(PRIMARY);
  stage.packer.take(toTid(9));
  stage.done();
  stage.look(0, [key(3, 1)], key(4, 1));
  stage.cell(1, "upToDate");
  stage.look(PAUSE_MS, [], null);
  assert.deepEqual(stage.look(2 * PAUSE_MS, [key(3, 1)], null).at(-1), "done 9");
});

test("Packer rests while its speed is 0, and an answer from before it was halted counts for nothing (T13, T51)", () => {
  const kept = { revision: 1, values: { "storage.packRowsPerS": "0" } };
  const stage = new Stage({ settings: new Settings({ kept }) });
  stage.packer.begin(PRIMARY);
  stage.packer.take(toTid(9));
  stage.packer.due(at(5_000));
  assert.deepEqual([stage.done(), stage.packer.dueMs], [["bound 9"], 5_000 + PACK_PAUSE_MS]);

  const halted = new Stage();
  halted.packer.begin(PRIMARY);
  halted.packer.take(toTid(9));
  halted.packer.due(at(0));
  halted.packer.halt();
  halted.packer.begin(PRIMARY);
  halted.packer.due(at(0));
  halted.done();
  halted.packer.found(1, { read: "packable", revisions: [key(0, 1)], next: null }, at(0));
  assert.deepEqual(halted.done(), []);
  halted.packer.found(2, { read: "packable", revisions: [], next: BEGINNING }, at(0));
  assert.equal(halted.packer.dueMs, pauseOf(0));
});

/** Storage 2, whose database answers when the test does. */
function slow() {
  const { site } = new Stage();
  const asker: Asker = { conn: 9 as Conn, id: 1 };
  const reads = new Reads(site, { readLock: () => undefined, lockedBelow: () => false } as never);
  return { site, reads, asker };
}

test("Reads asks again what compares copies, if the bound of packs has risen before the database answered (J2)", () => {
  const { site, reads, asker } = slow();
  const body = { partition: 0 as Partition, upTo: toTid(20), version: 1 };
  reads.take(asker, { name: "digest", body });
  const [first] = site.taken();
  assert.ok(first?.do === "read" && first.query.read === "digest");
  site.packBound = toTid(9);
  reads.answered(first.context as never, { read: "digest", count: 1, digest: new Uint8Array() });
  const [second] = site.taken();
  assert.ok(second?.do === "read" && second.query.read === "digest" && second.query.bound === 9n);
  reads.answered(second.context as never, { read: "digest", count: 2, digest: new Uint8Array() });
  const [answered] = site.taken();
  assert.ok(answered?.do === "answer");
  assert.deepEqual(answered.message.body, { count: 2, digest: new Uint8Array(), packBound: 9n });
});

test("Scrubber inspects again if the bound of packs has risen before the database answered (J2)", () => {
  const { site, asker } = slow();
  const scrubber = new Scrubber({ site });
  scrubber.inspect(asker, { epoch: 1, partition: 0 as Partition, upTo: toTid(20) });
  const bounds: (bigint | undefined)[] = [];
  for (const packBound of [9, 9]) {
    const [effect] = site.taken();
    assert.ok(effect?.do === "read" && effect.query.read === "digest");
    bounds.push(effect.query.bound);
    site.packBound = toTid(packBound);
    const { look } = effect.context as { readonly look: number };
    scrubber.read(look, { read: "digest", count: 1, digest: new Uint8Array() }, at(0));
  }
  assert.deepEqual(bounds, [0n, 9n]);
  const [effect] = site.taken();
  assert.ok(effect?.do === "read" && effect.query.read === "scrub", "it goes on");
});

test("Scrubber tells the primary that broken rows are gone that a pack took (T13, X5)", () => {
  const { site } = slow();
  const scrubber = new Scrubber({ site, pace: { delayMs: 0 } });
  scrubber.begin(PRIMARY, at(0));
  scrubber.due(at(0));
  const [effect] = site.taken();
  assert.ok(effect?.do === "read");
  const { look } = effect.context as { readonly look: number };
  scrubber.read(look, { read: "scrub", broken: [key(0, 1), key(2, 1)], bytes: 1, next: null }, at(0));
  const told = () =>
    site.taken().flatMap((one) =>
      one.do === "tell" && one.message.name === "damaged" ? [one.message.body.rows.length] : []
    );
  assert.deepEqual(told(), [2]);
  scrubber.dropped([key(0, 1), key(4, 1)]);
  assert.deepEqual(told(), [1]);
  scrubber.dropped([key(2, 1)]);
  assert.deepEqual(told(), [0]);
  assert.deepEqual(scrubber.found, []);
});

test("Scrubber doesn't count as broken what a pack takes by and by: other copies have it no more (T13, X5)", () => {
  const { site } = slow();
  site.packBound = toTid(9);
  const scrubber = new Scrubber({ site, pace: { delayMs: 0 } });
  scrubber.begin(PRIMARY, at(0));
  scrubber.due(at(0));
  const looks = () =>
    site.taken().flatMap((one) =>
      one.do === "read" ? [{ query: one.query, look: (one.context as { readonly look: number }).look }] : []
    );
  const [page] = looks();
  const broken = [key(0, 1), key(2, 8), key(4, 10), key(6, 2)];
  scrubber.read(page!.look, { read: "scrub", broken, bytes: 1, next: null }, at(0));
  const [old, newest, gone] = looks();
  assert.ok(old?.query.read === "loadExact" && newest?.query.read === "loadExact");
  assert.deepEqual([old.query.tid, newest.query.tid], [1n, 8n], "what is behind the bound isn't asked for");
  const answer = (tid: bigint, next: bigint) => {
    const revision = { tid: toTid(tid), next: toTid(next), stored: null, link: null };
    return { read: "loadExact", known: true, revision } as const;
  };
  scrubber.read(newest.look, answer(8n, 12n), at(0));
  scrubber.read(old.look, answer(1n, 9n), at(0));
  assert.deepEqual(scrubber.found, [], "it waits for all answers");
  scrubber.read(gone!.look, { read: "loadExact", known: true, revision: null }, at(0));
  assert.deepEqual(scrubber.found.flatMap(({ rows }) => rows), [key(2, 8), key(4, 10)]);
});
