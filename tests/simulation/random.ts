/** Seeded randomness: 32-bit integer arithmetic only, so that every runtime draws the same numbers. */
import type { Random } from "../../core/ports.ts";

/** Mixes a text into a 32-bit number, so that streams of one seed have nothing in common. */
function mix(seed: number, label: string): number {
  let hash = seed | 0;
  for (let i = 0; i < label.length; i++) hash = Math.imul(hash ^ label.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/** A small generator (sfc32). One seed and label give one sequence. */
export class SimRandom implements Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;
  readonly #seed: number;
  readonly #label: string;

  constructor(seed: number, label = "") {
    this.#seed = seed;
    this.#label = label;
    this.#a = mix(seed, `${label}/a`);
    this.#b = mix(seed, `${label}/b`);
    this.#c = mix(seed, `${label}/c`);
    for (let i = 0; i < 12; i++) this.next();
  }

  /** An own sequence for one part of the run: what one part draws doesn't change what another gets. */
  fork(label: string): SimRandom {
    return new SimRandom(this.#seed, `${this.#label}/${label}`);
  }

  next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (this.#c << 21) | (this.#c >>> 11);
    this.#c = (this.#c + sum) | 0;
    return (sum >>> 0) / 4294967296;
  }

  /** A whole number from `low` to `high`, both possible. */
  int(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  /** A number between two others. */
  between(low: number, high: number): number {
    return low + this.next() * (high - low);
  }

  /** True with that probability. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** One of several. */
  pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.next() * from.length)]!;
  }

  /** Some of several, each with that probability, in their order. */
  some<T>(from: readonly T[], probability: number): T[] {
    return from.filter(() => this.chance(probability));
  }
}
