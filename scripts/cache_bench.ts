// deno-lint-ignore-file no-console
/**
 * Measures the client's cache (T43): hits a second, and which part of the reads it serves, beside a cache that keeps what was
 * used last.
 *
 *     deno run -A scripts/cache_bench.ts
 *
 * @module
 */

import { SystemClock } from "../adapters/system.ts";
import type { Oid, Tid } from "../core/ids.ts";
import { toOid, toTid } from "../core/ids.ts";
import { CACHE_BYTES_DEFAULT, CACHE_ENTRY_BYTES } from "../core/limits.ts";
import { Cache } from "../roles/client/cache.ts";
import { PendingLoads } from "../roles/client/pending_loads.ts";

const DATA_BYTES = 1_000;
const READS = 500_000;
const WARM_CALLS = 500_000;
const CALLS = 3_000_000;
const clock = new SystemClock();
const newest = toTid(1n << 60n);

function revisionOf(tid: Tid) {
  return { tid, next: null, data: new Uint8Array(DATA_BYTES), link: null };
}

/** Numbers from 0 to 1, the same ones in every run. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Ranks below `count`, of which the first ones are more frequent: 1 / rank^skew. */
function zipfOf(count: number, skew: number, random: () => number): () => number {
  const sums = new Float64Array(count);
  let sum = 0;
  for (let rank = 0; rank < count; rank++) sums[rank] = sum += 1 / (rank + 1) ** skew;
  return () => {
    const wanted = random() * sum;
    let low = 0;
    for (let high = count - 1; low < high;) {
      const middle = (low + high) >>> 1;
      if (sums[middle]! < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

/** Keeps what was used last. */
class LastUsed {
  #kept = new Set<Oid>();
  readonly #countMax: number;

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  read(oid: Oid): boolean {
    const hit = this.#kept.delete(oid);
    this.#kept.add(oid);
    if (this.#kept.size > this.#countMax) this.#kept.delete(this.#kept.values().next().value!);
    return hit;
  }
}

function speed(name: string, call: (at: number) => void): void {
  for (let at = 0; at < WARM_CALLS; at++) call(at);
  const beganMs = clock.now().monoMs;
  for (let at = 0; at < CALLS; at++) call(at);
  const perSecond = CALLS / (clock.now().monoMs - beganMs) / 1_000;
  console.log(`${name.padEnd(56)} ${perSecond.toFixed(2)} million/s`);
}

function speeds(): void {
  for (const count of [100, 10_000]) {
    const cache = new Cache({ bytesMax: CACHE_BYTES_DEFAULT });
    const oids = Array.from({ length: count }, (_, at) => toOid(at));
    for (const oid of oids) cache.insert(oid, revisionOf(toTid(1)));
    speed(`hits, ${count} objects`, (at) => cache.lookup(oids[at % count]!, newest));
    const fresh = oids.map((oid) => toOid(BigInt(`${oid}`)));
    speed(`hits, ${count} objects, ids from elsewhere`, (at) => cache.lookup(fresh[at % count]!, newest));
  }
  const small = new Cache({ bytesMax: 1_000_000 });
  const revision = revisionOf(toTid(1));
  speed("inserts that push others out", (at) => small.insert(toOid(at), revision));
  const loads = new PendingLoads();
  const oids = Array.from({ length: 1_000 }, (_, at) => toOid(at));
  speed("publications of what nobody loads", (at) => loads.invalidated(oids[at % 1_000]!, newest));
}

function hitRate(name: string, megabytes: number, next: (at: number) => number): void {
  const bytesMax = megabytes * 2 ** 20;
  const cache = new Cache({ bytesMax });
  const other = new LastUsed(Math.floor(bytesMax / (DATA_BYTES + CACHE_ENTRY_BYTES)));
  const revision = revisionOf(toTid(1));
  let others = 0;
  for (let at = 0; at < READS; at++) {
    const oid = toOid(next(at));
    if (cache.lookup(oid, newest) === undefined) cache.insert(oid, revision);
    if (other.read(oid)) others += 1;
  }
  const [ours, theirs] = [cache.stats.hits, others].map((hits) => `${(100 * hits / READS).toFixed(1)} %`);
  console.log(`${name.padEnd(56)} ${ours}, last used ${theirs}`);
}

function hitRates(): void {
  const random = randomOf(1);
  const skewed = zipfOf(100_000, 0.9, random);
  const steep = zipfOf(100_000, 1.2, random);
  hitRate("20,000 objects that fit, any", 32, () => Math.floor(random() * 20_000));
  hitRate("100,000 objects, skewed, a fifth fits", 32, skewed);
  hitRate("100,000 objects, skewed, 7 % fit", 10, skewed);
  hitRate("the same, every other read is a scan", 10, (at) => at % 2 === 0 ? 200_000 + at : skewed());
  hitRate("the same, other objects after each 100,000 reads", 10, (at) => skewed() + at - at % 100_000);
  hitRate("100,000 objects, steep, 1.4 % fit", 2, steep);
}

if (import.meta.main) {
  speeds();
  hitRates();
}
