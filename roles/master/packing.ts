/**
 * Packs: an operator lets history up to a tid, the bound, go (T13). What a snapshot at the bound or above shows stays.
 *
 * The registry of open snapshots is the clients' own, and isn't in the log (J1). So each pack is a round: every client says which of
 * its snapshots is the oldest, and opens none below the bound from then on (`askFloor`); one that is let in meanwhile is asked
 * as well, and one that goes takes its snapshots along. If all are at the bound or above, the bound is proposed, and told when it is
 * held: to storages, which may delete from then on, and to clients. Clients of an earlier epoch may come back with what they
 * have open: for `master.packQuietMs` after a recovery there is no pack, unless no client was ever let in before.
 *
 * From its proposal on a bound counts, held or not, whoever asks: an entry that is proposed behind it may be held with it.
 *
 * A backup takes the bound of its source, whatever is open here: what isn't there can't be copied.
 *
 * Messages: `pack` from operators, `askFloor packTo` to clients, `packTo` to storages, `packedTo` from them. Invariants: the bound
 * never falls; unless it is a source's it is at most the last tid; no truncation goes below it; one is decided at a time, so that what
 * clients hear of the first isn't less than what they have agreed to for the second.
 */
import { hexOf, ZERO_TID } from "../../core/ids.ts";
import type { ClientSession, Conn, NodeIndex, Tid } from "../../core/ids.ts";
import { PACK_ASK_MS } from "../../core/limits.ts";
import { answer, ask, tell } from "../../core/machine.ts";
import type { Answer, AnswerMessage, AskMessage, WireError } from "../../core/messages.ts";
import { dateOfTid } from "../../core/tid.ts";
import type { Clients } from "./clients.ts";
import type { Asker, ClientPeer, MasterContext, Site } from "./site.ts";
import type { StorageNode, Storages } from "./storages.ts";

/** A pack that clients are asked about. */
interface Round {
  readonly asker: Asker;
  readonly bound: Tid;
  readonly dryRun: boolean;
  readonly waiting: Map<Conn, ClientPeer>;
}

/** Decides on packs. */
export class Packing {
  #site: Site;
  #storages: Storages;
  #clients: Pick<Clients, "live" | "importer">;
  #round: Round | undefined;
  #proposed: Tid = ZERO_TID;
  #sinceMs: number | undefined; // when it began to run, if clients were there before

  constructor(parts: {
    site: Site;
    storages: Storages;
    clients: Pick<Clients, "live" | "importer">;
  }) {
    this.#site = parts.site;
    this.#storages = parts.storages;
    this.#clients = parts.clients;
  }

  /** Up to where history is packed, or may be in a moment: what is proposed and not held yet counts. */
  get bound(): Tid {
    const { packBound } = this.#site.metadata;
    return this.#proposed > packBound ? this.#proposed : packBound;
  }

  /** What operators see of it; null: all history is kept. */
  get report(): Answer<"status">["pack"] {
    const { packBound: bound } = this.#site.metadata;
    const late = this.#storages.all.filter(({ packedTo }) => packedTo < bound);
    return bound === ZERO_TID ? null : { bound, packing: late.map(({ name }) => name) };
  }

