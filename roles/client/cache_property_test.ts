/** The cache beside a storage and a primary whose news and answers overtake each other: a hit is what the history says. */
import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Oid, Tid } from "../../core/ids.ts";
import { toOid, toTid, ZERO_TID } from "../../core/ids.ts";
import { CACHE_ENTRY_BYTES } from "../../core/limits.ts";
import { Cache } from "./cache.ts";
import type { LoadedRevision } from "./calls.ts";
import { type PendingLoad, PendingLoads } from "./pending_loads.ts";

/** Objects that are written all the time, and all objects. */
const HOT = 4;
const OIDS = 20;

interface Transaction {
  readonly tid: Tid;
  /** What it writes; null is a deletion. */
  readonly data: ReadonlyMap<Oid, Uint8Array | null>;
}

/** A load, its answer once the storage has made it, and what it asks for. */
interface Load {
  readonly pending: PendingLoad;
  readonly wanted: { readonly at: Tid } | { readonly tid: Tid };
  readonly jumps: number;
  answer: LoadedRevision | undefined;
}

/** A client's cache, and around it what is true. */
class World {
  readonly cache: Cache;
  readonly loads = new PendingLoads();
  /** All that storages hold, ascending; the client knows of those up to `newest`. */
  readonly history: Transaction[] = [];
  readonly underWay: Load[] = [];
  newest: Tid = ZERO_TID;
  jumps = 0;
  #bytesMax: number;
  #lastTid = 0;

  constructor(bytesMax: number, lifeAccesses: number) {
    this.#bytesMax = bytesMax;
    this.cache = new Cache({ bytesMax, lifeAccesses });
    this.store(Array.from({ length: OIDS }, (_, oid) => oid), 20);
    this.publish();
  }

  /** What a storage answers, if it knows transactions up to `known`. */
  truth(oid: Oid, wanted: Load["wanted"], known: Tid): LoadedRevision | undefined {
    const ours = this.history.filter(({ tid, data }) => tid <= known && data.has(oid));
    const at = "at" in wanted
      ? ours.findLastIndex(({ tid }) => tid <= wanted.at)
      : ours.findIndex(({ tid }) => tid === wanted.tid);
    const found = ours[at];
    if (found === undefined) return undefined;
    return { tid: found.tid, next: ours[at + 1]?.tid ?? null, data: found.data.get(oid)!, link: null };
  }

