/**
 * Makes nodes fail while clients work: about every second it draws whether, whom and how. It never takes more at a time than
 * the cluster can do without; a node counts as failing until its process runs and its primary says so.
 */
import { appendFileSync } from "node:fs";
import { SystemClock } from "../../adapters/system.ts";
import { monoMs, pause } from "../../cli/wait.ts";
import type { NodeIndex } from "../../core/ids.ts";
import type { Client } from "../../mod.ts";
import type { SimRandom } from "../simulation/random.ts";
import { candidatesFor, faultKinds, faults, whyNot } from "./faults.ts";
import type { FaultKind, FaultSite } from "./faults.ts";
import type { SoakCluster } from "./soak_cluster.ts";
import { mayFail } from "./victims.ts";
import type { Knowledge } from "./victims.ts";

/** How often it draws. */
const DRAW_MS = 1_000;
/** The chance of each draw is itself drawn, from here to there. */
const CHANCE_MIN = 0.1;
const CHANCE_MAX = 0.6;
/** Chance that a second node fails at the same moment. */
const SECOND_CHANCE = 0.3;
/** A node is back within this time after its fault is undone, or something is wrong. */
const BACK_MS_MAX = 120_000;
/** How often is looked whether it is. */
const LOOK_MS = 1_000;
/** It is back when that was seen this often in a row: a loss may be noticed late. */
const SEEN_TIMES = 2;

/** What it works with. */
export interface NemesisOptions {
  readonly cluster: SoakCluster;
  /** Knows the table. */
  readonly client: Client;
  readonly random: SimRandom;
  readonly clients: readonly string[];
  readonly faultMsMax: number;
  /** Kinds that may happen; all that the machine allows, unless told. */
  readonly kinds?: readonly FaultKind[];
  /** Where each fault is written down. */
  readonly journal: string;
  /** Hears of each fault. */
  readonly say: (line: string) => void;
}

/** Runs from `run` to `heal`. */
export class Nemesis {
  readonly counts = new Map<FaultKind, number>();
  readonly breaches: string[] = [];
  /** Kinds that this machine doesn't allow, with the reason. */
  readonly skipped: readonly string[];
  /** The chance of each draw. */
  readonly chance: number;
  readonly #options: NemesisOptions;
  readonly #kinds: readonly FaultKind[];
  readonly #failing = new Map<string, Promise<void>>();
  readonly #waits = new Set<() => void>();
  readonly #beganMs = monoMs();
  #healing = false;
  #number = 0;

  constructor(options: NemesisOptions) {
    this.#options = options;
    this.chance = options.random.between(CHANCE_MIN, CHANCE_MAX);
    const wanted = options.kinds ?? faultKinds;
    this.#kinds = wanted.filter((kind) => whyNot(kind, options.cluster) === undefined);
    this.skipped = wanted.flatMap((kind) => {
      const why = whyNot(kind, options.cluster);
      return why === undefined ? [] : [`${kind}: ${why}`];
    });
  }