  /** Serves an operator; false: something else is asked. */
  ask(asker: Asker, message: AskMessage): boolean {
    if (message.name !== "pack") return false;
    const { tid, dryRun } = message.body;
    const { packBound } = this.#site.metadata;
    const isDone = this.#site.phase === "running" && tid <= packBound;
    const why = isDone ? undefined : this.#objection(tid);
    if (why !== undefined) this.#refuse(asker, tid, why);
    else if (isDone) this.#site.emit(answer(asker, "pack", { tid: packBound, before: packBound }));
    else {
      this.#round = { asker, bound: tid, dryRun, waiting: new Map() };
      for (const client of this.#clients.live) this.#askFloor(this.#round, client);
      this.#tryPropose(this.#round);
    }
    return true;
  }

  #objection(tid: Tid): string | undefined {
    const { phase, lastTid, now, metadata } = this.#site;
    const quietMs = this.#site.setting("master.packQuietMs");
    const waitMs = this.#sinceMs === undefined ? 0 : this.#sinceMs + quietMs - now.monoMs;
    if (phase !== "running") return `the cluster is ${phase}; wait until it runs`;
    if (this.#clients.importer !== undefined) return "an import is under way; wait until it ends";
    if (tid > lastTid) return `the last tid is ${hexOf(lastTid)}, of ${timeOf(lastTid)}`;
    if (this.#round || this.bound > metadata.packBound) return "another pack is being decided; try again";
    if (waitMs <= 0) return undefined;
    const seconds = Math.ceil(waitMs / 1_000);
    return `the cluster has recovered just now, and clients of before may come back; try again in ${seconds} s`;
  }

  /** A client is let in: it hears of the bound, and is asked if a pack is being decided. */
  cameIn(client: ClientPeer): void {
    if (this.bound > ZERO_TID) this.#tellClients([client.conn], this.bound);
    if (this.#round) this.#askFloor(this.#round, client);
  }

  /** A client has said what it has open, or doesn't answer (undefined). False: something else was asked. */
  answered(context: MasterContext, message: AnswerMessage | undefined, error?: WireError): boolean {
    if (context.of !== "floor") return false;
    const round = this.#round;
    const client = round?.waiting.get(context.conn);
    if (!round || client?.session !== context.client || round.bound !== context.bound) return true;
    if (error?.code === "lost") return true; // it is gone in a moment
    round.waiting.delete(context.conn);
    if (message?.name === "askFloor") {
      const { floor } = message.body;
      if (floor === null || floor >= round.bound) this.#tryPropose(round);
      else {this.#stop(
          round,
          `${nameOf(client)} reads a snapshot of ${hexOf(floor)}, of ${timeOf(floor)}; ${HINT}`,
        );}
    } else {
      this.#stop(round, `${nameOf(client)} doesn't say in time what it reads; ${HINT}`);
    }
    return true;
  }

  /** A connection is gone: whoever read there reads no more, or doesn't want to know any more. */
  disconnected(conn: Conn): void {
    const round = this.#round;
    if (!round) return;
    if (round.asker.conn === conn) return this.#end();
    if (round.waiting.delete(conn)) this.#tryPropose(round);
  }

  /** A storage is fenced: it hears of the bound. */
  fenced({ conn }: StorageNode): void {
    const { epoch, metadata } = this.#site;
    const { packBound: tid } = metadata;
    if (tid > ZERO_TID) this.#site.emit(tell(conn!, "packTo", { epoch, tid }));
  }

  /** Operation ends, and all sessions with it. */
  clear(): void {
    const round = this.#round;
    this.#round = undefined;
    if (round) this.#refuse(round.asker, round.bound, "the cluster recovers; try again when it runs");
  }

  /** The cluster runs. */
  running(): void {
    // the first session of all times is number 1
    this.#sinceMs = this.#site.metadata.sessionMark === 0 ? undefined : this.#site.now.monoMs;
  }

  /** A source has packed up to here: `then` when this cluster has that bound. */
  raise(tid: Tid, then: () => void): void {
    if (tid <= this.#site.metadata.packBound) return then();
    this.#propose(tid, then);
  }

  #askFloor({ waiting, bound }: Round, client: ClientPeer): void {
    const { conn, session } = client;
    waiting.set(conn, client);
    const context = { of: "floor", node: 0 as NodeIndex, session: 0, conn, client: session, bound } as const;
    this.#site.emit(ask(conn, "askFloor", { packBound: bound }, { context, withinMs: PACK_ASK_MS }));
  }

  #tryPropose(round: Round): void {
    if (round.waiting.size > 0) return;
    const { asker, bound, dryRun } = round;
    const { packBound: before } = this.#site.metadata;
    const done = (): void => this.#site.emit(answer(asker, "pack", { tid: bound, before }));
    if (dryRun) {
      this.#end();
      return done();
    }
    this.#round = undefined;
    this.#propose(bound, done);
  }

  #propose(bound: Tid, then: () => void): void {
    if (bound > this.#proposed) this.#proposed = bound;
    this.#site.propose({ type: "packed", tid: bound }, () => {
      const { epoch, metadata } = this.#site;
      const { packBound: tid } = metadata;
      this.#site.log("storage", "info", "History is packed", { upTo: hexOf(tid), time: timeOf(tid) });
      const storages = this.#storages.conns("pending", "running");
      if (storages.length > 0) this.#site.emit(tell(storages, "packTo", { epoch, tid }));
      this.#tellClients(this.#clients.live.map(({ conn }) => conn), tid);
      then();
    });
  }

  #stop(round: Round, why: string): void {
    this.#end();
    this.#refuse(round.asker, round.bound, why);
  }

  /** Nothing is packed: clients may open what is above the bound that there is. */
  #end(): void {
    this.#round = undefined;
    this.#tellClients(this.#clients.live.map(({ conn }) => conn), this.bound);
  }

  #tellClients(conns: readonly Conn[], tid: Tid): void {
    if (conns.length > 0) this.#site.emit(tell(conns, "packTo", { epoch: this.#site.epoch, tid }));
  }

  #refuse(asker: Asker, tid: Tid, why: string): void {
    this.#site.refuse(asker, { code: "denied", message: `Cannot pack up to ${hexOf(tid)}: ${why}` });
  }
}

const HINT =
  "pack up to an earlier time, or wait; `neo client list` shows clients, `neo client kill` ends one";

function nameOf({ name, session }: { readonly name: string; readonly session: ClientSession }): string {
  return `client ${name || "without a name"} (session ${session})`;
}

function timeOf(tid: Tid): string {
  return new Date(dateOfTid(tid)).toISOString();
}
