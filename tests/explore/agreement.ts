/**
 * Several masters with an agreement that is abstract: one log, one leader at a time, and nothing between them. It keeps what `roles/master/raft.ts`
 * promises to the rest of a master, and no more: what a leader proposes is held at any later moment or, if another leads by then,
 * either was held or never will be; a new leader has all that is held; a deposed one goes on until it hears of it, and isn't confirmed.
 *
 * So an election is one step here instead of hundreds, and no master dials another one. Cut as well: proposals are held in the
 * groups in which they were waiting, and masters never change. Whether Raft keeps these promises the simulator asks.
 */
import { Buffer } from "node:buffer";
import type { Effect, Now } from "../../core/machine.ts";
import type { MemberMachine } from "../../roles/master/member.ts";
import type { MasterRoster } from "../../roles/master/metadata.ts";
import type { HeardEvent, OpenMachine } from "./spec.ts";

/** What masters agree on: a part of a world's state. */
export interface Log {
  readonly term: number;
  /** The place of the one who leads; -1: nobody yet. */
  readonly leader: number;
  readonly entries: readonly string[];
  /** What a leader had proposed when it was lost: held, or never. */
  readonly flight: readonly string[];
}

/** Nobody leads. `entries`: what was held before. */
export function firstLog(entries: readonly Uint8Array[]): Log {
  return { term: 0, leader: -1, entries: entries.map(textOfEntry), flight: [] };
}

/** What masters hear of their agreement. */
export type Agreed =
  | { readonly type: "leads"; readonly term: number; readonly entries: readonly string[] }
  | { readonly type: "follows"; readonly term: number; readonly leader: number }
  | { readonly type: "held"; readonly count: number }
  | { readonly type: "confirmed"; readonly round: number };

/** A master as the world sees it. */
export interface MemberFacts {
  /** The place of the leader that it knows of; -1: none. */
  readonly leader: number;
  readonly unheld: readonly string[];
  /** Rounds of questions that nobody has answered yet. */
  readonly asked: number;
}

const textOfEntry = (entry: Uint8Array): string => Buffer.from(entry).toString("base64");
const entryOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64"));

/** Stands where a master expects `Raft`. Nothing in it is private: its state is read and put back. */
class AbstractRaft {
  term = 0;
  role: "follower" | "leader" = "follower";
  leader: number | undefined;
  commit = 0;
  delivered = 0;
  log: string[] = [];
  /** With what it was doing then: callbacks that wait for it have caught that. */
  unheld: { readonly text: string; readonly cause: string }[] = [];
  asked: { readonly round: number; readonly cause: string }[] = [];
  round = 0;
  confirmed = 0;
  cause = "";
  readonly roster: MasterRoster;
  readonly self: number;

  constructor(roster: MasterRoster, self: number) {
    this.roster = roster;
    this.self = self;
  }

  get rosters(): MasterRoster[] {
    return [this.roster];
  }

  get isReady(): boolean {
    return this.role === "leader";
  }

  get isChanging(): boolean {
    return false;
  }

  get isLong(): boolean {
    return false;
  }

  get dueMs(): undefined {
    return undefined;
  }

  begin(): void {}
  saved(): void {}
  due(): void {}

  taken(): { writes: []; sends: [] } {
    return { writes: [], sends: [] };
  }

  held(): { image: undefined; entries: { readonly entry: Uint8Array }[] } {
    const entries = this.log.slice(this.delivered, this.commit).map((text) => ({ entry: entryOf(text) }));
    this.delivered = this.commit;
    return { image: undefined, entries };
  }

  propose(entry: Uint8Array): void {
    this.unheld.push({ text: textOfEntry(entry), cause: this.cause });
  }

  confirm(): number {
    this.round += 1;
    this.asked.push({ round: this.round, cause: this.cause });
    return this.round;
  }

  medianMs({ wallMs }: Now): number {
    return wallMs;
  }

  silent(): number[] {
    return [];
  }

  isCaughtUp(): boolean {
    return true;
  }

  stepDown(): boolean {
    return false;
  }

  follow(term: number, leader: number | undefined): void {
    this.term = term;
    this.role = "follower";
    this.leader = leader;
    this.unheld = [];
    this.asked = [];
  }

  lead(term: number, entries: readonly string[]): void {
    this.term = term;
    this.role = "leader";
    this.leader = this.self;
    this.log = [...entries];
    this.commit = entries.length;
    this.round = 0;
    this.confirmed = 0;
  }

  hold(count: number): void {
    this.log.push(...this.unheld.splice(0, count).map(({ text }) => text));
    this.commit = this.log.length;
  }

  confirmUpTo(round: number): void {
    this.confirmed = round;
    this.asked = this.asked.filter((one) => one.round > round);
  }
}

interface OpenMember {
  $raft: AbstractRaft;
  readonly $circle: { look: () => void };
  readonly $reign: { readonly primary: OpenMachine } | undefined;
}

/** One of several masters: a real one, its agreement replaced. Checkers and mutants find in it what a primary has. */
export class AbstractMaster implements OpenMachine {
  readonly [field: string]: unknown;
  readonly member: MemberMachine;
  readonly raft: AbstractRaft;

  constructor(member: MemberMachine, roster: MasterRoster, name: string) {
    const self = roster.masters.find((master) => master.name === name)!.index;
    this.member = member;
    this.raft = new AbstractRaft(roster, self);
    const open = member as unknown as OpenMember;
    open.$raft = this.raft;
    open.$circle.look = () => {}; // it dials nobody
  }

  hello(): unknown {
    return this.member.hello();
  }

  due(): number | undefined {
    return this.member.due();
  }

  step(event: HeardEvent, now: Now): Effect[] {
    const saved = (): Effect[] => this.member.step({ type: "saved" }, now) as Effect[];
    const agreed = event as unknown as Agreed;
    switch (agreed.type) {
      case "leads": {
        this.raft.follow(agreed.term, undefined);
        const left = saved();
        this.raft.lead(agreed.term, agreed.entries);
        return [...left, ...saved()];
      }
      case "follows":
        this.raft.follow(agreed.term, this.raft.roster.masters[agreed.leader]!.index);
        return saved();
      case "held":
        this.raft.hold(agreed.count);
        return saved();
      case "confirmed":
        this.raft.confirmUpTo(agreed.round);
        return saved();
      default:
        this.raft.cause = `${event.type} ${event["conn"]} ${event["id"]}`;
        return this.member.step(event as never, now) as Effect[];
    }
  }

  get #primary(): OpenMachine | undefined {
    return (this.member as unknown as OpenMember).$reign?.primary;
  }

  get view(): unknown {
    return this.#primary?.["view"];
  }

  get $site(): unknown {
    return this.#primary?.["$site"];
  }

  get $storages(): unknown {
    return this.#primary?.["$storages"];
  }

  get $transactions(): unknown {
    return this.#primary?.["$transactions"];
  }

  get $admission(): unknown {
    return this.#primary?.["$admission"];
  }

  get $catchUp(): unknown {
    return this.#primary?.["$catchUp"];
  }

  get facts(): MemberFacts {
    const { raft } = this;
    return {
      leader: raft.roster.masters.findIndex(({ index }) => index === raft.leader),
      unheld: raft.unheld.map(({ text }) => text),
      asked: raft.asked.at(-1)?.round ?? 0,
    };
  }
}
