/**
 * The client role: snapshots, reads and commits of a program. Calls come in, each is settled once; the newest tid and what
 * was invalidated change in the step that receives them, before any promise of the program runs.
 *
 * Phases: `seeking` a primary, `greeted` (it lets us in when the cluster runs), `open` (a session), `closed`. A call made
 * before there is a session waits for it, until its own time is over; a session that ends is followed by another.
 */
import { Deadlines } from "../../core/deadlines.ts";
import {
  AbortedError,
  type DatabaseError,
  RefusedError,
  unreachable,
  UnreachableError,
} from "../../core/errors.ts";
import { ZERO_TID } from "../../core/ids.ts";
import type { Conn, Oid, Tid } from "../../core/ids.ts";
import { TRANSACT_PAUSE_MS_MAX, TRANSACT_PAUSE_MS_MIN } from "../../core/limits.ts";
import { answer, tell } from "../../core/machine.ts";
import type { HostEvent, Machine, Now, PeerEvent } from "../../core/machine.ts";
import type { AnswerMessage, AskMessage, Body, Hello, TellMessage, WireError } from "../../core/messages.ts";
import { helloOf } from "../hello.ts";
import type { Asker } from "../outbox.ts";
import { PRIMARY, Seeker } from "../seeker.ts";
import type { KeptSettings } from "../settings.ts";
import { View } from "../view.ts";
import type { ClientCall, ClientWord, LoadedRevision } from "./calls.ts";
import { Commits } from "./commits.ts";
import { DigestCalls } from "./digests.ts";
import { lowestOf } from "./floors.ts";
import { Links } from "./links.ts";
import { Reads } from "./reads.ts";
import { copyOf, errorOf, Site } from "./site.ts";
import type { ClientContext, ClientEffect, ClientPorts } from "./site.ts";
import { Syncs } from "./syncs.ts";

/** Events of a client. */
export type ClientEvent = PeerEvent<ClientContext> | HostEvent<never, never> | ClientCall | ClientWord;

/** What a client starts from. */
export interface ClientStart {
  /** Name of the cluster; the id is learned from its primary. */
  readonly cluster: string;
  readonly masters: readonly string[];
  readonly name: string;
  readonly ports: ClientPorts;
  /** Memory for revisions that were read, in bytes: 32 MiB unless told. */
  readonly cacheBytes?: number;
  /** Whether a read that takes unusually long asks a second copy; no, unless told. */
  readonly hedges?: boolean;
}

/** Refusals that no waiting will change. */
const FINAL: readonly string[] = ["wrongCluster", "wrongVersion", "wrongRole", "wrongNode", "untrusted"];

/** A client. */
export class ClientMachine implements Machine<ClientEvent, ClientEffect> {
  #start: ClientStart;
  #site: Site;
  #seeker: Seeker;
  #links: Links;
  #reads: Reads;
  #commits: Commits;
  #digests: DigestCalls;
  #early = new Map<number, ClientCall>();
  #asked = new Map<number, ClientCall>(); // calls that one question to the primary answers
  #late = new Deadlines<number>();
  #pausing = new Set<number>();
  #syncs: Syncs;
  #oids: Oid[] = [];
  #closing = false;
  #floor: Tid | null = null; // as it was told last

