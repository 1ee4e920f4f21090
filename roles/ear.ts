/**
 * How notices by multicast come into the order of a connection. Sans-IO, a connection's receiving side.
 *
 * The connection says by `notice` where in its commit lane each belongs; what the lane brings behind one that isn't there waits for
 * it. So the machine hears the same in the same order as without multicast, whatever the network loses, doubles or shuffles.
 *
 * Invariants: what is given out is the lane's order, each once; a datagram alone gives nothing out; memory is bounded by
 * `NOTICES_EARLY_MAX` datagrams and `NOTICE_HELD_MAX` packets.
 */
import { decodePacket } from "../core/codec.ts";
import type { Packet } from "../core/codec.ts";
import type { Stream } from "../core/datagrams.ts";
import { MalformedError } from "../core/errors.ts";
import { NOTICE_HELD_MAX, NOTICES_ASKED_MAX, NOTICES_EARLY_MAX, NOTICES_MISSED_MAX } from "../core/limits.ts";

/** A place in the lane: a packet, or a notice by its number. */
type Place = { readonly packet: Packet } | { readonly number: number };

/** Notices of one stream, and the lane that they belong to. */
export class Ear {
  readonly stream: Stream;
  readonly group: string;
  /** Whether a datagram came through, so that the sender was told. */
  heard = false;
  /** What an open question asks for. */
  asked: readonly number[] | undefined;
  #early = new Map<number, Uint8Array>();
  #lane: Place[] = [];
  #open = new Set<number>(); // notices in it
  #last = 0; // the number of the last place
  #missed = 0; // notices in a row that had to be asked for

  constructor(stream: Stream, group: string) {
    this.stream = stream;
    this.group = group;
  }

  /** Whether a place is empty, and all behind it waits. */
  get isWaiting(): boolean {
    return this.#lane.length > 0;
  }

  /** So many in a row were lost that datagrams don't seem to come through. */
  get isDeaf(): boolean {
    return this.#missed >= NOTICES_MISSED_MAX;
  }

  /** A datagram came through. */
  wakes(): void {
    this.heard = true;
    this.#missed = 0;
  }

  /** A packet of the lane; gives what may be taken now. */
  take(packet: Packet): Packet[] {
    if (this.#lane.length === 0) return [packet];
    this.#push({ packet });
    return [];
  }

  /**
   * The place of a notice; gives what may be taken now.
   *
   * @throws MalformedError when numbers don't grow, or too much waits
   */
  place(number: number): Packet[] {
    if (number <= this.#last) {
      throw new MalformedError(`Cannot take notice ${number}: ${this.#last} was before it`);
    }
    this.#last = number;
    this.#open.add(number);
    this.#push({ number });
    return this.#ready();
  }

  /** A datagram of the stream has come; gives what may be taken now. */
  hear(number: number, message: Uint8Array): Packet[] {
    this.#missed = 0;
    const isPlaced = this.#open.has(number);
    if (number <= this.#last && !isPlaced) return []; // it was there already, or isn't for us
    if (this.#early.size >= NOTICES_EARLY_MAX) this.#early.delete(this.#early.keys().next().value!);
    this.#early.set(number, message);
    return this.#ready();
  }

  /** Numbers of what isn't there, the first `NOTICES_ASKED_MAX`. */
  missing(): number[] {
    return [...this.#open].filter((number) => !this.#early.has(number)).slice(0, NOTICES_ASKED_MAX);
  }

  /**
   * The answer to a question for `numbers`; gives what may be taken now.
   *
   * @throws MalformedError when it doesn't have them all
   */
  mend(numbers: readonly number[], messages: readonly Uint8Array[]): Packet[] {
    if (messages.length !== numbers.length) {
      throw new MalformedError(`Cannot take ${messages.length} notices: ${numbers.length} were asked for`);
    }
    const missing = new Set(this.missing());
    for (const [index, number] of numbers.entries()) {
      if (!missing.has(number)) continue; // its datagram was late
      this.#missed += 1;
      this.#early.set(number, messages[index]!);
    }
    return this.#ready();
  }

  #push(place: Place): void {
    this.#lane.push(place);
    if (this.#lane.length <= NOTICE_HELD_MAX) return;
    throw new MalformedError(
      `Cannot wait for a notice: more than ${NOTICE_HELD_MAX} messages stand behind it`,
    );
  }

  /** What stands before the first empty place. */
  #ready(): Packet[] {
    const ready: Packet[] = [];
    let count = 0;
    for (const place of this.#lane) {
      if ("packet" in place) ready.push(place.packet);
      else {
        const message = this.#early.get(place.number);
        if (message === undefined) break;
        this.#open.delete(place.number);
        ready.push(told(message));
      }
      count += 1;
    }
    this.#lane.splice(0, count);
    this.#forget();
    return ready;
  }

  /** Datagrams before the first empty place were taken, or were for others. */
  #forget(): void {
    const [first = this.#last + 1] = this.#open;
    for (const number of this.#early.keys()) if (number < first) this.#early.delete(number);
  }
}

/** Only notifications travel as notices. */
function told(message: Uint8Array): Packet {
  const packet = decodePacket(message);
  if (packet.kind === "tell") return packet;
  throw new MalformedError(`Cannot take a notice: it is a ${packet.kind}`);
}
