/**
 * Masters that agree, alone: no cluster, only logs, and all that can go wrong around them, drawn from a seed. Messages are
 * delayed, lost and overtake each other; connections end; masters crash and lose what wasn't flushed, sleep, join and leave.
 *
 * Broken promises are said in `breaches`: two leaders of a term, two entries at one place, an entry that was held and is gone, a
 * question that was confirmed though a later leader had gone on, and masters that come to no agreement when all is well again.
 */
import { memoryMetadata } from "../../adapters/memory.ts";
import { seededRandom } from "../../adapters/system.ts";
import type { Now } from "../../core/machine.ts";
import type { MetadataState, MetadataWrite } from "../../core/ports.ts";
import type { Raft as RealRaft, RaftMessage, RaftStart } from "../../roles/master/raft.ts";
import type { Voters } from "../../roles/master/raft_log.ts";

/** What is tried: the real one, or one with a mistake. */
export type RaftClass = new(start: RaftStart<Voters>) => RealRaft<Voters>;

/** How rough it is. */
export interface Roughness {
  /** Masters that may be there, of which `voters` begin. */
  readonly masters: number;
  readonly voters: number;
  readonly disturbedMs: number;
  /** Rounds that were saved and are gone after a crash: a disk that lies. */
  readonly forgets?: (write: MetadataWrite) => boolean;
}

type Disk = ReturnType<typeof memoryMetadata>;

/** What entries have made: how many there were, and a digest of them. */
interface Made {
  readonly voters: readonly number[];
  readonly count: number;
  readonly digest: number;
}

interface Master {
  readonly index: number;
  readonly disk: Disk;
  raft: RealRaft<Voters> | undefined;
  store: ReturnType<Disk["open"]> | undefined;
  made: Made;
  place: number; // in the log: what is made holds up to here
  life: number; // processes so far: what was meant for an earlier one is dropped
  isSaving: boolean;
  isAsleep: boolean;
  asked: { round: number; leaderSince: number; place: number }[];
  reign: number;
  queue: ((now: Now) => void)[];
}

const text = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const parse = (bytes: Uint8Array): { voters?: number[]; count?: number; digest?: number } =>
  JSON.parse(new TextDecoder().decode(bytes));
const LOG_SHORT = 12;

/** One seed's run. */
export class Schedule {
  readonly breaches: string[] = [];
  /** Entries that became held, changes of the roster, and leaders. */
  readonly counts = { held: 0, rosters: 0, leaders: 0, confirmed: 0, installs: 0 };
  readonly #random: { next(): number };
  readonly #Raft: RaftClass;
  readonly #rough: Roughness;
  readonly #masters: Master[];
  readonly #leaders = new Map<number, number>(); // by term
  readonly #held = new Map<number, string>(); // by place
  readonly #digests = new Map<number, string>(); // of what is made up to a place
  readonly #links = new Set<string>();
  #top = 0; // the last place that is held
  #nowMs = 1_000;
  #events: { atMs: number; order: number; run: () => void }[] = [];
  #order = 0;
  #proposals = 0;
  #isCalm = false;