  constructor(start: ClientStart) {
    this.#start = start;
    const { ports, cacheBytes } = start;
    this.#site = new Site(ports, new View(ports.digest), { cacheBytes });
    this.#seeker = new Seeker(start.masters, () => this.hello());
    this.#links = new Links(this.#site, () => this.hello());
    this.#reads = new Reads(this.#site, this.#links, { hedges: start.hedges });
    this.#commits = new Commits(this.#site, this.#links);
    this.#digests = new DigestCalls(this.#site, this.#links);
    this.#syncs = new Syncs(this.#site, {
      isOpen: (call) => this.#asked.has(call),
      settle: (call, result) => this.#settle(call, result),
      again: (call, isLost) => this.#syncAgain(call, isLost),
    });
  }

  /** What the program has open: each gives its oldest snapshot. */
  readonly openSnapshots: Set<() => Tid | null> = new Set();

  /** Below it nothing is opened: history was packed up to there, or may be in a moment. */
  get packBound(): Tid {
    return this.#site.packBound;
  }

  /** How long a call may take for which the program doesn't say it. */
  get callTimeoutMs(): number {
    return this.#site.callTimeoutMs;
  }

  /** For checkers: what is configured for it. */
  get configured(): KeptSettings {
    return this.#site.settings.output.settings;
  }

  /** For tests and checkers: commits and reads that are under way. */
  get load(): { readonly commits: number; readonly reads: number } {
    return { commits: this.#commits.size, reads: this.#reads.size };
  }

  /** What the cache has of a snapshot, without a call. Its data is the caller's own. */
  peek(oid: Oid, at: Tid): LoadedRevision | undefined {
    const hit = at <= this.#site.view.lastTid ? this.#site.cache.lookup(oid, at) : undefined;
    return hit && copyOf(hit);
  }

  /** What this client says of itself. */
  hello(): Hello {
    const { clusterId, epoch, session, tableDigest } = this.#site.view;
    const { cluster, name } = this.#start;
    return helloOf({ role: "client", cluster, clusterId, name, epoch, session, tableDigest });
  }

  due(): number | undefined {
    const parts = [this.#seeker.dueMs, this.#reads.dueMs, this.#digests.dueMs, this.#commits.dueMs];
    const all = [...parts, this.#late.next()].filter((at) => at !== undefined);
    return all.length === 0 ? undefined : Math.min(...all);
  }

  step(event: ClientEvent, now: Now): ClientEffect[] {
    this.#site.now = now;
    switch (event.type) {
      case "opened":
        this.#site.emit(...this.#seeker.begin());
        break;
      case "identified":
        if (event.target === PRIMARY) this.#site.emit(...this.#seeker.identified(event));
        else this.#links.identified(event);
        break;
      case "told":
        this.#told(event);
        break;
      case "answered":
        this.#answered(event.context, event.message);
        break;
      case "failed":
        this.#failed(event.context, event.error);
        break;
      case "lost":
        this.#lost(event);
        break;
      case "due":
        this.#due();
        break;
      case "call":
        this.#late.set(event.call, now.monoMs + event.withinMs);
        this.#call(event, now.monoMs + event.withinMs);
        break;
      case "resolve":
        this.#commits.resolve(event);
        break;
      case "cancel":
        this.#cancel(event.call);
        break;
      case "discard":
        this.#commits.discard(event.call);
        break;
      case "terminate":
        this.#closing = true;
        break;
      case "asked":
        this.#asksUs({ conn: event.conn, id: event.id }, event.message);
        break;
      case "impatient":
      case "saved":
      case "read":
      case "room":
        break; // nobody connects to a client, and it keeps nothing
      default:
        unreachable(event);
    }
    this.#tryClose();
    return this.#site.taken();
  }

  #told({ conn, message }: { readonly conn: Conn; readonly message: TellMessage }): void {
    if (conn !== this.#seeker.conn) {
      if (message.name === "deadlock") this.#commits.deadlock(conn, message.body.ttid, message.body.oid);
      return;
    }
    switch (message.name) {
      case "welcome":
        return this.#welcomed(conn, message.body);
      case "invalidate":
        this.#site.publish(message.body.tid, message.body.oids);
        return;
      case "config":
        return this.#site.configured(message.body, conn);
      case "packTo":
        this.#site.packBound = message.body.tid;
        return;
      default: {
        const question = this.#site.view.told(conn, message, { of: "table" } as const);
        if (question) this.#site.emit(question);
        if (message.name === "nodes") {
          for (const { index, state } of message.body.nodes) {
            if (state === "unavailable") this.#links.drop(index);
          }
        }
        this.#readAgain();
      }
    }
  }

  /** The primary wants to know what is open, for a pack. */
  #asksUs(asker: Asker, message: AskMessage): void {
    if (asker.conn !== this.#seeker.conn || message.name !== "askFloor") {
      const text = `Cannot serve ${message.name}: a client doesn't take it from this peer`;
      return this.#site.refuse(asker, { code: "denied", message: text });
    }
    const { packBound: bound } = message.body;
    if (bound > this.#site.packBound) this.#site.packBound = bound;
    this.#site.emit(answer(asker, "askFloor", { floor: lowestOf(this.openSnapshots) }));
  }

  #welcomed(conn: Conn, body: Body<"welcome">): void {
    const { view, now } = this.#site;
    const { lastTid: before, truncations, generation } = view;
    const problem = view.welcome(body);
    if (problem !== undefined) {
      const message = `Cannot follow this primary: ${problem}`;
      this.#site.log("client", "error", message);
      return this.#site.emit({ do: "close", conn, error: { code: "staleEpoch", message } });
    }
    this.#seeker.served();
    this.#site.packBound = ZERO_TID; // it says so if there is one
    this.#site.primary = conn;
    this.#site.clockMs = body.wallMs - now.monoMs;
    this.#links.endAll();
    this.#oids = [];
    // what it has may not have been
    if (view.truncations !== truncations || view.generation !== generation) this.#site.cache.clear();
    if (view.lastTid !== before) this.#site.jump();
    const early = [...this.#early.values()];
    this.#early.clear();
    this.#commits.sessionBegan();
    for (const call of early) this.#call(call, this.#untilOf(call));
    if (this.#floor !== null) this.#site.emit(tell(conn, "floor", { at: this.#floor }));
    this.#readAgain();
  }

  /** The primary's table or nodes may have changed: what waits for that starts over. */
  #readAgain(): void {
    this.#reads.retryAll();
    this.#digests.retryAll();
  }

  #untilOf(call: ClientCall): number {
    return this.#late.get(call.call) ?? this.#site.now.monoMs;
  }

  #lost(event: Extract<ClientEvent, { type: "lost" }>): void {
    if (event.target !== PRIMARY) {
      const node = this.#links.lost(event);
      if (node !== undefined) this.#commits.linkLost(node);
      return;
    }
    const { error } = event;
    this.#site.primary = undefined;
    this.#commits.sessionEnded();
    this.#seeker.lost(error, this.#site.now);
    if (!FINAL.includes(error.code)) return;
    for (const call of [...this.#early.keys()]) this.#end(call, new RefusedError(error.code, error.message));
  }

  #due(): void {
    this.#site.emit(...this.#seeker.due(this.#site.now));
    this.#reads.due();
    this.#digests.due();
    this.#commits.due();
    for (const call of this.#late.take(this.#site.now.monoMs)) {
      if (this.#pausing.has(call)) this.#settle(call, {});
      const waiting = this.#early.get(call) ?? this.#asked.get(call);
      if (!waiting) continue;
      const { cluster, masters } = this.#start;
      const kept = "the cluster doesn't run yet, or can't be reached; `neo status` tells what it waits for";
      const why = this.#seeker.problem?.message
        ?? (this.#site.primary === undefined ? `no answer from ${masters.join(", ")}: ${kept}` : "");
      const what = `cluster "${cluster}" doesn't let this client in${why && ": "}${why}`;
      this.#end(call, new UnreachableError(`Cannot ${waiting.name} in time: ${what}`));
    }
  }

  #call(call: ClientCall, untilMs: number): void {
    if (this.#closing) {
      return this.#end(
        call.call,
        new UnreachableError(`Cannot ${call.name}: this client is closed`, { code: "lost" }),
      );
    }
    const { view, primary } = this.#site;
    if (call.name === "pause") return this.#pause(call.call, call.request.attempt);
    if (call.name === "elapse") return void this.#pausing.add(call.call);
    if (call.name === "floor") {
      this.#floor = call.request.at;
      if (primary !== undefined) this.#site.emit(tell(primary, "floor", call.request));
      return this.#settle(call.call, {});
    }
    const reads = call.name === "load" || call.name === "loadExact" || call.name === "loadMany"
      || call.name === "loadPart" || call.name === "transactions";
    // what is readable without a primary is read without it
    if (view.table === undefined || (primary === undefined && !reads)) {
      this.#early.set(call.call, call);
      return;
    }
    switch (call.name) {
      case "connect":
        return this.#settle(call.call, { lastTid: view.lastTid });
      case "view":
        return this.#settle(call.call, { ...this.#site.shown, table: view.table });
      case "load":
      case "loadExact":
      case "loadMany":
      case "loadPart":
      case "transactions":
        this.#late.delete(call.call);
        return this.#reads.begin(call.call, { name: call.name, ...call.request } as never, untilMs);
      case "commit":
        this.#late.delete(call.call);
        return this.#commits.begin(call.call, call.request, untilMs);
      case "part":
        this.#late.delete(call.call);
        return this.#commits.part(call.call, call.request, untilMs);
      case "digests":
        this.#late.delete(call.call);
        return this.#digests.begin(call.call, call.request, untilMs);
      case "newOids":
        if (this.#oids.length >= call.request.count) {
          return this.#settle(call.call, this.#oids.splice(0, call.request.count));
        }
        return this.#askPrimary(call, untilMs);
      case "sync":
        this.#asked.set(call.call, call);
        return this.#syncs.begin(call.call);
      case "followed":
        this.#site.emit(tell(primary!, "followed", call.request));
        return this.#settle(call.call, {});
      case "stage":
      case "follow":
      case "followPack":
      case "status":
      case "outcome":
        return this.#askPrimary(call, untilMs);
    }
  }

  /** Nobody is asked: its time being over is its result. */
  #pause(call: number, attempt: number): void {
    const longestMs = Math.min(TRANSACT_PAUSE_MS_MIN * 2 ** (attempt - 1), TRANSACT_PAUSE_MS_MAX);
    this.#pausing.add(call);
    this.#late.set(call, this.#site.now.monoMs + longestMs * this.#site.ports.random.next());
  }

  #syncAgain(id: number, isLost: boolean): void {
    const call = this.#asked.get(id)!;
    this.#asked.delete(id);
    if (isLost) this.#early.set(id, call);
    else this.#call(call, this.#untilOf(call));
  }

  /** What was asked for it meanwhile isn't waited for; a commit knows itself how far it has come. */
  #cancel(call: number): void {
    if (this.#commits.cancel(call) || this.#reads.cancel(call) || this.#digests.cancel(call)) return;
    const waiting = this.#early.get(call) ?? this.#asked.get(call);
    const name = waiting?.name ?? (this.#pausing.has(call) ? "pause" : undefined);
    if (name !== undefined) this.#end(call, new AbortedError(`Cannot ${name}: it was cancelled`));
  }

  #askPrimary(call: ClientCall, untilMs: number): void {
    const conn = this.#site.primary!;
    this.#asked.set(call.call, call);
    const options = {
      context: { of: "call", call: call.call } as const,
      withinMs: Math.max(untilMs - this.#site.now.monoMs, 1),
    };
    switch (call.name) {
      case "newOids":
        return this.#site.ask(conn, "newOids", {
          count: Math.max(
            call.request.count - this.#oids.length,
            this.#site.settings.number("client.oidBatch"),
          ),
        }, options);
      case "stage":
      case "outcome":
      case "follow":
      case "followPack":
      case "status":
        return this.#site.ask(conn, call.name, call.request as never, options);
    }
  }

  #answered(context: ClientContext, message: AnswerMessage): void {
    switch (context.of) {
      case "table":
        if (message.name === "askTable") this.#site.view.replace(message.body.image);
        return this.#readAgain();
      case "read":
        return this.#reads.answered(context, message);
      case "digest":
        return this.#digests.answered(context, message);
      case "sync":
        return message.name === "sync" ? this.#syncs.answered(message.body) : undefined;
      case "call":
        return this.#primaryAnswered(context.call, message);
      default:
        return this.#commits.answered(context, message);
    }
  }

  #primaryAnswered(id: number, message: AnswerMessage): void {
    const call = this.#asked.get(id);
    if (!call) return;
    switch (message.name) {
      case "newOids": {
        if (call.name !== "newOids") return;
        const { first, count } = message.body;
        for (let i = 0n; i < BigInt(count); i++) this.#oids.push((first + i) as Oid);
        // one answer grants a block at most
        if (this.#oids.length < call.request.count) return this.#askPrimary(call, this.#untilOf(call));
        return this.#settle(id, this.#oids.splice(0, call.request.count));
      }
      default:
        return this.#settle(id, message.body);
    }
  }

  #failed(context: ClientContext, error: WireError): void {
    switch (context.of) {
      case "table":
        return;
      case "read":
        return this.#reads.failed(context, error);
      case "digest":
        return this.#digests.failed(context, error);
      case "sync":
        return this.#syncs.failed(error);
      case "call": {
        const call = this.#asked.get(context.call);
        if (!call) return;
        this.#asked.delete(context.call);
        // asking again is harmless, so that a lost primary only costs time
        const again = (error.code === "lost" || error.code === "sessionEnded") && call.name !== "stage";
        if (again) this.#early.set(call.call, call);
        else this.#end(call.call, errorOf(error));
        return;
      }
      default:
        return this.#commits.failed(context, error);
    }
  }

  /** Closes once nothing is under way, or the cluster stops and nothing is. */
  #tryClose(): void {
    const idle = this.#commits.size === 0;
    if (this.#closing && idle) {
      for (const call of [...this.#early.keys(), ...this.#asked.keys(), ...this.#pausing]) {
        this.#end(call, new UnreachableError("Cannot go on: this client is closed", { code: "lost" }));
      }
      this.#closing = false;
      this.#site.emit({ do: "stop" });
      return;
    }
    const { primary, view } = this.#site;
    if (view.phase !== "stopping" || !idle || primary === undefined) return;
    this.#site.primary = undefined;
    const error: WireError = { code: "stopping", message: "The cluster stops, and nothing is under way" };
    this.#site.emit({ do: "close", conn: primary, error });
  }

  #settle(call: number, result: unknown): void {
    this.#forget(call);
    this.#site.settle(call, result);
  }

  #end(call: number, error: DatabaseError): void {
    this.#forget(call);
    this.#site.fail(call, error);
  }

  #forget(call: number): void {
    this.#late.delete(call);
    this.#pausing.delete(call);
    this.#early.delete(call);
    this.#asked.delete(call);
  }
}
