/**
 * Where each record of a file stands, in typed arrays: 16 bytes a record, 8 a transaction and 18 to 36 an object, so
 * that the index of ten million records takes some hundred megabytes and no work of the garbage collector.
 */
import type { Oid, Tid } from "../core/ids.ts";

const START_LENGTH = 1024;
/** Slots of the hash table in use before it grows, as a part of all. */
const FILL_MAX = 2 / 3;

type Numbers = Uint32Array | Float64Array | BigUint64Array;

function grown<Kind extends Numbers>(numbers: Kind, used: number): Kind {
  if (used < numbers.length) return numbers;
  const longer = new (numbers.constructor as new(length: number) => Kind)(Math.ceil(numbers.length * 1.5));
  longer.set(numbers as never);
  return longer;
}

function hashOf(oid: bigint): number {
  const low = Math.imul(Number(BigInt.asUintN(32, oid)), 0x9e3779b1);
  const high = Math.imul(Number(oid >> 32n), 0x85ebca6b);
  const mixed = Math.imul(low ^ high, 0xc2b2ae35);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

/** From (oid, tid) to a record's position. Records of one transaction become visible together, in `end()`. */
export class RecordIndex {
  // A record is known by its number, 1 and up. Each names the same object's record before it: a chain, newest first.
  #positions = new Float64Array(START_LENGTH);
  #previous = new Uint32Array(START_LENGTH);
  #transactions = new Uint32Array(START_LENGTH);
  #records = 0;
  #tids = new BigUint64Array(START_LENGTH);
  #ended = 0;
  // Open addressing: an object's newest record; 0 is a free slot.
  #oids = new BigUint64Array(START_LENGTH);
  #newest = new Uint32Array(START_LENGTH);
  #objects = 0;
  #pending: { oid: Oid; position: number }[] = [];

  /** Notes a record of the transaction that is being written. `position` is above 0. */
  add(oid: Oid, position: number): void {
    this.#pending.push({ oid, position });
  }

  /** Makes the records added since the last call those of `tid`, which is above all before it. */
  end(tid: Tid): void {
    this.#tids = grown(this.#tids, this.#ended);
    this.#tids[this.#ended] = tid;
    for (const { oid, position } of this.#pending) this.#append(oid, position);
    this.#ended++;
    this.#pending = [];
  }

  /** Position of the object's newest record in an ended transaction; 0: it has none. */
  newest(oid: Oid): number {
    const record = this.#newest[this.#slot(oid)] ?? 0;
    return this.#positions[record] ?? 0;
  }

  /** Position of the object's record of `tid`, the last one if it has several there; 0: it has none. */
  find(oid: Oid, tid: Tid): number {
    for (
      let record = this.#newest[this.#slot(oid)] ?? 0;
      record !== 0;
      record = this.#previous[record] ?? 0
    ) {
      const at = this.#tids[this.#transactions[record] ?? 0] ?? 0n;
      if (at === tid) return this.#positions[record] ?? 0;
      if (at < tid) return 0; // the chain only gets older
    }
    return 0;
  }

  #append(oid: Oid, position: number): void {
    const record = ++this.#records;
    this.#positions = grown(this.#positions, record);
    this.#previous = grown(this.#previous, record);
    this.#transactions = grown(this.#transactions, record);
    if (this.#objects >= this.#oids.length * FILL_MAX) this.#rehash();
    const slot = this.#slot(oid);
    const previous = this.#newest[slot] ?? 0;
    if (previous === 0) this.#objects++;
    this.#positions[record] = position;
    this.#previous[record] = previous;
    this.#transactions[record] = this.#ended;
    this.#oids[slot] = oid;
    this.#newest[slot] = record;
  }

  /** The slot that holds `oid`, or the free one where it belongs. */
  #slot(oid: bigint): number {
    const mask = this.#oids.length - 1;
    let slot = hashOf(oid) & mask;
    while (this.#newest[slot] !== 0 && this.#oids[slot] !== oid) slot = (slot + 1) & mask;
    return slot;
  }

  #rehash(): void {
    const oids = this.#oids;
    const newest = this.#newest;
    this.#oids = new BigUint64Array(oids.length * 2);
    this.#newest = new Uint32Array(oids.length * 2);
    newest.forEach((record, at) => {
      if (record === 0) return;
      const slot = this.#slot(oids[at] ?? 0n);
      this.#oids[slot] = oids[at] ?? 0n;
      this.#newest[slot] = record;
    });
  }
}
