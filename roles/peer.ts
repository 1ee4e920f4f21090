/**
 * Connections of one role: who is there, what was asked, what waits to be sent. Sans-IO: transport events and the
 * time go in, events for the machine come out, bytes go to the transport's `write`.
 *
 * Invariants: nothing but a hello is parsed before a peer is identified; its messages reach the machine in order
 * and only once it is accepted; a question ends exactly once, with `answered` or `failed`; `lost` is the last event of a
 * connection and comes after everything it delivered; a peer that breaks a rule costs its own connection only.
 */
import { encodeAnswer, encodeError } from "../core/codec.ts";
import type { Packet } from "../core/codec.ts";
import { MalformedError } from "../core/errors.ts";
import type { Proof } from "../core/identity.ts";
import type { Conn } from "../core/ids.ts";
import { REQUEST_TIMEOUT_MS, UNIDENTIFIED_MAX } from "../core/limits.ts";
import type { PeerEvent } from "../core/machine.ts";
import { messages } from "../core/messages.ts";
import type { AskMessage, Hello, WireError } from "../core/messages.ts";
import type { MulticastEvent, Transport, TransportEvent } from "../core/ports.ts";
import { Ear } from "./ear.ts";
import { mismatchOf } from "./hello.ts";
import { askParcel, endParcel, helloParcel, Link, parcelOf } from "./link.ts";
import type { Parcel, Question } from "./link.ts";
import { Watches } from "./link_watch.ts";
import { HEARS_MULTICAST, laneOf, Multicasting, parcelsTo } from "./multicast.ts";
import type { MulticastOptions } from "./multicast.ts";
import { Notices } from "./notices.ts";
import { PEER_TIMES } from "./peer_options.ts";
import type { PeerEffect, PeersOptions } from "./peer_options.ts";
import { distrustOf, endOf, holderIn, impostureOf } from "./trust.ts";

export type { PeerEffect, PeersOptions } from "./peer_options.ts";

/** Of our own questions, which the machine doesn't hear of. */
const NO_CONTEXT: unknown = undefined;

/** The peers of one role. */
export class Peers<C> {
  #options: PeersOptions;
  #transport: Transport;
  #links = new Map<Conn, Link<C>>();
  #unidentified = 0;
  #watches: Watches<C>;
  #out: PeerEvent<C>[] = [];
  #dirty = new Set<Link<C>>();
  #notices: Notices;
  #revoked: ReadonlySet<string>;
  #multicast: Multicasting<C> | undefined;
  #nowMs = 0; // of the call that runs

  constructor(transport: Transport, options: PeersOptions) {
    this.#transport = transport;
    this.#options = options;
    this.#revoked = new Set(options.revoked);
    this.#notices = new Notices(options.log ?? (() => {}));
    this.#watches = new Watches(options.times ?? PEER_TIMES);
    if (options.multicast) this.#multicast = this.#multicasting(options.multicast);
  }

  /** Connections that are there, whatever their phase. */
  get size(): number {
    return this.#links.size;
  }

  /** Takes what the transport reports; gives what the machine must know. */
  receive(event: TransportEvent, nowMs: number): PeerEvent<C>[] {
    this.#nowMs = nowMs;
    const link = this.#links.get(event.conn);
    if (event.type === "accepted") this.#accepted(event, nowMs);
    else if (link !== undefined) {
      switch (event.type) {
        case "connected":
          this.#connected(link, event.proof, nowMs);
          break;
        case "bytes":
          this.#heard(link, event.bytes, nowMs);
          break;
        case "drained":
          link.blockedMs = undefined;
          this.#watches.open(link);
          this.#dirty.add(link);
          break;
        case "closed":
          this.#lose(link, endOf(event));
          break;
      }
    }
    return this.#taken();
  }

  /** Takes what came by multicast. */
  hear(event: MulticastEvent, nowMs: number): PeerEvent<C>[] {
    this.#nowMs = nowMs;
    this.#multicast?.hear(event, nowMs);
    return this.#taken();
  }