  constructor(seed: number, Raft: RaftClass, rough: Roughness) {
    this.#random = seededRandom(seed);
    this.#Raft = Raft;
    this.#rough = rough;
    const voters = Array.from({ length: rough.voters }, (_, at) => at + 1);
    const first: Made = { voters, count: 0, digest: 0 };
    this.#masters = Array.from({ length: rough.masters }, (_, at) => ({
      index: at + 1,
      disk: memoryMetadata(at < rough.voters ? text(first) : null),
      raft: undefined,
      store: undefined,
      made: first,
      place: 0,
      life: 0,
      isSaving: false,
      isAsleep: false,
      asked: [],
      reign: 0,
      queue: [],
    }));
  }

  /** Runs it all; `breaches` then says what went wrong. */
  run(): this {
    for (const master of this.#masters) this.#after(this.#between(0, 500), () => this.#start(master));
    this.#after(10, () => this.#disturb());
    this.#after(5, () => this.#work());
    this.#until(this.#nowMs + this.#rough.disturbedMs);
    this.#calm();
    const count = this.counts.held;
    this.#until(this.#nowMs + 60_000, () => this.#agree(count));
    if (this.breaches.length === 0 && !this.#agree(count)) {
      this.breaches.push(`no agreement: ${this.#state()}`);
    }
    return this;
  }

  #agree(before: number): boolean {
    const leader = this.#masters.find(({ raft }) => raft?.role === "leader" && raft.isReady);
    if (!leader || this.counts.held <= before) return false;
    const voters = leader.raft!.roster!.voters;
    return this.#masters.every(({ index, raft, place }) => {
      return !voters.includes(index) || (raft?.commit === leader.raft!.commit && place === leader.place);
    });
  }

  #state(): string {
    return this.#masters.map(({ index, raft }) =>
      `${index}: ${raft?.role} of ${raft?.term}, ${raft?.commit} held, voters ${raft?.roster?.voters}`
    ).join("; ");
  }

  #between(least: number, most: number): number {
    return least + (most - least) * this.#random.next();
  }

  #chance(share: number): boolean {
    return this.#random.next() < share;
  }

  #pick<T>(all: readonly T[]): T {
    return all[Math.floor(this.#random.next() * all.length)]!;
  }

  #after(ms: number, run: () => void): void {
    const event = { atMs: this.#nowMs + ms, order: this.#order++, run };
    let low = 0;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#events[middle]!;
      if (other.atMs > event.atMs || (other.atMs === event.atMs && other.order > event.order)) {
        low = middle + 1;
      } else high = middle;
    }
    this.#events.splice(low, 0, event); // the last one is the next
  }

  #until(endMs: number, holds: () => boolean = () => false): void {
    while (this.breaches.length === 0 && !holds()) {
      const next = this.#events.at(-1);
      if (!next || next.atMs > endMs) break;
      this.#events.pop();
      this.#nowMs = next.atMs;
      next.run();
    }
    this.#nowMs = Math.max(this.#nowMs, Math.min(endMs, this.#events.at(-1)?.atMs ?? endMs));
  }

  #start(master: Master): void {
    if (master.raft) return;
    master.disk.crash(0);
    master.store = master.disk.open();
    const { state } = master.store as { state: MetadataState };
    const { index } = master;
    master.life += 1;
    master.queue = [];
    master.asked = [];
    master.isSaving = master.isAsleep = false;
    master.place = state.snapshot?.index ?? 0;
    master.made = state.snapshot ? parse(state.snapshot.image) as Made : { voters: [], count: 0, digest: 0 };
    master.raft = new this.#Raft({
      state,
      random: this.#random,
      reading: {
        ofImage: (image) => ({ voters: parse(image).voters! }),
        ofEntry: (entry) => {
          const { voters } = entry.length === 0 ? {} as { voters?: number[] } : parse(entry);
          return voters && { voters };
        },
        self: () => index,
      },
    });
    this.#step(master, (now) => master.raft!.begin(now));
    for (const other of this.#masters) if (other !== master) this.#link(master, other, true);
    this.#tick(master, master.life);
  }

  #crash(master: Master): void {
    if (!master.raft) return;
    master.raft = undefined;
    master.life += 1;
    master.disk.crash(0);
    for (const other of this.#masters) if (other !== master) this.#link(master, other, false);
  }

  /** Deadlines are looked at every few milliseconds: what sleeps looks late. */
  #tick(master: Master, life: number): void {
    if (master.life !== life) return;
    const dueMs = master.raft!.dueMs;
    if (dueMs !== undefined && dueMs <= this.#nowMs) this.#step(master, (now) => master.raft!.due(now));
    this.#after(this.#between(8, 25), () => this.#tick(master, life));
  }

  /** Ends or makes a connection, if both run; each side hears of it in its own time. */
  #link(a: Master, b: Master, up: boolean): void {
    const key = [a.index, b.index].sort().join("-");
    if (this.#links.has(key) === up) return;
    if (up && (!a.raft || !b.raft)) return;
    if (up) this.#links.add(key);
    else this.#links.delete(key);
    for (const [one, other] of [[a, b], [b, a]] as const) {
      const { life } = one;
      this.#after(this.#between(0, 5), () => {
        if (one.life !== life || !one.raft || this.#links.has(key) !== up) return;
        this.#step(
          one,
          (now) => up ? one.raft!.connected(other.index, now) : one.raft!.disconnected(other.index, now),
        );
      });
    }
  }

  /** A round: something is heard, saved after a while, and what follows is said. */
  #step(master: Master, hear: (now: Now) => void): void {
    if (!master.raft) return;
    master.queue.push(hear);
    this.#next(master);
  }

  get #now(): Now {
    return { monoMs: this.#nowMs, wallMs: this.#nowMs };
  }

  #settle(master: Master, before: readonly { to: number; message: RaftMessage }[]): void {
    const raft = master.raft!;
    this.#look(master);
    const { writes, sends } = raft.taken();
    const all = [...before, ...sends];
    if (writes.length === 0) {
      for (const { to, message } of all) this.#carry(master, to, message);
      if (master.queue.length > 0) this.#after(0, () => this.#next(master));
      return;
    }
    const { life } = master;
    const ms = this.#chance(0.1) ? this.#between(5, 200) : this.#between(0, 3);
    master.isSaving = true;
    this.#after(ms, () => {
      if (master.life !== life) return; // what wasn't flushed is gone
      const kept = writes.filter((write) => !this.#rough.forgets?.(write));
      if (kept.length < writes.length) master.store!.apply(writes, { durable: false });
      if (kept.length > 0) {
        master.store!.apply(kept.length < writes.length ? [] : kept, {
          durable: kept.length === writes.length,
        });
      }
      master.isSaving = false;
      raft.saved(this.#now);
      this.#settle(master, all);
    });
  }

  /** Begins the next round with what has arrived, or a part of it. */
  #next(master: Master): void {
    if (master.isSaving || master.isAsleep || !master.raft || master.queue.length === 0) return;
    for (const hear of master.queue.splice(0, 1 + Math.floor(3 * this.#random.next()))) {
      hear(this.#now);
      this.#look(master);
    }
    this.#settle(master, []);
  }

  #carry(from: Master, to: number, message: RaftMessage): void {
    const other = this.#masters[to - 1]!;
    const { life } = other;
    if (!this.#links.has([from.index, to].sort().join("-"))) return;
    if (!this.#isCalm && this.#chance(0.03)) return;
    if (message.name === "install") this.counts.installs += 1;
    const copies = !this.#isCalm && this.#chance(0.02) ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      const ms = !this.#isCalm && this.#chance(0.05) ? this.#between(1, 400) : this.#between(0.2, 4);
      this.#after(ms, () => {
        if (other.life !== life || !other.raft) return;
        this.#step(other, (now) => other.raft!.receive(from.index, message, now));
      });
    }
  }

  /** Compares what a master says with what all have said. */
  #look(master: Master): void {
    const raft = master.raft!;
    if (raft.role === "leader") {
      const known = this.#leaders.get(raft.term);
      if (known === undefined) this.counts.leaders += 1;
      else if (known !== master.index) {
        this.breaches.push(`term ${raft.term} has leaders ${known} and ${master.index}`);
      }
      this.#leaders.set(raft.term, master.index);
      if (master.reign !== raft.term) master.asked = [];
      master.reign = raft.term;
    } else master.asked = [];
    this.#deliver(master);
    for (const asked of master.asked.filter(({ round }) => round <= raft.confirmed)) {
      this.counts.confirmed += 1;
      if (raft.commit < asked.place) {
        this.breaches.push(
          `${master.index} answers from ${raft.commit}, but ${asked.place} was held before it was asked`,
        );
      }
    }
    master.asked = master.asked.filter(({ round }) => round > raft.confirmed);
    if (raft.commit - (master.store!.state.snapshot?.index ?? 0) > LOG_SHORT && this.#chance(0.02)) {
      if (master.place === raft.commit && raft.commit > 0 && this.#compactable(master)) {
        raft.compact(text(master.made));
      }
    }
  }

  #compactable(master: Master): boolean {
    const known = (master as { compacted?: number }).compacted ?? 0;
    if (master.place - known < LOG_SHORT) return false;
    (master as { compacted?: number }).compacted = master.place;
    return true;
  }

  #deliver(master: Master): void {
    const raft = master.raft!;
    const { image, entries } = raft.held();
    if (image) {
      master.made = parse(image) as Made;
      master.place = -1; // known below
    }
    for (const { index, term, entry } of entries) {
      const word = `${term} ${new TextDecoder().decode(entry)}`;
      const known = this.#held.get(index);
      if (known !== undefined && known !== word) {
        this.breaches.push(`place ${index} is ${known}, and ${word} at ${master.index}`);
      }
      if (known === undefined) this.counts.held += 1;
      this.#held.set(index, word);
      const { voters } = parse(entry);
      if (known === undefined && voters) this.counts.rosters += 1;
      let { digest } = master.made;
      for (const char of word) digest = (Math.imul(digest, 31) + char.charCodeAt(0)) | 0;
      master.made = { voters: voters ?? master.made.voters, count: master.made.count + 1, digest };
    }
    master.place = raft.commit;
    this.#top = Math.max(this.#top, raft.commit);
    const { count, digest } = master.made;
    const sum = `${count} ${digest}`;
    const known = this.#digests.get(raft.commit);
    if (known !== undefined && known !== sum) {
      this.breaches.push(`up to place ${raft.commit} there is ${known}, and ${sum} at ${master.index}`);
    }
    this.#digests.set(raft.commit, sum);
  }

  /** Leaders propose, ask for confirmation, and change the roster. */
  #work(): void {
    for (const master of this.#masters) {
      if (master.raft?.role !== "leader") continue;
      this.#step(master, () => {
        const { raft } = master;
        if (raft?.role !== "leader") return;
        if (this.#chance(0.5)) raft.propose(text({ count: ++this.#proposals }));
        if (!raft.isReady) return;
        if (this.#chance(0.5)) {
          master.asked.push({ round: raft.confirm(), leaderSince: raft.term, place: this.#top });
        }
        if (this.#chance(0.03) && !this.#isCalm) raft.stepDown();
        if (!this.#isCalm && this.#chance(0.12)) this.#changeRoster(master);
      });
    }
    this.#after(this.#between(5, 60), () => this.#work());
  }

  #changeRoster(master: Master): void {
    const raft = master.raft!;
    const voters = [...raft.roster!.voters];
    const index = 1 + Math.floor(this.#random.next() * this.#masters.length);
    const next = voters.includes(index) ? voters.filter((voter) => voter !== index) : [...voters, index];
    if (next.length === 0 || (next.length > voters.length && !raft.isCaughtUp(index))) return;
    if (!raft.isChanging) raft.propose(text({ voters: next, count: ++this.#proposals }));
  }

  #disturb(): void {
    if (this.#isCalm) return;
    const master = this.#pick(this.#masters);
    const other = this.#pick(this.#masters);
    const what = this.#random.next();
    if (what < 0.22) {
      this.#crash(master);
      this.#after(this.#between(10, 3_000), () => this.#start(master));
    } else if (what < 0.3) {
      for (const one of this.#masters) {
        if (!this.#chance(0.7)) continue;
        this.#crash(one);
        this.#after(this.#between(10, 1_500), () => this.#start(one));
      }
    } else if (what < 0.6 && master !== other) {
      this.#link(master, other, false);
      this.#after(this.#between(5, 4_000), () => this.#link(master, other, true));
    } else if (what < 0.8) {
      this.#split();
    } else if (master.raft) {
      const { life } = master;
      master.isAsleep = true;
      this.#after(this.#between(100, 8_000), () => {
        if (master.life !== life) return;
        master.isAsleep = false;
        this.#next(master);
      });
    }
    this.#after(this.#between(50, 1_500), () => this.#disturb());
  }

  /** Two sides that don't hear each other, for a while. */
  #split(): void {
    const side = new Set(this.#masters.filter(() => this.#chance(0.5)));
    const pairs = this.#masters.flatMap((a) =>
      this.#masters.flatMap((b) => (side.has(a) && !side.has(b) ? [[a, b] as const] : []))
    );
    for (const [a, b] of pairs) this.#link(a, b, false);
    this.#after(this.#between(100, 6_000), () => {
      for (const [a, b] of pairs) this.#link(a, b, true);
    });
  }

  #calm(): void {
    this.#isCalm = true;
    for (const master of this.#masters) {
      master.isAsleep = false;
      this.#start(master);
      this.#next(master);
    }
    for (const a of this.#masters) for (const b of this.#masters) if (a !== b) this.#link(a, b, true);
  }
}
