/**
 * Packs (T13): an operator lets history go while everything else happens. What goes is written down, so that the checkers still know
 * all that there was; and each revision that goes must have a newer one of its object up to the bound (J2). Whoever hears that a
 * bound is decided reads nothing below it (J1).
 */
import type { Oid, Tid } from "../../core/ids.ts";
import { MAX_TID, partitionOf, toOid, ZERO_TID } from "../../core/ids.ts";
import type { DatabaseWrite } from "../../core/ports.ts";
import type { Cluster, SimClient } from "./cluster.ts";
import { type Job, read } from "./jobs.ts";
import type { CommandEnd } from "./operator.ts";
import { copiesOf } from "./probes.ts";
import type { SimRandom } from "./random.ts";
import { wait, type Worker } from "./sessions.ts";
import type { Stored, StoredText } from "./stored.ts";
import type { Step } from "./trace.ts";

/** Ids of its commands: others count from elsewhere. */
const FIRST_ID = 3_000_000;
/** Pauses between two packs. */
const PAUSE_MS_MIN = 300;
const PAUSE_MS_MAX = 4_000;
/** How often somebody else packs at the same time, and how much later. */
const SECOND_SHARE = 0.4;
const SECOND_MS_MAX = 60;
/** How often a client that hears of a bound opens the oldest snapshot that is left, and how long it has it open. */
const LOOK_SHARE = 0.3;
const LOOK_MS_MAX = 300;
/** Rows that are looked at for what is left. */
const LEFT_MAX = 10_000;

/** Reads twice in the oldest snapshot that there is. */
function* lookBack(job: Job, at: Tid): Worker {
  const { random, objects } = job;
  const oids = [...random.pick(objects.pairs), random.pick(objects.singles)];
  if (!(yield* read(job, at, oids))) return;
  yield* wait(random.between(0, LOOK_MS_MAX));
  yield* read(job, at, oids);
}

/** Packs until told to stop. */
export class Packs {
  /** Packs that were decided. */
  done = 0;
  /** What a client works with; undefined: it does nothing on its own. */
  jobOf: ((client: SimClient) => Job) | undefined;
  readonly #cluster: Cluster;
  readonly #random: SimRandom;
  readonly #gone = new Map<Oid, Map<Tid, Tid>>(); // of each revision that went, under which bound
  readonly #bounds = new Map<string, Tid>(); // of storages
  readonly #told = new Map<string, Tid>(); // what clients have heard of
  readonly #fresh = new Set<string>(); // those that were let in, and may have been away when a pack was decided
  readonly #open = new Set<number>(); // commands that aren't answered
  #id = FIRST_ID;
  #isOn = false;

  constructor(cluster: Cluster, random: SimRandom) {
    this.#cluster = cluster;
    this.#random = random;
    cluster.heard.add((end) => this.#ended(end));
  }

  /** Whether no command is under way. */
  get isIdle(): boolean {
    return this.#open.size === 0;
  }

  /** The highest bound that a storage has. */
  get bound(): Tid {
    return [...this.#bounds.values()].reduce((most, tid) => (tid > most ? tid : most), ZERO_TID);
  }

  begin(): void {
    this.#isOn = true;
    this.#next();
  }

  end(): void {
    this.#isOn = false;
  }

  /** Whether a revision went. */
  took(oid: Oid, tid: Tid): boolean {
    return this.#gone.get(oid)?.has(tid) ?? false;
  }

  /** Sees what a machine does. */
  see({ node, event, effects }: Step): void {
    for (const effect of effects) {
      if (effect.do !== "save" || !node.startsWith("s")) continue;
      const write = effect.write as DatabaseWrite;
      if (write.op === "packBound") this.#bounds.set(node, write.tid);
      if (write.op === "pack") {
        for (const row of write.revisions) this.#went(row.oid, row.tid, write.bound);
      }
    }
    if (!node.startsWith("c")) return;
    const { type, message } = event as { type: string; message?: { name: string; body: { tid: Tid } } };
    if (type === "told" && message?.name === "welcome") this.#fresh.add(node);
    else if (type === "told" && message?.name === "packTo") {
      this.#heard(node, message.body.tid);
      this.#look(node, message.body.tid);
    } else if (type === "answered" && message?.name === "sync") this.#fresh.delete(node);
  }

  /** Where something is left that was to go. */
  remains(): string[] {
    const { shape: { partitions }, storages } = this.#cluster;
    if (storages.some(({ plan: { disk } }) => disk?.store === undefined)) return ["a storage is down"];
    return copiesOf(this.#cluster).flatMap(({ node, readable, read }) => {
      const after = { oid: toOid(0n), tid: ZERO_TID };
      const bound = this.#bounds.get(node) ?? ZERO_TID;
      const answer = read({ read: "packable", bound, after, rowsMax: LEFT_MAX });
      const left = answer.read === "packable" ? answer.revisions : [];
      const rows = left.filter(({ oid }) => readable.includes(partitionOf(oid, partitions)));
      return rows.length > 0
        ? [`${node} has ${rows.length} revisions that were to go up to ${bound}`]
        : [];
    });
  }

  /** What is wrong with what went: everything that was there is `stored`, or went rightly. */
  breaches({ revisions, transactions }: Stored): string[] {
    const all: string[] = [];
    for (const [oid, tids] of this.#gone) {
      for (const [tid, bound] of tids) {
        const what = `revision ${tid} of object ${oid} was packed, to ${bound}`;
        if (!transactions.has(tid)) all.push(`${what}: no transaction has that tid`);
        const next = (revisions.get(oid) ?? []).find((other) => other.tid > tid);
        if (next === undefined || next.tid > bound) all.push(`${what}: the next one is ${next?.tid}`);
      }
    }
    return all;
  }

  /** All revisions of an object, with those that went; their texts are what their transactions wrote. */
  withGone(
    oid: Oid,
    left: readonly StoredText[],
    { transactions }: Pick<Stored, "transactions">,
  ): StoredText[] {
    const known = new Set(left.map(({ tid }) => tid));
    const gone = [...this.#gone.get(oid)?.keys() ?? []].filter((tid) => !known.has(tid)).map((tid) => {
      const number = transactions.get(tid)?.number;
      const writes = number === undefined ? [] : this.#cluster.history.transactions[number]?.writes ?? [];
      return { tid, text: writes.find((write) => write.oid === oid)?.text ?? null };
    });
    return [...left, ...gone].sort((a, b) => (a.tid < b.tid ? -1 : 1));
  }