  /** Storages hold a transaction that the client hasn't heard of. */
  store(oids: readonly number[], bytes: number): void {
    this.#lastTid += 2;
    const data = bytes === 0 ? null : new Uint8Array(bytes).fill(this.#lastTid);
    this.history.push({ tid: toTid(this.#lastTid), data: new Map(oids.map((oid) => [toOid(oid), data])) });
  }

  /** The client hears of the next transaction. */
  publish(): void {
    const heard = this.history.find(({ tid }) => tid > this.newest);
    if (heard === undefined) return;
    for (const oid of heard.data.keys()) {
      this.cache.invalidate(oid, heard.tid);
      this.loads.invalidated(oid, heard.tid);
    }
    this.newest = heard.tid;
  }

  /** The client misses all news so far; `lost` transactions are taken back meanwhile. */
  jump(lost: number): void {
    this.jumps += 1;
    if (lost > 0) this.history.length = Math.max(this.history.length - lost, 0);
    this.newest = this.history.at(-1)?.tid ?? ZERO_TID;
    if (lost > 0) this.cache.clear();
    else this.cache.clearCurrent();
    this.loads.jump();
  }

  /** A read: a hit is judged, a miss begins a load. */
  read(oid: Oid, wanted: Load["wanted"]): void {
    if (this.judged(oid, wanted)) return;
    const pending = this.loads.begin(oid);
    this.underWay.push({ pending, wanted, jumps: this.jumps, answer: undefined });
  }

  /** Whether it is a hit; if so, it is what the history says. */
  judged(oid: Oid, wanted: Load["wanted"]): boolean {
    const hit = "at" in wanted ? this.cache.lookup(oid, wanted.at) : this.cache.lookupExact(oid, wanted.tid);
    if (hit === undefined) return false;
    const { tid, next, data, link } = hit;
    assert.deepEqual({ tid, next, data, link }, this.truth(oid, wanted, this.newest));
    return true;
  }

  /** A storage makes the answer of a load. */
  answer(load: Load | undefined): void {
    if (load === undefined || load.answer) return;
    load.answer = this.truth(load.pending.oid, load.wanted, toTid(this.#lastTid));
    if (load.answer === undefined) this.#ends(load);
  }

  /** The answer of a load arrives. */
  end(load: Load | undefined): void {
    if (load?.answer === undefined) return;
    this.#ends(load);
    const { oid } = load.pending;
    const { tid, next } = load.answer;
    const early = next !== null && next > this.newest;
    const { revision, cacheable } = this.loads.end(load.pending, {
      ...load.answer,
      next: early ? null : next,
    });
    assert.equal(cacheable, load.jumps === this.jumps);
    if (!cacheable || tid > this.newest) return;
    assert.deepEqual(revision, this.truth(oid, { tid }, this.newest));
    this.cache.insert(oid, revision);
    assert.ok(this.cache.stats.bytes <= this.#bytesMax);
  }

  /** Reads what is hardly ever written, which pushes out the rest. */
  sweep(): void {
    for (let oid = HOT; oid < OIDS; oid++) {
      const before = this.underWay.length;
      this.read(toOid(oid), { at: this.newest });
      const load = this.underWay[before];
      this.answer(load);
      this.end(load);
    }
  }

  /** Everything that the cache holds is true, and counted. */
  check(): void {
    let [entries, bytes] = [0, 0];
    for (let oid = toOid(0); oid < OIDS; oid = toOid(oid + 1n)) {
      for (let at = ZERO_TID; at <= this.newest; at = toTid(at + 1n)) {
        this.judged(oid, { at });
        if (!this.judged(oid, { tid: at })) continue;
        entries += 1;
        bytes += CACHE_ENTRY_BYTES + (this.truth(oid, { tid: at }, this.newest)!.data?.length ?? 0);
      }
    }
    const { stats } = this.cache;
    assert.deepEqual({ entries: stats.entries, bytes: stats.bytes }, { entries, bytes });
    assert.ok(bytes <= this.#bytesMax);
  }

  #ends(load: Load): void {
    this.underWay.splice(this.underWay.indexOf(load), 1);
    if (load.answer === undefined) this.loads.drop(load.pending);
  }
}

const oid = fc.nat(HOT - 1);
/** How far back a read looks: mostly at what is new. */
const age = fc.oneof({ weight: 3, arbitrary: fc.nat(2) }, fc.nat(40));
const kinds = {
  store: fc.record({
    do: fc.constant("store" as const),
    oids: fc.uniqueArray(oid, { minLength: 1 }),
    bytes: fc.nat(60),
  }),
  publish: fc.record({ do: fc.constant("publish" as const) }),
  load: fc.record({ do: fc.constant("load" as const), oid, age }),
  loadExact: fc.record({ do: fc.constant("loadExact" as const), oid, age }),
  answer: fc.record({ do: fc.constant("answer" as const), which: fc.nat(100) }),
  end: fc.record({ do: fc.constant("end" as const), which: fc.nat(100) }),
  sweep: fc.record({ do: fc.constant("sweep" as const) }),
  jump: fc.record({ do: fc.constant("jump" as const), lost: fc.constantFrom(0, 0, 0, 2) }),
};
const action = fc.oneof(
  { weight: 12, arbitrary: kinds.store },
  { weight: 15, arbitrary: kinds.publish },
  { weight: 40, arbitrary: kinds.load },
  { weight: 15, arbitrary: kinds.loadExact },
  { weight: 40, arbitrary: kinds.answer },
  { weight: 40, arbitrary: kinds.end },
  { weight: 5, arbitrary: kinds.sweep },
  { weight: 1, arbitrary: kinds.jump },
);
type Action = typeof action extends fc.Arbitrary<infer A> ? A : never;

/** The tid of the `age`th newest transaction, or one before it. */
function tidOf(history: readonly Transaction[], age: number): Tid {
  return history.at(-1 - Math.min(age, history.length - 1))?.tid ?? ZERO_TID;
}

function chosen(loads: readonly Load[], which: number): Load | undefined {
  return loads[which % loads.length];
}

function play(world: World, one: Action): void {
  switch (one.do) {
    case "store":
      return world.store(one.oids, one.bytes);
    case "publish":
      return world.publish();
    case "load":
      return world.read(toOid(one.oid), {
        at: tidOf(world.history.filter(({ tid }) => tid <= world.newest), one.age),
      });
    case "loadExact": // of a tid that another process told us: our own news of it may still be on their way
      return world.read(toOid(one.oid), { tid: tidOf(world.history, one.age) });
    case "answer":
      return world.answer(chosen(world.underWay.filter(({ answer }) => !answer), one.which));
    case "end":
      return world.end(chosen(world.underWay.filter(({ answer }) => answer), one.which));
    case "sweep":
      return world.sweep();
    case "jump":
      return world.jump(one.lost);
  }
}

test("Cache and PendingLoads give what the history says, however news and answers overtake each other (T43, T47)", () => {
  fc.assert(
    fc.property(
      fc.array(action, { maxLength: 300, size: "max" }),
      fc.constantFrom(9, 20, 1_000),
      fc.constantFrom(5, 50, 10_000),
      (actions, room, lifeAccesses) => {
        const world = new World(room * CACHE_ENTRY_BYTES, lifeAccesses);
        for (const one of actions) play(world, one);
        world.check();
      },
    ),
    { numRuns: 1_000 },
  );
});