  /** Makes nodes fail for a time, or until `heal`. */
  async run(ms: number): Promise<void> {
    const endMs = monoMs() + ms;
    while (!this.#healing && monoMs() < endMs) {
      await this.#wait(DRAW_MS);
      this.#lookForCrashes();
      const { random } = this.#options;
      if (this.#healing || !random.chance(this.chance)) continue;
      const count = random.chance(SECOND_CHANCE) ? 2 : 1;
      await this.#strike(Array.from({ length: count }, () => random.pick(this.#kinds)));
    }
  }

  /** Does each kind once, to one node at a time, and all of that `rounds` times, or until `heal`. */
  async runEach(rounds: number): Promise<void> {
    for (const kind of Array.from({ length: rounds }, () => this.#kinds).flat()) {
      while (!this.#healing && !await this.#strike([kind])) await this.#wait(DRAW_MS);
      await Promise.all(this.#failing.values());
    }
  }

  /** Undoes everything, and waits until it is undone. */
  async heal(): Promise<void> {
    this.#healing = true;
    for (const wake of this.#waits) wake();
    await Promise.all(this.#failing.values());
    this.#options.cluster.network.heal();
  }

  /** Does these kinds to one node each, of those that may fail now; gives whether there was one. */
  async #strike(kinds: readonly FaultKind[]): Promise<boolean> {
    const { random, cluster } = this.#options;
    const known = await this.#knowledge();
    if (known === undefined || this.#healing) return false;
    const failing = new Set(known.failing);
    for (const kind of kinds) {
      const possible = candidatesFor(kind, cluster).filter((name) => mayFail(name, { ...known, failing }));
      if (possible.length === 0) continue;
      const node = random.pick(possible);
      failing.add(node);
      this.#begin(kind, node);
    }
    return failing.size > known.failing.size;
  }

  /** Undefined when the cluster can't be asked now, or says what this client hasn't heard yet. */
  async #knowledge(): Promise<Knowledge | undefined> {
    const { cluster, client } = this.#options;
    const status = await cluster.status();
    const { table, nodes } = await client.view();
    if (status?.state !== "running" || status.tableVersion !== table.version) return undefined;
    const away = status.nodes.filter(({ role, state }) => role !== "admin" && state !== "running");
    return {
      table,
      storages: new Map(nodes.map(({ name, index }) => [name, index as NodeIndex])),
      masters: cluster.nodes("master").map(({ name }) => name),
      failing: new Set([...this.#failing.keys(), ...away.map(({ name }) => name)]),
    };
  }

  #begin(kind: FaultKind, node: string): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    this.#note(kind, node, "begins");
    const { cluster, random, clients, faultMsMax } = this.#options;
    const site: FaultSite = {
      cluster,
      random: random.fork(`${++this.#number}`),
      clients,
      faultMsMax,
      wait: (ms) => this.#wait(ms),
      note: (what) => this.#note(kind, node, what),
    };
    const over = faults[kind](site, node)
      .then(() => this.#back(kind, node))
      .catch((error: unknown) => {
        this.breaches.push(`${kind} of ${node}: ${error instanceof Error ? error.message : error}`);
      })
      .finally(() => this.#failing.delete(node));
    this.#failing.set(node, over);
  }

  /** Waits until a node is there again, as its cluster sees it. */
  async #back(kind: FaultKind, node: string): Promise<void> {
    const { cluster } = this.#options;
    const endMs = monoMs() + BACK_MS_MAX;
    for (let seen = 0; seen < SEEN_TIMES;) {
      const status = await cluster.status();
      const found = status?.nodes.find(({ name }) => name === node);
      const isBack = status?.state === "running" && found?.state === "running";
      seen = isBack ? seen + 1 : 0;
      if (monoMs() > endMs) {
        throw new Error(
          `it isn't back ${
            BACK_MS_MAX / 1_000
          } s later; it is ${found?.state}, the cluster is ${status?.state}: ${status?.problems.join("; ")}`,
        );
      }
      if (seen < SEEN_TIMES) await pause(LOOK_MS);
    }
    this.#note(kind, node, "is over");
  }

  /** A node that nobody has killed has no reason to end. */
  #lookForCrashes(): void {
    const { cluster } = this.#options;
    for (const node of cluster.nodes()) {
      if (this.#failing.has(node.name) || cluster.pid(node.name) !== undefined) continue;
      this.breaches.push(`${node.name} ended by itself: ${cluster.lastLog(node.name)}`);
      this.#failing.set(
        node.name,
        cluster.startOrThrow(node.name)
          .catch((error: unknown) => void this.breaches.push(`${node.name} doesn't start again: ${error}`))
          .finally(() => this.#failing.delete(node.name)),
      );
    }
  }

  #note(kind: FaultKind, node: string, what: string): void {
    const atMs = Math.round(monoMs() - this.#beganMs);
    appendFileSync(
      this.#options.journal,
      `${JSON.stringify({ at: new Date().toISOString(), atMs, kind, node, what })}\n`,
    );
    this.#options.say(`${(atMs / 1_000).toFixed(1).padStart(7)} s  ${node} ${kind}: ${what}`);
  }

  #wait(ms: number): Promise<void> {
    if (this.#healing) return Promise.resolve();
    const clock = new SystemClock({ keepsProcess: true });
    return new Promise((resolve) => {
      const wake = () => {
        this.#waits.delete(wake);
        clock.wakeAt(undefined, () => {});
        resolve();
      };
      this.#waits.add(wake);
      clock.wakeAt(clock.now().monoMs + ms, wake);
    });
  }
}
