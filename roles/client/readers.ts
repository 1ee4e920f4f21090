/**
 * Which storage is asked: connected ones first, then those without a recent failure, then the one with the least under way.
 * A storage has a bounded number of our questions at once; what is more waits here, so that no answers pile up on a
 * connection.
 */
import type { NodeIndex, Partition } from "../../core/ids.ts";
import { FAILURE_MEMORY_MS, HEDGE_MS_MIN, HEDGE_QUANTILE, HEDGE_SAMPLES } from "../../core/limits.ts";
import type { Links } from "./links.ts";
import type { Site } from "./site.ts";

interface Reader {
  inFlight: number;
  failedMs: number;
  readonly waiting: (() => void)[];
}

/** The storages that we read from. */
export class Readers {
  #site: Site;
  #links: Links;
  #readers = new Map<NodeIndex, Reader>();
  #latencies: number[] = []; // a ring
  #sample = 0;

  constructor(site: Site, links: Links) {
    this.#site = site;
    this.#links = links;
  }

  /**
   * Storages with a readable copy of a partition, the best first; one is judged only when it is asked for.
   *
   * @param except storages that aren't wanted
   */
  *candidates(partition: Partition, except: ReadonlySet<NodeIndex>): Generator<NodeIndex> {
    const left = new Set(this.#site.readers(partition).filter((node) => !except.has(node)));
    while (left.size > 0) {
      let best: NodeIndex | undefined;
      for (const node of left) if (best === undefined || this.#isBetter(node, best)) best = node;
      left.delete(best!);
      yield best!;
    }
  }

  /** The best storage for a partition. */
  best(partition: Partition, except: ReadonlySet<NodeIndex>): NodeIndex | undefined {
    return this.candidates(partition, except).next().value ?? undefined;
  }

  /** Runs `send` when the storage may be asked one thing more: now, or when something else has ended. */
  enter(node: NodeIndex, send: () => void): void {
    const reader = this.#readerOf(node);
    if (reader.inFlight < this.#inFlightMax) send();
    else reader.waiting.push(send);
  }

  /** A question goes out. */
  began(node: NodeIndex): void {
    this.#readerOf(node).inFlight += 1;
  }

  /** It has its answer, or has failed. */
  ended(node: NodeIndex, sentMs: number): void {
    const reader = this.#readerOf(node);
    reader.inFlight -= 1;
    this.#latencies[this.#sample] = this.#site.now.monoMs - sentMs;
    this.#sample = (this.#sample + 1) % HEDGE_SAMPLES;
    // one that isn't wanted any more takes no place
    while (reader.inFlight < this.#inFlightMax && reader.waiting.length > 0) reader.waiting.shift()!();
  }

  /** The storage didn't answer, or wrongly. */
  failed(node: NodeIndex): void {
    this.#readerOf(node).failedMs = this.#site.now.monoMs;
  }

  /** How long nearly all answers took lately, in ms: who waits longer may ask another copy. */
  get hedgeMs(): number {
    const sorted = this.#latencies.toSorted((a, b) => a - b);
    return Math.max(sorted[Math.floor(sorted.length * HEDGE_QUANTILE)] ?? 0, HEDGE_MS_MIN);
  }

  get #inFlightMax(): number {
    return this.#site.settings.number("client.readsInFlight");
  }

  #isBetter(a: NodeIndex, b: NodeIndex): boolean {
    const [first, second] = [this.#rank(a), this.#rank(b)];
    for (let i = 0; i < first.length; i++) if (first[i] !== second[i]) return first[i]! < second[i]!;
    return false;
  }

  #rank(node: NodeIndex): readonly number[] {
    const { inFlight = 0, failedMs = -Infinity, waiting = [] } = this.#readers.get(node) ?? {};
    const isRecent = failedMs > this.#site.now.monoMs - FAILURE_MEMORY_MS;
    return [this.#links.isOpen(node) ? 0 : 1, isRecent ? failedMs : -Infinity, inFlight + waiting.length];
  }

  #readerOf(node: NodeIndex): Reader {
    let reader = this.#readers.get(node);
    if (!reader) this.#readers.set(node, reader = { inFlight: 0, failedMs: -Infinity, waiting: [] });
    return reader;
  }
}
