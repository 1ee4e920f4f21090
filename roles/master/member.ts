/**
 * A master: one of those that agree on the cluster's metadata, and the primary while it leads. It gives what others say of the log to
 * `raft.ts`, applies what is held, and, once it leads and everything of earlier leaders is held, runs a `MasterMachine`, to which
 * storages, clients and admins then talk.
 *
 * Without a cluster (`waiting`: an empty store, B8) it takes a snapshot from its own cluster's primary and nothing else. As a
 * follower it sends everybody else to the primary (`notPrimary`), or keeps them waiting while there is none; admins are let in and
 * told why. Invariants: a primary's machine lives in one reign of one term; what it asked in an earlier one is answered to
 * nobody; nobody is served by a master that doesn't lead.
 */
import { effectiveSettings } from "../../core/config_keys.ts";
import { unreachable } from "../../core/errors.ts";
import type { Conn } from "../../core/ids.ts";
import { GUEST_MS } from "../../core/limits.ts";
import { answer, refuse, tell } from "../../core/machine.ts";
import type { Effect, HostEvent, Machine, Now, PeerEvent, Standing } from "../../core/machine.ts";
import type { Answer, AskMessage, Hello, TellMessage, WireError } from "../../core/messages.ts";
import type { Digest, MetadataState, MetadataWrite, Random } from "../../core/ports.ts";
import { helloOf } from "../hello.ts";
import { Outbox } from "../outbox.ts";
import type { Asker } from "../outbox.ts";
import { Settings } from "../settings.ts";
import type { SettingsOutput } from "../settings.ts";
import { Agreement } from "./agreement.ts";
import { Circle, masterIn } from "./circle.ts";
import type { Consensus } from "./consensus.ts";
import { decodeEntry } from "./entries.ts";
import { MasterMachine } from "./master.ts";
import type { MasterEvent } from "./master.ts";
import { Metadata, rosterOfEntry, rosterOfImage } from "./metadata.ts";
import type { MasterRoster } from "./metadata.ts";
import { Raft } from "./raft.ts";
import type { RaftMessage } from "./raft.ts";
import type { Grace } from "./recovery.ts";
import { reportWithoutPrimary } from "./report.ts";
import type { MasterContext, MasterEffect } from "./site.ts";

/** What a member attaches to questions: in which reign its primary asked. */
export type MemberContext = MasterContext & { readonly reign: number };
/** Events of a member. */
export type MemberEvent = PeerEvent<MemberContext> | HostEvent<never, never>;
/** Effects of a member. */
export type MemberEffect = Effect<MemberContext, MetadataWrite, never, never, SettingsOutput>;

/** What a member starts from. */
export interface MemberStart {
  /** What its store holds. */
  readonly state: MetadataState;
  readonly name: string;
  /** Where others reach it. */
  readonly address?: string;
  /** The cluster that it is meant for, while its store is empty. */
  readonly cluster?: string;
  readonly clusterId?: string;
  readonly digest: Digest;
  readonly random: Random;
  /** What is set on this master itself. */
  readonly overrides?: { readonly [key: string]: string };
  readonly grace?: Partial<Grace>;
  /** For tests: stands between a primary and the agreement. */
  readonly between?: (consensus: Consensus) => Consensus;
}

interface Reign {
  readonly number: number;
  readonly primary: MasterMachine;
  readonly agreement: Agreement;
  /** Connections that the primary knows. */
  readonly served: Set<Conn>;
}

type Guest = Extract<MemberEvent, { type: "identified" }>;

/** A master. */
export class MemberMachine implements Machine<MemberEvent, MemberEffect> {
  #start: MemberStart;
  #out = new Outbox<MemberEffect>();
  #raft: Raft<MasterRoster>;
  #circle: Circle;
  #metadata: Metadata | undefined;
  #reign: Reign | undefined;
  #reigns = 0;
  #guestsUntilMs = 0; // another master may know of a primary by then
  #guests = new Map<Conn, Guest>(); // who waits until there is a primary
  #told: string | undefined; // the state that was logged last
  #partTold = ""; // and its part in the agreement
  #ends = false; // it was asked to
  #now: Now = { monoMs: 0, wallMs: 0 };