  /** Looks at deadlines that have come. */
  tick(nowMs: number): PeerEvent<C>[] {
    this.#nowMs = nowMs;
    for (const watch of this.#watches.take(nowMs)) {
      if (watch instanceof Link) this.#linkDue(watch, nowMs);
      else if (watch instanceof Ear) this.#multicast?.due(watch, nowMs);
      else this.#questionDue(watch);
    }
    return this.#taken();
  }

  /** When `tick` is wanted next. */
  due(): number | undefined {
    return this.#watches.next();
  }

  /** Carries out what the machine decided; `send()` then writes. */
  perform(effect: PeerEffect<C>, nowMs: number): PeerEvent<C>[] {
    this.#nowMs = nowMs;
    switch (effect.do) {
      case "connect": {
        const conn = this.#transport.connect(effect.address);
        const { target, hello, closely = false } = effect;
        const remote = effect.address;
        const link = new Link<C>({ conn, incoming: false, target, remote, hello, nowMs, closely });
        this.#links.set(conn, link);
        this.#watches.connecting(link, nowMs);
        break;
      }
      case "ask":
        this.#ask(effect, nowMs);
        break;
      case "tell":
        this.#tell(effect.conns, effect.message);
        break;
      case "answer": {
        const { name, body } = effect.message;
        this.#reply(effect.conn, effect.id, () => encodeAnswer(effect.id, name, body as never));
        break;
      }
      case "refuse":
        this.#reply(effect.conn, effect.id, () => encodeError(effect.id, effect.error));
        break;
      case "accept":
        this.#accept(effect.conn, nowMs);
        break;
      case "reject":
      case "close": {
        const link = this.#links.get(effect.conn);
        if (link) this.#end(link, effect.error, effect.do === "reject");
        break;
      }
      case "distrust":
        this.#revoked = new Set(effect.fingerprints);
        for (const link of this.#links.values()) this.#trusts(link, link.proof);
        break;
      case "retime":
        this.#watches.retime(this.#links.values(), effect.times, nowMs);
        break;
    }
    return this.#taken();
  }

  /** Writes what is queued: one write a peer and lane, as far as sockets take it. */
  send(nowMs: number): void {
    for (const link of this.#dirty) this.#write(link, nowMs);
    this.#dirty.clear();
  }

  #taken(): PeerEvent<C>[] {
    const events = this.#out;
    if (events.length > 0) this.#out = [];
    return events;
  }

  #accepted({ conn, remote, proof }: Extract<TransportEvent, { type: "accepted" }>, nowMs: number): void {
    if (this.#unidentified >= UNIDENTIFIED_MAX) return this.#transport.destroy(conn);
    const { hello } = this.#options;
    const link = new Link<C>({ conn, incoming: true, remote, hello, nowMs });
    this.#links.set(conn, link);
    this.#unidentified += 1;
    this.#watches.greeting(link, nowMs);
    this.#trusts(link, proof);
  }

  /** Takes what the transport knows of the other side; who isn't believed is told why, and goes. */
  #trusts(link: Link<C>, proof: Proof | undefined): boolean {
    link.proof = proof;
    const wrong = distrustOf(proof, this.#revoked);
    if (wrong) this.#end(link, wrong, true);
    return wrong === undefined;
  }

  #connected(link: Link<C>, proof: Proof | undefined, nowMs: number): void {
    link.phase = "greeting";
    link.heardMs = nowMs;
    if (!this.#trusts(link, proof)) return;
    const { hello } = link;
    const capabilities = this.#multicast ? [...hello.capabilities, HEARS_MULTICAST] : hello.capabilities;
    this.#post(link, helloParcel({ ...hello, capabilities }));
    this.#watches.greeting(link, nowMs);
  }

  #heard(link: Link<C>, bytes: Uint8Array, nowMs: number): void {
    if (link.phase === "closing") return;
    link.heardMs = nowMs;
    link.missed = 0;
    this.#guard(link, () => {
      link.receive(bytes);
      for (let got = link.nextPacket(); got !== undefined; got = link.nextPacket()) {
        this.#packet(link, got.packet, got.bytes, nowMs);
        if (this.#phaseOf(link) === "closing") return;
      }
    });
  }

  #guard(link: Link<C>, take: () => void): void {
    try {
      take();
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.#end(link, link.ruleBroken(error), true);
    }
  }

  /** Read through a call, because a step in between may have ended the link. */
  #phaseOf(link: Link<C>): string {
    return link.phase;
  }

  #packet(link: Link<C>, packet: Packet, bytes: number, nowMs: number): void {
    switch (link.phase) {
      case "greeting":
        if (packet.kind === "hello") return this.#identify(link, packet.hello, nowMs);
        if (packet.kind === "error" && packet.id === 0) return this.#turnedAway(link, packet.error);
        throw new MalformedError("Cannot take a message: the first one must be a hello");
      case "waiting":
        if (packet.kind === "error" && packet.id === 0) return this.#turnedAway(link, packet.error);
        // whoever waits must not be taken for dead by a side that isn't kept waiting
        if (packet.kind === "ask" && packet.message.name === "ping") return this.#deliver(link, packet);
        if (!link.holdEarly(packet, bytes)) this.#transport.setReading(link.conn, false);
        return;
      case "open":
        return this.#deliver(link, packet);
    }
  }

  #identify(link: Link<C>, hello: Hello, nowMs: number): void {
    const serves = link.incoming ? this.#options.serves : undefined;
    const wrong = mismatchOf(link.hello, hello, serves) ?? impostureOf(link.proof, link.hello, hello);
    if (wrong) return this.#end(link, wrong, true);
    if (link.incoming) {
      this.#unidentified -= 1;
      this.#post(link, helloParcel(link.hello));
    }
    link.peer = hello;
    link.phase = "waiting";
    link.widen();
    this.#watches.waiting(link, hello.patienceMs, nowMs);
    const { conn, incoming } = link;
    const target = link.target === undefined ? {} : { target: link.target };
    this.#out.push({ type: "identified", conn, hello, incoming, ...target, ...holderIn(link.proof) });
  }

  #accept(conn: Conn, nowMs: number): void {
    const link = this.#links.get(conn);
    if (link?.phase !== "waiting") return;
    link.phase = "open";
    link.heardMs = nowMs;
    this.#watches.open(link);
    this.#multicast?.accepted(link);
    const { packets, wereTooMany } = link.takeEarly();
    if (wereTooMany) this.#transport.setReading(conn, true);
    this.#guard(link, () => {
      for (const packet of packets) if (this.#phaseOf(link) === "open") this.#deliver(link, packet);
    });
  }

  /** Takes a packet, unless it was for multicast or stands behind a notice that isn't here. */
  #deliver(link: Link<C>, packet: Packet): void {
    const asked = packet.kind === "error" ? link.questions.get(packet.id)?.name : undefined;
    if (!this.#multicast?.takes(link, packet, laneOf(packet, asked), this.#nowMs)) this.#pass(link, packet);
  }

  #pass(link: Link<C>, packet: Packet): void {
    const { conn } = link;
    switch (packet.kind) {
      case "ask":
        return this.#asked(link, packet);
      case "tell":
        this.#out.push({ type: "told", conn, message: packet.message });
        return;
      case "answer":
      case "error": {
        if (packet.id === 0 && packet.kind === "error") return this.#turnedAway(link, packet.error);
        const question = link.questions.get(packet.id);
        if (!question) return; // its deadline has passed
        if (packet.kind === "answer" && packet.message.name !== question.name) {
          throw new MalformedError(`Cannot take ${packet.message.name} as the answer to ${question.name}`);
        }
        this.#closeQuestion(question);
        const { context, name } = question;
        if (name === "ping") return;
        if (name === "missed") return this.#multicast?.mended(link, packet, this.#nowMs);
        if (packet.kind === "answer") {
          this.#out.push({ type: "answered", conn, context, message: packet.message });
        } else this.#out.push({ type: "failed", conn, context, name, error: packet.error });
        return;
      }
      default:
        throw new MalformedError(`Cannot take a ${packet.kind} here`);
    }
  }

  #asked(link: Link<C>, packet: { id: number; withinMs: number; message: AskMessage }): void {
    const { id, withinMs, message } = packet;
    const refused = link.takeRequest(id, message.name);
    if (refused) return this.#end(link, refused, true);
    if (message.name === "ping") return this.#reply(link.conn, id, () => encodeAnswer(id, "ping", {}));
    this.#out.push({ type: "asked", conn: link.conn, id, withinMs, message });
  }

  #ask(effect: Extract<PeerEffect<C>, { do: "ask" }>, nowMs: number): void {
    const { conn, message, context, withinMs } = effect;
    const { name, body } = message;
    const link = this.#links.get(conn);
    if (!link || link.phase === "closing") {
      const error: WireError = { code: "lost", message: `Cannot ask ${name}: the connection has ended` };
      this.#out.push({ type: "failed", conn, context, name, error });
      return;
    }
    const question = link.question(name, context);
    this.#watches.at(question, nowMs + withinMs);
    this.#post(link, askParcel(question.id, name, body as never, Math.ceil(withinMs)));
  }

  #tell(conns: readonly Conn[], message: Extract<PeerEffect<C>, { do: "tell" }>["message"]): void {
    const all = conns.flatMap((conn) => this.#links.get(conn) ?? []);
    const links = all.filter(({ phase }) => phase !== "closing");
    for (const [link, parcel] of parcelsTo(links, message, this.#multicast)) this.#post(link, parcel);
  }

  #reply(conn: Conn, id: number, encode: () => Uint8Array): void {
    const link = this.#links.get(conn);
    const name = link?.requests.get(id);
    if (!link || name === undefined || link.phase === "closing") return;
    link.requests.delete(id);
    this.#post(link, parcelOf(encode(), { lane: messages[name].lane, id, kind: "answer" }));
  }

  #post(link: Link<C>, parcel: Parcel): void {
    this.#dirty.add(link);
    if (link.queue(parcel)) return;
    this.#drop(link, { code: "lost", message: "Dropped the peer: too much waits for it to read" });
  }

  #write(link: Link<C>, nowMs: number): void {
    if (link.blockedMs !== undefined || link.phase === "connecting") return;
    for (let bytes = link.nextWrite(); bytes !== undefined; bytes = link.nextWrite()) {
      if (this.#transport.write(link.conn, bytes)) continue;
      link.blockedMs = nowMs;
      this.#watches.open(link);
      return;
    }
    if (link.phase === "closing") this.#transport.close(link.conn);
  }

  #linkDue(link: Link<C>, nowMs: number): void {
    const { phase } = link;
    const due = this.#watches.verdict(link, nowMs);
    switch (due.is) {
      case "end":
        return this.#end(link, due.error, true);
      case "drop":
        return this.#drop(link, due.error);
      case "patience":
        this.#out.push({ type: "impatient", conn: link.conn });
        return;
      case "gone":
        return this.#transport.destroy(link.conn);
      case "ask":
        link.missed += 1;
        this.#ping(link);
        break;
      case "nothing":
        break;
    }
    if (phase === "open") this.#watches.open(link);
  }

  #ping(link: Link<C>): void {
    const { id } = link.question("ping", NO_CONTEXT as C);
    this.#post(link, askParcel(id, "ping", {}, this.#watches.pauseMs(link)));
  }

  #questionDue(question: Question<C>): void {
    const { link, id, name, context } = question;
    if (!link.questions.delete(id)) return;
    if (name === "missed") return this.#multicast?.mended(link, undefined, this.#nowMs);
    const error: WireError = { code: "timedOut", message: `Cannot wait longer for the answer to ${name}` };
    this.#out.push({ type: "failed", conn: link.conn, context, name, error });
  }

  #closeQuestion(question: Question<C>): void {
    question.link.questions.delete(question.id);
    this.#watches.delete(question);
  }

  /** Ends a connection from our side; `tellPeer` says why first. */
  #end(link: Link<C>, error: WireError, tellPeer: boolean): void {
    if (link.phase === "closing") return;
    if (tellPeer) this.#notice(link, error);
    const connected = link.phase !== "connecting";
    if (tellPeer && connected) {
      this.#post(link, endParcel(error));
    }
    this.#report(link, error);
    if (!connected) this.#transport.destroy(link.conn);
    else this.#dirty.add(link);
  }

  /** Ends a connection that is of no use any more. */
  #drop(link: Link<C>, error: WireError): void {
    this.#notice(link, error);
    this.#report(link, error);
    this.#transport.destroy(link.conn);
  }

  /** The other side ends it, and says why. That it doesn't trust this one is for the operators of both. */
  #turnedAway(link: Link<C>, error: WireError): void {
    if (error.code === "untrusted") this.#notice(link, error);
    this.#lose(link, error);
  }

  /** Refusals that are part of a cluster's life (a session that ends, a stop) are no news. */
  #notice(link: Link<C>, error: WireError): void {
    const ordinary = error.code === "sessionEnded" || error.code === "stopping";
    if ((link.incoming || error.code === "untrusted") && link.phase !== "closing" && !ordinary) {
      this.#notices.take(error, link.remote, this.#nowMs);
    }
  }

  /** The transport or the peer ended it. */
  #lose(link: Link<C>, error: WireError): void {
    this.#report(link, error);
    this.#links.delete(link.conn);
    this.#dirty.delete(link);
    this.#watches.delete(link);
    this.#transport.destroy(link.conn);
  }

  /** Fails what is open and says `lost`, once; the link then only waits for its socket to end. */
  #report(link: Link<C>, error: WireError): void {
    if (link.phase === "closing") return;
    const { conn, phase } = link;
    if (link.incoming && phase === "greeting") this.#unidentified -= 1;
    link.phase = "closing";
    link.takeEarly();
    this.#multicast?.forget(link);
    this.#watches.closing(link, this.#nowMs);
    // why the connection ended says nothing about what was asked on it
    const gone: WireError = { code: "lost", message: error.message };
    for (const question of [...link.questions.values()]) {
      this.#closeQuestion(question);
      const { context, name } = question;
      if (name !== "ping" && name !== "missed") {
        this.#out.push({ type: "failed", conn, context, name, error: gone });
      }
    }
    const known = !link.incoming || phase === "waiting" || phase === "open";
    const target = link.target === undefined ? {} : { target: link.target };
    if (known) this.#out.push({ type: "lost", conn, error, ...target });
  }

  #multicasting(options: MulticastOptions): Multicasting<C> {
    return new Multicasting<C>(options, {
      clusterId: this.#options.hello.clusterId,
      post: (link, parcel) => this.#post(link, parcel),
      question: (link) => {
        const question = link.question("missed", NO_CONTEXT as C);
        this.#watches.at(question, this.#nowMs + REQUEST_TIMEOUT_MS);
        return question.id;
      },
      deliver: (link, packets) =>
        this.#guard(link, () => {
          for (const packet of packets()) if (this.#phaseOf(link) === "open") this.#pass(link, packet);
        }),
      drop: (link, error) => this.#drop(link, error),
      wakeAt: (ear, atMs) => this.#watches.at(ear, atMs),
      rest: (ear) => this.#watches.delete(ear),
    });
  }
}
