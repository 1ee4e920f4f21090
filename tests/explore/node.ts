/**
 * One node of a world: its states by number, and how one leads to another. A machine is a function of its state and of what it
 * hears, so each (state, events) is run once on the real machine, and remembered.
 *
 * A round here is a round of `roles/host.ts`: events, saves, `saved`, reads, and only then what is said. A crash may come
 * after each save of a round: then nothing of it is said.
 */
import { createHash } from "node:crypto";
import type { Effect, Now } from "../../core/machine.ts";
import { factsOf } from "./facts.ts";
import type { Facts } from "./facts.ts";
import { Images } from "./snapshot.ts";
import type { Image } from "./snapshot.ts";
import type { HeardEvent, Mutant, Process } from "./spec.ts";

/** The one moment at which everything happens; waits end by `due` only. */
export const NOW: Now = { monoMs: 1_000, wallMs: 1_700_000_000_000 };

/** What a node hears, and a key that tells it from everything else that it could hear. */
export interface Input {
  readonly key: string;
  readonly event: HeardEvent;
}

/** What came of a round. */
export interface Outcome {
  readonly state: number;
  readonly effects: readonly Effect[];
  /** How often the round saved: after each it may have crashed. */
  readonly saves: number;
  /** A mistake that the machine found itself, or its disk. */
  readonly breach: string | undefined;
}

interface LocalState {
  readonly image: Image;
  readonly facts: Facts;
  readonly dueMs: number | undefined;
  readonly unflushed: number;
  /** What it says to those who connect to it. */
  readonly hello: unknown;
}

/** What builds the machine of a node. */
export type Boot = (process: Process) => void;

/** A node, and all states of it that were seen. */
export class Node {
  readonly name: string;
  readonly role: Process["role"];
  /** Rounds that were run on the real machine. */
  rounds = 0;
  readonly #process: Process;
  readonly #boot: Boot;
  #mutant: Mutant | undefined;
  readonly #oids: readonly bigint[];
  readonly #images = new Images();
  readonly #states: LocalState[] = [];
  readonly #ids = new Map<string, number>();
  readonly #outcomes = new Map<string, Outcome>();
  #current = -1; // the state that the process is in, -1: another

  constructor(process: Process, options: { boot: Boot; oids: readonly bigint[] }) {
    this.name = process.name;
    this.role = process.role;
    this.#process = process;
    this.#boot = options.boot;
    this.#oids = options.oids;
  }

  /** From here on it is a mutant. */
  break(mutant: Mutant | undefined): void {
    this.#mutant = mutant;
    this.#outcomes.clear();
  }

  /** Its state before its first start. */
  first(): number {
    return this.#note();
  }

  /** How many states of it were seen. */
  get seen(): number {
    return this.#states.length;
  }

  facts(state: number): Facts {
    return this.#states[state]!.facts;
  }

  /** What it says to those who connect to it, in this process. */
  hello(state: number): unknown {
    return this.#states[state]!.hello;
  }

  /** When it wants `due`, if ever. */
  dueMs(state: number): number | undefined {
    return this.#states[state]!.dueMs;
  }

  /** Rounds on its disk that a crash may lose. */
  unflushed(state: number): number {
    return this.#states[state]!.unflushed;
  }

