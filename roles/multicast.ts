/**
 * Notices to many by multicast, for the peers of one role. Sans-IO, both sides.
 *
 * The sender offers its group (`multicast`) to whoever comes and can hear; the receiver joins and says so (`listening`), an empty
 * datagram tries the way, and once it was heard the sender counts on it. From then on a notification to several of these is one
 * datagram, and a `notice` with its number in the lane of each; `ear.ts` puts both together. What was lost is asked for on the
 * connection (`missed`). Who hears nothing, or nothing any more, is told everything on its connection, as without multicast.
 */
import { encodeTell } from "../core/codec.ts";
import type { Packet } from "../core/codec.ts";
import {
  NOTICE_BYTES_MAX,
  openDatagram,
  sealDatagram,
  STREAM_BYTES,
  STREAM_KEY_BYTES,
} from "../core/datagrams.ts";
import type { Stream } from "../core/datagrams.ts";
import { MalformedError } from "../core/errors.ts";
import {
  LISTENING_MS,
  NOTICE_GRACE_MS,
  NOTICE_RECEIVERS_MIN,
  NOTICES_ASKED_MAX,
  NOTICES_KEPT_MAX,
  REQUEST_TIMEOUT_MS,
} from "../core/limits.ts";
import { messages } from "../core/messages.ts";
import type { Body, Lane, TellMessage, WireError } from "../core/messages.ts";
import type { Digest, Multicast, MulticastEvent } from "../core/ports.ts";
import { Ear } from "./ear.ts";
import { answerParcel, askParcel, parcelOf, tellParcel } from "./link.ts";
import type { Link, Parcel } from "./link.ts";

/** In a hello: this side hears multicast. */
export const HEARS_MULTICAST = "multicast";

const LOST: WireError = {
  code: "lost",
  message: "Lost the connection: a notice didn't come, and isn't kept any more",
};

/** What multicast takes. */
export interface MulticastOptions {
  readonly port: Multicast;
  readonly digest: Digest;
  /** Of a node that sends: where, and what names and proves its stream; drawn anew at each start. Others only listen. */
  readonly speaks?: { readonly group: string; readonly stream: Uint8Array; readonly key: Uint8Array };
}

/** What the peers do for it. */
export interface MulticastPeers<C> {
  /** Our cluster's id, as we say it. */
  readonly clusterId: string;
  post(link: Link<C>, parcel: Parcel): void;
  /** Notes a question for what was missed, within `REQUEST_TIMEOUT_MS`; gives its id. `mended` follows. */
  question(link: Link<C>): number;
  /** Delivers packets in order as long as the connection is open; it ends if making them finds that the peer is wrong. */
  deliver(link: Link<C>, packets: () => readonly Packet[]): void;
  drop(link: Link<C>, error: WireError): void;
  /** Wants `due` for the connection at a time. */
  wakeAt(ear: Ear, atMs: number): void;
  rest(ear: Ear): void;
}

/** Multicast of one role. */
export class Multicasting<C> {
  readonly #options: MulticastOptions;
  readonly #peers: MulticastPeers<C>;
  readonly #stream: Stream | undefined;
  readonly #ears = new Map<Link<C>, Ear>();
  readonly #reached = new Set<Link<C>>();
  readonly #kept = new Map<number, Uint8Array>();
  #number = 0;

  constructor(options: MulticastOptions, peers: MulticastPeers<C>) {
    this.#options = options;
    this.#peers = peers;
    const { speaks } = options;
    if (speaks) this.#stream = { id: speaks.stream, key: speaks.key, clusterId: peers.clusterId };
  }

  /** A peer that came to us is accepted. */
  accepted(link: Link<C>): void {
    const { speaks } = this.#options;
    if (!speaks || !link.incoming || !link.peer?.capabilities.includes(HEARS_MULTICAST)) return;
    this.#peers.post(link, tellParcel("multicast", speaks));
  }

