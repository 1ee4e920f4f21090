/**
 * Clients as operators see them: who is let in since when, what each has under way, what it waits for, and which objects make
 * conflicts. The primary knows the sessions, storages know what they hold: all that run are asked at each question, and
 * those that don't answer in time are named. A session can be ended: what it has under way is given up.
 *
 * The same way it is asked how large storages are (T55).
 *
 * Messages: `listClients killClient listSizes`, to storages `askActivity askSize`.
 */
import type { Conn, Ttid } from "../../core/ids.ts";
import { sessionOf } from "../../core/ids.ts";
import { ACTIVITY_TIMEOUT_MS, CONFLICTS_SHOWN } from "../../core/limits.ts";
import { answer, ask } from "../../core/machine.ts";
import type { Answer, AnswerMessage, AskMessage, WireError } from "../../core/messages.ts";
import type { Clients } from "./clients.ts";
import type { Asker, MasterContext, Site } from "./site.ts";
import type { Storages } from "./storages.ts";

type Activity = Answer<"askActivity">;
type Size = Answer<"askSize">["size"];
/** What is asked of storages for an operator's question. */
const QUESTIONS = { listClients: "askActivity", listSizes: "askSize" } as const;
type Shown = Answer<"listClients">["clients"][number]["transactions"][number];

/** A question that waits for storages. */
interface Round {
  readonly asker: Asker;
  readonly wants: keyof typeof QUESTIONS;
  readonly waiting: Set<string>;
  readonly told: Map<string, Activity>;
  readonly sizes: Map<string, Size>;
}

/** Serves operators. */
export class SessionsDesk {
  #site: Site;
  #storages: Storages;
  #clients: Clients;
  #gone: (conn: Conn, error: WireError) => void;
  #rounds = new Map<number, Round>();
  #mark = 0;

  constructor(
    parts: {
      readonly site: Site;
      readonly storages: Storages;
      readonly clients: Clients;
      /** A connection counts as ended. */
      readonly gone: (conn: Conn, error: WireError) => void;
    },
  ) {
    this.#site = parts.site;
    this.#storages = parts.storages;
    this.#clients = parts.clients;
    this.#gone = parts.gone;
  }

  /** Serves an operator; false: it asks for something else. */
  ask(asker: Asker, message: AskMessage): boolean {
    if (message.name === "listClients" || message.name === "listSizes") this.#list(asker, message.name);
    else if (message.name === "killClient") this.#kill(asker, message.body.session);
    else return false;
    return true;
  }

  /** A storage has answered, or not (undefined). False: it was asked for something else. */
  answered(context: MasterContext, message: AnswerMessage | undefined): boolean {
    if (context.of !== "activity") return false;
    const round = this.#rounds.get(context.round);
    if (!round?.waiting.delete(context.name)) return true;
    if (message?.name === "askActivity") round.told.set(context.name, message.body);
    else if (message?.name === "askSize") round.sizes.set(context.name, message.body.size);
    this.#tryAnswer(context.round, round);
    return true;
  }

  /** Nobody waits any more. */
  disconnected(conn: Conn): void {
    for (const [number, { asker }] of this.#rounds) if (asker.conn === conn) this.#rounds.delete(number);
  }

  /** A recovery begins: storages answer nothing of before. */
  clear(): void {
    for (const [number, round] of [...this.#rounds]) {
      round.waiting.clear();
      this.#tryAnswer(number, round);
    }
  }

  #list(asker: Asker, wants: Round["wants"]): void {
    const number = ++this.#mark;
    const round: Round = { asker, wants, waiting: new Set(), told: new Map(), sizes: new Map() };
    this.#rounds.set(number, round);
    for (const { index, session, name, state, conn } of this.#storages.all) {
      if (state !== "running" || conn === undefined) continue;
      round.waiting.add(name);
      const context = { of: "activity", round: number, name, node: index, session } as const;
      this.#site.emit(
        ask(conn, QUESTIONS[wants], { epoch: this.#site.epoch }, { context, withinMs: ACTIVITY_TIMEOUT_MS }),
      );
    }
    this.#tryAnswer(number, round);
  }

  #tryAnswer(number: number, round: Round): void {
    if (round.waiting.size > 0) return;
    this.#rounds.delete(number);
    if (round.wants === "listClients") return this.#answerClients(round);
    const sizes = [...round.sizes].map(([name, size]) => ({ name, size }));
    this.#site.emit(answer(round.asker, "listSizes", { sizes, silent: this.#silentIn(round.sizes) }));
  }

  #silentIn(told: ReadonlyMap<string, unknown>): string[] {
    return this.#storages.all.map(({ name }) => name).filter((name) => !told.has(name));
  }

  #answerClients({ asker, told }: Round): void {
    const nowMs = this.#site.now.wallMs;
    const shown = new Map<Ttid, Shown>();
    for (const [name, { held }] of told) {
      for (const one of held) merge(shown, { ...one, ageMs: nowMs - one.ageMs }, name);
    }
    const clients = this.#clients.live.map(({ session, name, holder, sinceMs, floor = null }) => ({
      session,
      name,
      holder,
      sinceMs,
      floor,
      transactions: [...shown.values()].filter(({ ttid }) => sessionOf(ttid) === session),
    }));
    const silent = this.#silentIn(told);
    this.#site.emit(answer(asker, "listClients", { clients, conflicts: hottest(told.values()), silent }));
  }

  #kill(asker: Asker, session: number): void {
    const client = this.#clients.live.find((one) => one.session === session);
    if (!client) {
      const message = `Cannot end session ${session}: no client has it; see neo client list`;
      return this.#site.refuse(asker, { code: "denied", message });
    }
    const message = `Cannot go on with client session ${session}: an operator ended it`;
    const error = { code: "sessionEnded", message, detail: { session } } as const;
    this.#site.emit({ do: "reject", conn: client.conn, error });
    this.#gone(client.conn, error);
    this.#site.emit(answer(asker, "killClient", {}));
  }
}

/** One transaction has something on several storages. */
function merge(shown: Map<Ttid, Shown>, one: Activity["held"][number], storage: string): void {
  const before = shown.get(one.ttid);
  if (!before) return void shown.set(one.ttid, { ...one, storages: [storage] });
  shown.set(one.ttid, {
    ttid: one.ttid,
    ageMs: Math.max(before.ageMs, one.ageMs),
    objects: before.objects + one.objects,
    voted: before.voted && one.voted,
    waitsFor: before.waitsFor ?? one.waitsFor,
    behind: before.behind ?? one.behind,
    storages: [...before.storages, storage],
  });
}

/** Replicas count the same conflict: the most that one of them has counted is what there was. */
function hottest(all: Iterable<Activity>): Activity["conflicts"] {
  const most = new Map<Activity["conflicts"][number]["oid"], number>();
  for (const { conflicts } of all) {
    for (const { oid, count } of conflicts) most.set(oid, Math.max(count, most.get(oid) ?? 0));
  }
  return [...most].map(([oid, count]) => ({ oid, count })).sort((a, b) => b.count - a.count).slice(
    0,
    CONFLICTS_SHOWN,
  );
}