  /** Its process starts. */
  boot(state: number): Outcome {
    return this.#once(state, "boot", () => {
      this.#boot(this.#process);
      return this.#round([{ type: "opened" }], NOW, Infinity);
    });
  }

  /** Its process ends; of what wasn't flushed the first `kept` rounds stay. */
  crash(state: number, kept: number): number {
    return this.#once(state, `crash ${kept}`, () => {
      this.#end(kept);
      return { effects: [], saves: 0, breach: undefined };
    }).state;
  }

  /** It hears something. */
  hear(state: number, inputs: readonly Input[]): Outcome {
    const key = inputs.map((input) => input.key).join(";");
    return this.#once(state, key, () => this.#round(inputs.map(({ event }) => event), NOW, Infinity));
  }

  /** It hears something, and crashes after its `saves`th save. */
  hearAndCrash(state: number, inputs: readonly Input[], saves: number, kept: number): number {
    const key = `${inputs.map((input) => input.key).join(";")} crash ${saves} ${kept}`;
    return this.#once(state, key, () => {
      this.#round(inputs.map(({ event }) => event), NOW, saves);
      this.#end(Math.min(kept, this.#process.disk!.unflushed));
      return { effects: [], saves: 0, breach: undefined };
    }).state;
  }

  /** What it waited for is over. */
  due(state: number): Outcome {
    const monoMs = Math.max(this.dueMs(state)!, NOW.monoMs);
    return this.#once(state, "due", () => this.#round([{ type: "due" }], { ...NOW, monoMs }, Infinity));
  }

  #end(kept: number): void {
    const { disk } = this.#process;
    disk?.crash(kept);
    this.#process.machine = undefined;
    this.#process.store = undefined;
    this.#process.hello = undefined;
    this.#process.unlocked = 0n;
    this.#process.notes = [];
  }

  #once(state: number, key: string, run: () => Omit<Outcome, "state">): Outcome {
    const full = `${state} ${key}`;
    const known = this.#outcomes.get(full);
    if (known) return known;
    if (this.#current !== state) this.#images.restore(this.#states[state]!.image);
    this.#current = -1;
    const done = run();
    this.rounds += 1;
    const outcome = { ...done, state: this.#note() };
    this.#outcomes.set(full, outcome);
    return outcome;
  }

  /** The number of the state that the process is in. */
  #note(): number {
    const { image, print } = this.#images.take(this.#process);
    const hash = createHash("md5").update(print).digest("base64");
    let id = this.#ids.get(hash);
    if (id === undefined) {
      const { machine, disk } = this.#process;
      const dueMs = machine?.due();
      const facts = factsOf(this.#process, this.#oids);
      id = this.#states.push({
        image,
        facts,
        dueMs: dueMs === Infinity ? undefined : dueMs,
        unflushed: disk?.unflushed ?? 0,
        hello: this.#process.hello,
      }) - 1;
      this.#ids.set(hash, id);
    }
    // an equal state may be made of other objects: the next round then begins with those of its image
    this.#current = this.#states[id]!.image === image ? id : -1;
    return id;
  }

  #round(events: readonly HeardEvent[], now: Now, savesMax: number): Omit<Outcome, "state"> {
    const said: Effect[] = [];
    const turned = new Set<unknown>();
    const round = { saves: 0, breach: undefined as string | undefined };
    let open: Effect[] = [];
    try {
      for (const event of events) {
        if ((event.type === "asked" || event.type === "told") && turned.has(event["conn"])) continue;
        const effects = this.#step(event, now);
        for (const one of effects) if (one.do === "reject" || one.do === "close") turned.add(one.conn);
        open.push(...effects);
      }
      while (open.length > 0) {
        const saves = open.filter((effect) => effect.do === "save");
        const reads = open.filter((effect) => effect.do === "read");
        said.push(...open.filter(({ do: what }) => what !== "save" && what !== "read"));
        open = [];
        if (saves.length > 0) {
          this.#save(saves);
          round.saves += 1;
          if (round.saves === savesMax) break;
          open.push(...this.#step({ type: "saved" }, now));
          if (open.some((effect) => effect.do === "save")) {
            open.push(...reads);
            continue;
          }
        }
        for (const { query, context } of reads) {
          const result = this.#process.store!.read(query);
          open.push(...this.#step({ type: "read", context, result }, now));
        }
      }
    } catch (error) {
      round.breach = `${this.name} can't go on: ${(error as Error).message}`;
    }
    return { effects: said, ...round };
  }

  #step(event: HeardEvent, now: Now): Effect[] {
    const process = this.#process;
    const heard = this.#mutant?.hear?.(event, process) ?? [event];
    return heard.flatMap((one) => {
      const effects = process.machine!.step(one, now);
      return [...this.#mutant?.act?.(effects, process) ?? effects];
    });
  }

  #save(saves: readonly Extract<Effect, { do: "save" }>[]): void {
    const process = this.#process;
    const round = {
      writes: saves.map(({ write }) => write as never),
      durable: saves.some((one) => one.durable),
    };
    const { writes, durable } = this.#mutant?.save?.(round, process) ?? round;
    process.store!.apply(writes, { durable });
    for (const write of writes) {
      if (!("op" in write) || write.op !== "unlock") continue;
      if (write.tid <= process.unlocked) {
        throw new Error(`tid ${write.tid} is unlocked after ${process.unlocked}`);
      }
      process.unlocked = write.tid;
    }
  }
}