  /** Sends a notification as a datagram, if enough of these hear it: gives its number and who they are. */
  announce(
    message: Uint8Array,
    lane: Lane,
    links: readonly Link<C>[],
  ): { readonly number: number; readonly to: ReadonlySet<Link<C>> } | undefined {
    if (lane !== "commit" || message.length > NOTICE_BYTES_MAX || this.#reached.size < NOTICE_RECEIVERS_MIN) {
      return;
    }
    const to = new Set(links.filter((link) => this.#reached.has(link)));
    if (to.size < NOTICE_RECEIVERS_MIN) return;
    this.#number += 1;
    this.#kept.set(this.#number, message);
    this.#kept.delete(this.#number - NOTICES_KEPT_MAX);
    this.#send(this.#number, message);
    return { number: this.#number, to };
  }

  /** Whether a packet of an open connection was for multicast, or has to wait; what may go on is delivered. */
  takes(link: Link<C>, packet: Packet, lane: Lane | undefined, nowMs: number): boolean {
    if (packet.kind === "tell" && this.#isOurs(link, packet.message, nowMs)) return true;
    if (packet.kind === "ask" && packet.message.name === "missed") {
      this.#missed(link, packet.id, packet.message.body.numbers);
      return true;
    }
    const ear = this.#ears.get(link);
    if (!ear?.isWaiting || lane !== "commit") return false;
    ear.take(packet); // behind an empty place it waits
    return true;
  }

  /** Something came by multicast. */
  hear(event: MulticastEvent, nowMs: number): void {
    for (const [link, ear] of this.#ears) {
      if (event.type === "joined") {
        if (event.group === ear.group) this.#listens(link, ear, nowMs);
        continue;
      }
      const datagram = openDatagram(this.#options.digest, ear.stream, event.bytes);
      if (datagram === undefined) continue;
      if (!ear.heard) {
        ear.wakes();
        this.#peers.post(link, tellParcel("listening", { heard: true }));
      }
      if (datagram.number === 0) continue; // it only tried the way
      this.#goOn(link, ear, nowMs, () => ear.hear(datagram.number, datagram.message));
    }
  }

  /** Notices that were asked for are here; undefined: no answer came. */
  mended(
    link: Link<C>,
    packet: Extract<Packet, { kind: "answer" | "error" }> | undefined,
    nowMs: number,
  ): void {
    const ear = this.#ears.get(link);
    if (!ear) return;
    if (packet?.kind !== "answer" || packet.message.name !== "missed") return this.#peers.drop(link, LOST);
    const { messages: found } = packet.message.body;
    this.#goOn(link, ear, nowMs, () => {
      const { asked = [] } = ear;
      ear.asked = undefined;
      return ear.mend(asked, found);
    });
    if (!ear.isDeaf || !ear.heard || !this.#ears.has(link)) return;
    ear.heard = false;
    this.#listens(link, ear, nowMs);
  }

  /** A time that was wanted has come. */
  due(ear: Ear, nowMs: number): void {
    const link = [...this.#ears].find(([, other]) => other === ear)?.[0];
    if (link === undefined) return;
    const numbers = ear.missing();
    if (numbers.length > 0 && !ear.asked) {
      ear.asked = numbers;
      const id = this.#peers.question(link);
      this.#peers.post(link, askParcel(id, "missed", { numbers }, REQUEST_TIMEOUT_MS));
    } else if (!ear.heard) this.#listens(link, ear, nowMs);
  }

  /** A connection ends. */
  forget(link: Link<C>): void {
    this.#reached.delete(link);
    const ear = this.#ears.get(link);
    if (!ear) return;
    this.#peers.rest(ear);
    this.#ears.delete(link);
  }

  #send(number: number, message: Uint8Array): void {
    const { digest, port, speaks } = this.#options;
    if (speaks && this.#stream) {
      port.send(speaks.group, sealDatagram(digest, this.#stream, { number, message }));
    }
  }

  /** A peer asks for what was lost. One that isn't kept any more: the connection is made anew, in another session. */
  #missed(link: Link<C>, id: number, numbers: readonly number[]): void {
    if (!this.#stream || !link.incoming || numbers.length > NOTICES_ASKED_MAX) {
      throw new MalformedError("Cannot give notices: none were said here, or too many are asked for at once");
    }
    const found = numbers.flatMap((number) => this.#kept.get(number) ?? []);
    if (found.length < numbers.length) return this.#peers.drop(link, LOST);
    this.#peers.post(link, answerParcel(id, "missed", { messages: found }));
  }

  #isOurs(link: Link<C>, message: TellMessage, nowMs: number): boolean {
    switch (message.name) {
      case "multicast":
        this.#offered(link, message.body);
        return true;
      case "listening":
        this.#listening(link, message.body.heard);
        return true;
      case "notice": {
        const ear = this.#ears.get(link);
        if (!ear) throw new MalformedError("Cannot take a notice: no multicast was offered");
        this.#goOn(link, ear, nowMs, () => ear.place(message.body.number));
        return true;
      }
      default:
        return false;
    }
  }

  #offered(link: Link<C>, { group, stream, key }: Body<"multicast">): void {
    if (link.incoming || this.#ears.has(link)) {
      throw new MalformedError(
        "Cannot take an offer of multicast: it was made before, or isn't this side's to make",
      );
    }
    if (stream.length !== STREAM_BYTES || key.length !== STREAM_KEY_BYTES) {
      throw new MalformedError("Cannot take an offer of multicast: its stream or key has another length");
    }
    const clusterId = link.peer?.clusterId ?? "";
    this.#ears.set(link, new Ear({ id: stream, key, clusterId }, group));
    this.#options.port.join(group);
  }

  #listening(link: Link<C>, heard: boolean): void {
    if (!this.#stream || !link.incoming) {
      throw new MalformedError("Cannot take a listener: this side sends nothing");
    }
    if (heard) this.#reached.add(link);
    else {
      this.#reached.delete(link);
      this.#send(0, new Uint8Array());
    }
  }

  #listens(link: Link<C>, ear: Ear, nowMs: number): void {
    if (ear.heard) return;
    this.#peers.post(link, tellParcel("listening", { heard: false }));
    this.#peers.wakeAt(ear, nowMs + LISTENING_MS);
  }

  /** Delivers what a step has freed, and sees to it that what is missing will be asked for. */
  #goOn(link: Link<C>, ear: Ear, nowMs: number, step: () => readonly Packet[]): void {
    const wasWatched = ear.isWaiting && !ear.asked;
    this.#peers.deliver(link, step);
    if (!this.#ears.has(link)) return;
    if (ear.isWaiting) {
      if (!ear.asked && !wasWatched) this.#peers.wakeAt(ear, nowMs + NOTICE_GRACE_MS);
    } else if (ear.heard) this.#peers.rest(ear);
    else this.#peers.wakeAt(ear, nowMs + LISTENING_MS);
  }
}

/** A notification in its parcels, one for each way that it goes: in itself, or as the place of a datagram. */
export function* parcelsTo<C>(
  links: readonly Link<C>[],
  { name, body }: TellMessage,
  multicast: Multicasting<C> | undefined,
): Generator<readonly [Link<C>, Parcel]> {
  if (links.length === 0) return;
  const encoded = encodeTell(name, body as never);
  const { lane } = messages[name];
  const sent = multicast?.announce(encoded, lane, links);
  const place = sent && tellParcel("notice", { number: sent.number });
  let whole: Parcel | undefined;
  for (const link of links) {
    if (link.phase === "closing") continue; // the parcel before was too much for it
    if (place && sent.to.has(link)) yield [link, place];
    else yield [link, whole ??= parcelOf(encoded, { lane, id: 0, kind: "tell" })];
  }
}

/** The lane of a packet; undefined for what ends a connection. `askedAs`: what an error refuses. */
export function laneOf(packet: Packet, askedAs: keyof typeof messages | undefined): Lane | undefined {
  if (packet.kind === "ask" || packet.kind === "answer" || packet.kind === "tell") {
    return messages[packet.message.name].lane;
  }
  return askedAs === undefined ? undefined : messages[askedAs].lane;
}