  constructor(start: MemberStart) {
    this.#start = start;
    const { state, random, name } = start;
    if (state.snapshot) this.#metadata = Metadata.ofImage(state.snapshot.image);
    const self = (roster: MasterRoster): number =>
      masterIn(roster, { name, diskId: state.diskId })?.index ?? 0;
    this.#raft = new Raft({
      state,
      random,
      reading: { ofImage: rosterOfImage, ofEntry: rosterOfEntry, self },
    });
    this.#circle = new Circle({
      hello: () => this.hello(),
      rosters: () => this.#raft.rosters,
      leader: () => this.#raft.leader,
      self: () => this.#raft.self,
      connected: (index) => this.#raft.connected(index, this.#now),
      disconnected: (index) => this.#raft.disconnected(index, this.#now),
      emit: (...effects) => this.#out.emit(...effects),
    });
  }

  /** What this node says of itself. */
  hello(): Hello {
    const { name, address = "", state, cluster = "", clusterId = "" } = this.#start;
    const ids = this.#metadata ?? { clusterId, cluster };
    return helloOf({
      role: "master",
      clusterId: ids.clusterId,
      cluster: ids.cluster,
      name,
      diskId: state.diskId,
      address,
    });
  }

  /** For tests and checkers: the primary's view of its cluster, undefined while this isn't the primary. */
  get view(): MasterMachine["view"] | undefined {
    return this.#reign?.primary.view;
  }

  /** A master that isn't the primary has its part in the agreement for a phase. */
  get standing(): Standing | undefined {
    const epoch = this.view?.epoch ?? this.#metadata?.epoch;
    return epoch === undefined ? undefined : { epoch, phase: this.view?.phase ?? this.#raft.role };
  }

  /** For checkers: up to where the log is held here, and what that has made. */
  get held(): { readonly commit: number; readonly image: Uint8Array } | undefined {
    return this.#metadata && { commit: this.#raft.commit, image: this.#metadata.toImage() };
  }

  /** For tests and checkers: its part in the agreement. */
  get part(): {
    readonly role: string;
    readonly term: number;
    readonly commit: number;
    readonly leader?: number;
  } {
    const { role, term, commit, leader } = this.#raft;
    return { role, term, commit, ...(leader === undefined ? {} : { leader }) };
  }

  /** The cluster as far as this master knows it; undefined while it has none. */
  get report(): Answer<"status"> | undefined {
    if (this.#reign) return this.#reign.primary.report;
    const how = { name: this.#start.name, others: this.#circle.indexes, waitingFor: this.waitingFor };
    return this.#metadata && reportWithoutPrimary(this.#metadata, how);
  }

  due(): number | undefined {
    const guestsMs = this.#guests.size > 0 ? this.#guestsUntilMs : undefined;
    const all = [this.#raft.dueMs, this.#circle.dueMs, this.#reign?.primary.due(), guestsMs].filter((at) =>
      at !== undefined
    );
    return all.length === 0 ? undefined : Math.min(...all);
  }

  step(event: MemberEvent, now: Now): MemberEffect[] {
    this.#now = now;
    switch (event.type) {
      case "opened":
        this.#begin();
        this.#raft.begin(now);
        this.#circle.look(now);
        break;
      case "identified":
        if (event.hello.role === "master") this.#circle.identified(event as never);
        else this.#came(event);
        break;
      case "impatient":
        if (this.#isServed(event.conn)) this.#rule(event);
        else this.#turnAway(event.conn, this.#noPrimary("let this peer in"));
        break;
      case "asked":
        if (this.#isServed(event.conn)) this.#rule(event);
        else this.#asked({ conn: event.conn, id: event.id }, event.message);
        break;
      case "told":
        if (this.#isServed(event.conn)) this.#rule(event);
        else this.#heard(event.conn, event.message);
        break;
      case "answered":
      case "failed":
        if (event.context.reign === this.#reign?.number) this.#rule(event);
        break;
      case "lost":
        this.#lost(event);
        break;
      case "saved":
        this.#raft.saved(now);
        break;
      case "due":
        this.#due();
        break;
      case "terminate":
        this.#ends = true;
        if (this.#reign) this.#rule(event);
        else this.#out.emit({ do: "stop" });
        break;
      case "read":
      case "room":
        break;
      default:
        unreachable(event);
    }
    this.#settle();
    return this.#out.taken();
  }

  /** What its snapshot says, and what is set on it itself, counts until it hears of the rest of the log. */
  #begin(): void {
    const { overrides = {} } = this.#start;
    const { revision = 0 } = this.#metadata?.settings ?? {};
    if (this.#metadata && (revision > 0 || Object.keys(overrides).length > 0)) this.#heed();
  }

  #due(): void {
    const { leader } = this.#raft;
    this.#raft.due(this.#now);
    // a connection that has gone silent may be dead: another one is made
    if (leader !== undefined && this.#raft.leader === undefined) this.#circle.renew(leader);
    this.#circle.due(this.#now);
    if (this.#guests.size > 0 && this.#guestsUntilMs <= this.#now.monoMs) {
      const error = this.#noPrimary("serve");
      for (const conn of [...this.#guests.keys()]) this.#turnAway(conn, error);
    }
    const dueMs = this.#reign?.primary.due();
    if (dueMs !== undefined && dueMs <= this.#now.monoMs) this.#rule({ type: "due" });
  }

  /** A storage, client or admin has come. */
  #came(event: Guest): void {
    if (this.#reign) return this.#serve(event);
    const elsewhere = this.#elsewhere();
    if (elsewhere) return this.#turnAway(event.conn, elsewhere);
    if (this.#guests.size === 0) this.#guestsUntilMs = this.#now.monoMs + GUEST_MS;
    this.#guests.set(event.conn, event);
    if (event.hello.role === "admin") this.#out.emit({ do: "accept", conn: event.conn });
  }

  #lost(event: Extract<MemberEvent, { type: "lost" }>): void {
    this.#guests.delete(event.conn);
    const isMaster = this.#circle.indexOf(event.conn) !== undefined;
    if (this.#circle.lost(event.conn, event.target, this.#now)) {
      if (isMaster && event.error.code === "unknownNode") this.#removed();
      return;
    }
    if (!this.#isServed(event.conn)) return;
    this.#rule(event);
    this.#reign?.served.delete(event.conn);
  }

  /** To another master this one is none, which is so when that is held: if the newest roster here says so too, its time is over. */
  #removed(): void {
    const { name, state: { diskId } } = this.#start;
    if (!this.#raft.roster || masterIn(this.#raft.roster, { name, diskId })) return;
    const message = `Cannot go on: master ${name} was removed from the cluster; its data folder can go`;
    this.#out.emit({ do: "stop", error: { code: "unknownNode", message } });
  }

  /** Another master speaks. */
  #heard(conn: Conn, message: TellMessage): void {
    const from = this.#circle.indexOf(conn);
    if (from === undefined) return;
    if (message.name === "shutdown") {
      if (from === this.#raft.leader) this.#out.emit({ do: "stop" });
    } else this.#raft.receive(from, message as RaftMessage, this.#now);
  }

  /** Somebody asks though there is no primary. */
  #asked(asker: Asker, message: AskMessage): void {
    if (message.name === "status" && this.#metadata) {
      return this.#out.emit(answer(asker, "status", this.report!));
    }
    this.#out.emit(refuse(asker, this.#noPrimary(`serve ${message.name}`)));
  }

  #isServed(conn: Conn): boolean {
    return this.#reign?.served.has(conn) ?? false;
  }

  #serve(event: Guest): void {
    this.#reign!.served.add(event.conn);
    this.#rule(event as MasterEvent);
  }

  /** Steps the primary. */
  #rule(event: MasterEvent | MemberEvent): void {
    const reign = this.#reign!;
    const effects = reign.primary.step(event as MasterEvent, this.#now);
    for (const effect of effects) this.#out.emit(this.#wrapped(effect, reign.number));
    if (!effects.some((effect) => effect.do === "stop")) return;
    const isEnd = effects.some((effect) => effect.do === "tell" && effect.message.name === "shutdown");
    const { conns } = this.#circle;
    // the whole cluster ends, and its masters too
    if (isEnd && conns.length > 0) {
      this.#out.emit(tell(conns, "shutdown", { epoch: reign.primary.view.epoch }));
    }
  }

  #wrapped(effect: MasterEffect, reign: number): MemberEffect {
    return effect.do === "ask"
      ? { ...effect, context: { ...effect.context, reign } }
      : effect as MemberEffect;
  }

  /** Takes what is held, and what follows from that, until nothing does; then saves and says what the log wants. */
  #settle(): void {
    for (let moved = true; moved;) {
      moved = this.#apply();
      if (this.#raft.isReady && !this.#reign) moved = this.#enthrone() || moved;
      if (this.#reign && this.#raft.role !== "leader") this.#depose();
      if (this.#reign?.agreement.hasNews) {
        this.#rule({ type: "saved" });
        moved = true;
      }
    }
    this.#circle.sift();
    if (this.#raft.isLong) this.#raft.compact(this.#metadata!.toImage());
    this.#direct();
    const { writes, sends } = this.#raft.taken();
    for (const write of writes) this.#out.emit({ do: "save", write, durable: true });
    for (const { to, message } of sends) {
      const conn = this.#circle.connOf(to);
      if (conn !== undefined) this.#out.emit({ do: "tell", conns: [conn], message });
    }
    this.#say();
  }

  /** Applies what became held. */
  #apply(): boolean {
    const { image, entries } = this.#raft.held();
    if (image) this.#metadata = Metadata.ofImage(image);
    const all = entries.map(({ entry }) => decodeEntry(entry));
    for (const entry of all) this.#metadata!.apply(entry);
    this.#reign?.agreement.take(all);
    if (image !== undefined || all.some(({ type }) => type === "masters")) this.#circle.look(this.#now);
    if (image !== undefined || all.some(({ type }) => type === "config")) this.#heed();
    return image !== undefined || entries.length > 0;
  }

  /** What is configured counts for every master, whether it leads or not. */
  #heed(): void {
    const { name, overrides = {} } = this.#start;
    const { revision, settings } = this.#metadata!.settings;
    const values = Object.fromEntries(effectiveSettings(settings, { role: "master", name }));
    this.#out.emit(...new Settings({ kept: { revision, values }, overrides }).effects);
  }

  /** It leads, and everything that was held before is applied: a primary begins. */
  #enthrone(): boolean {
    const agreement = new Agreement(this.#raft, this.#metadata!, () => this.#circle.indexes);
    const { name, digest, grace, overrides = {} } = this.#start;
    const { between = (consensus: Consensus) => consensus } = this.#start;
    const primary = new MasterMachine({
      consensus: between(agreement),
      name,
      digest,
      overrides,
      ...(grace && { grace }),
    });
    this.#reign = { number: ++this.#reigns, primary, agreement, served: new Set() };
    this.#rule({ type: "opened" });
    const guests = [...this.#guests.values()];
    this.#guests.clear();
    for (const guest of guests) this.#serve(guest);
    return true;
  }

  /** It leads no more: whoever it served goes to the next primary. */
  #depose(): void {
    const { served } = this.#reign!;
    this.#reign = undefined;
    const error = this.#elsewhere() ?? this.#noPrimary("go on");
    for (const conn of served) this.#turnAway(conn, error);
    if (this.#ends) this.#out.emit({ do: "stop" });
  }

  /** Whoever waits hears where the primary is, as soon as that is known. */
  #direct(): void {
    const elsewhere = this.#guests.size > 0 ? this.#elsewhere() : undefined;
    if (!elsewhere) return;
    for (const conn of this.#guests.keys()) this.#turnAway(conn, elsewhere);
    this.#guests.clear();
  }

  #turnAway(conn: Conn, error: WireError): void {
    this.#guests.delete(conn);
    this.#out.emit({ do: "reject", conn, error });
  }

  /** Where the primary is, if it is another. */
  #elsewhere(): WireError | undefined {
    const { leader, self, roster } = this.#raft;
    const primary = leader === self ? undefined : roster?.masters.find(({ index }) => index === leader);
    if (!primary) return undefined;
    const message =
      `Cannot serve: ${this.#start.name} isn't the primary, ${primary.name} at ${primary.address} is`;
    return { code: "notPrimary", message, detail: { address: primary.address } };
  }

  /** What stands in the way of a primary. */
  get waitingFor(): string {
    const { name } = this.#start;
    if (!this.#metadata) {
      return `its cluster: master ${name} has no cluster yet; run \`neo init\`, which makes its data folder, or \`neo master add\``;
    }
    const { masters, voters } = this.#raft.roster!;
    if (this.#raft.self === 0) return `the other masters: ${name} isn't one of them, see \`neo master list\``;
    const silent = this.#raft.silent(this.#now);
    const away = masters.flatMap((master) => (silent.includes(master.index) ? [master.name] : []));
    if (away.length * 2 < voters.length) return "the masters to elect a primary";
    return `a majority of ${voters.length} masters: ${away.join(", ")} ${
      away.length > 1 ? "aren't" : "isn't"
    } there`;
  }

  #noPrimary(action: string): WireError {
    const message = this.#metadata
      ? `Cannot ${action}: there is no primary; it waits for ${this.waitingFor}`
      : `Cannot ${action}: it waits for ${this.waitingFor}`;
    return { code: "notPrimary", message, detail: { address: "" } };
  }

  /** Logs what it is, when that has changed. */
  #say(): void {
    const { leader, self, roster, term } = this.#raft;
    const name = roster?.masters.find(({ index }) => index === leader)?.name ?? "";
    const part = `${this.#raft.role} of term ${term}`;
    if (part !== this.#partTold) this.#out.log("elections", "debug", `Is ${part}`, { leader: name });
    this.#partTold = part;
    const state = !this.#metadata ? "waiting" : this.#reign ? "primary" : leader === self ? "elected" : name;
    if (state === this.#told) return;
    this.#told = state;
    if (state === "waiting") this.#out.log("elections", "warning", this.#noPrimary("serve").message);
    else if (state === "primary") this.#out.log("elections", "info", "This master is the primary", { term });
    else if (state === "") {
      this.#out.log("elections", "info", "There is no primary", { term, waitingFor: this.waitingFor });
    } else if (state !== "elected") {
      this.#out.log("elections", "info", `Master ${name} is the primary`, { term });
    }
  }
}