  #went(oid: Oid, tid: Tid, bound: Tid): void {
    const tids = this.#gone.get(oid) ?? new Map<Tid, Tid>();
    this.#gone.set(oid, tids);
    // under which bound it went first counts most: another copy may do it under a later one
    if ((tids.get(tid) ?? MAX_TID) > bound) tids.set(tid, bound);
  }

  /** A client hears of a bound that is decided. */
  #heard(node: string, bound: Tid): void {
    const { history, clients } = this.#cluster;
    const client = clients.find(({ name }) => name === node);
    const isNews = bound > (this.#told.get(node) ?? ZERO_TID);
    this.#told.set(node, bound);
    if (this.#fresh.has(node) || !isNews || client === undefined) return;
    const floor = client.session?.floor ?? null;
    if (floor === null || floor >= bound) return;
    history.breach(`${node} reads at ${floor}, and history is packed up to ${bound}`);
  }

  /** A client opens a snapshot at the bound itself: a pack that begins now must not go beyond it. */
  #look(node: string, bound: Tid): void {
    const client = this.#cluster.clients.find(({ name }) => name === node);
    if (!this.#isOn || this.jobOf === undefined || client === undefined) return;
    if (this.#random.chance(LOOK_SHARE)) client.session?.run(lookBack(this.jobOf(client), bound));
  }

  /** Asks for a pack up to a tid. */
  ask(tid: Tid, dryRun = false): void {
    const id = ++this.#id;
    this.#open.add(id);
    this.#cluster.operator.call({ type: "command", id, message: { name: "pack", body: { tid, dryRun } } });
  }

  #next(): void {
    const { world } = this.#cluster;
    world.after(this.#random.between(PAUSE_MS_MIN, PAUSE_MS_MAX), () => {
      if (!this.#isOn) return;
      this.#next();
      if (!this.isIdle || this.#tids().length === 0) return;
      this.#ask();
      if (!this.#random.chance(SECOND_SHARE)) return;
      world.after(this.#random.between(0, SECOND_MS_MAX), () => {
        if (this.#isOn) this.#ask();
      });
    });
  }

  #tids(): Tid[] {
    return this.#cluster.history.acknowledged.map(({ tid }) => tid!).sort((a, b) => (a < b ? -1 : 1));
  }

  #ask(): void {
    const random = this.#random;
    const tids = this.#tids();
    const tid = random.chance(0.3) ? tids.at(-random.int(1, Math.min(3, tids.length)))! : random.pick(tids);
    this.ask(tid, random.chance(0.1));
  }

  #ended(end: CommandEnd): void {
    if (this.#open.delete(end.id) && "answer" in end) this.done += 1;
  }
}
