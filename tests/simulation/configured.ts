/**
 * What must hold of the configuration (T51, X3): revisions are in order and none that was acknowledged is lost, nothing is set over
 * what somebody hasn't seen who said so, each node and client runs at each time what a revision says for it, none goes back, and all end
 * with the last one.
 */
import { effectiveSettings } from "../../core/config_keys.ts";
import type { ConfigRole, Setting } from "../../core/config_keys.ts";
import type { Answer } from "../../core/messages.ts";
import type { MemberMachine } from "../../roles/master/member.ts";
import { Metadata } from "../../roles/master/metadata.ts";
import type { KeptSettings } from "../../roles/settings.ts";
import type { Cluster } from "./cluster.ts";
import type { Attempt, ConfigRead } from "./configurers.ts";
import type { Step } from "./trace.ts";

type Revision = Answer<"configHistory">["revisions"][number];

const ROLES: { readonly [letter: string]: ConfigRole } = {
  m: "master",
  s: "storage",
  c: "client",
  a: "admin",
};

/** What a node has taken. */
interface Taken extends KeptSettings {
  readonly node: string;
  readonly atMs: number;
}

/** Looks at what nodes take. */
export class Configured {
  readonly #cluster: Cluster;
  readonly #all: Taken[] = [];
  /** By node: the process, and what it has. */
  readonly #last = new Map<string, Taken & { readonly start: number }>();
  readonly breaches: string[] = [];
  /** What was held when that was looked at last. */
  #held: { readonly commit: number; readonly metadata: Metadata } | undefined;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** A node has made a step. */
  see({ node, effects }: Step): void {
    for (const effect of effects) {
      if (effect.do === "output") {
        const { settings } = effect.output as { readonly settings?: KeptSettings };
        if (settings !== undefined) this.#take(node, settings);
      } else if (effect.do === "tell" && effect.message.name === "configured" && node.startsWith("c")) {
        const client = this.#cluster.clients.find(({ name }) => name === node);
        const { configured } = (client?.node.machine ?? {}) as { readonly configured?: KeptSettings };
        if (configured !== undefined) this.#take(node, configured);
      }
    }
  }

  #take(node: string, { revision, values }: KeptSettings): void {
    const { nodes, world } = this.#cluster;
    const start = nodes.find(({ name }) => name === node)?.starts ?? 0;
    const last = this.#last.get(node);
    // a client keeps nothing for its next process, and a master begins with what its snapshot says
    const isKept = ROLES[node[0]!] === "storage" || ROLES[node[0]!] === "admin";
    if (last && revision < last.revision && (last.start === start || isKept)) {
      this.breaches.push(`${node} goes back from revision ${last.revision} to ${revision}`);
    }
    const taken = { node, revision, values, atMs: world.nowMs, start };
    this.#last.set(node, taken);
    this.#all.push(taken);
  }

  /** Those who are there and don't run the newest revision. */
  remains(): string[] {
    const { masters, storages, clients, admin, indexes } = this.#cluster;
    const newest = Math.max(0, ...masters.map(({ name }) => this.#last.get(name)?.revision ?? 0));
    const masterNames = new Set(masters.map(({ name }) => name));
    const members = new Set(this.#metadata?.roster.masters.map(({ name }) => name));
    const wanted = [
      ...masters.filter(({ name }) => members.has(name)),
      ...storages.filter(({ name }) => indexes.has(name)),
      ...clients.map(({ node }) => node),
      admin,
    ];
    return wanted.flatMap(({ name, starts }) => {
      const last = this.#last.get(name);
      const hasNone = last === undefined || last.start !== starts;
      const has = hasNone ? (masterNames.has(name) ? 0 : undefined) : last.revision;
      return has === newest ? [] : [`${name} runs revision ${has ?? "none"}, not ${newest}`];
    });
  }

  /** What the masters hold; an image is made only when there is more of it. */
  get #metadata(): Metadata | undefined {
    const machines = this.#cluster.masters.flatMap(({ machine }) =>
      (machine as Partial<MemberMachine>) ?? []
    );
    const [newest] = machines.sort((a, b) => (b.part?.commit ?? 0) - (a.part?.commit ?? 0));
    const commit = newest?.part?.commit;
    if (commit !== undefined && commit !== this.#held?.commit) {
      const { held } = newest as MemberMachine;
      if (held) this.#held = { commit, metadata: Metadata.ofImage(held.image) };
    }
    return this.#held?.metadata;
  }

  /** What is wrong in the end. */
  verdict(attempts: readonly Attempt[], reads: readonly ConfigRead[]): string[] {
    const { settings } = this.#metadata!;
    const all = [...this.breaches, ...historyBreaches(settings.revisions, attempts)];
    const made = settingsBy(settings.revisions);
    if (shown(made.at(-1)!) !== shown(settings.settings)) {
      all.push("what is configured isn't what its revisions make of it");
    }
    for (const { revision, settings } of reads) {
      const is = made[revision];
      if (is === undefined || shown(is) !== shown(settings)) {
        all.push(`revision ${revision} was read as [${shown(settings)}], not [${is && shown(is)}]`);
      }
    }
    for (const { node, revision, values } of this.#all) {
      const wanted = effectiveSettings(made[revision] ?? [], { role: ROLES[node[0]!]!, name: node });
      const [has, should] = [shownValues(Object.entries(values)), shownValues([...wanted])];
      if (has !== should) all.push(`${node} runs revision ${revision} with [${has}], not [${should}]`);
    }
    return all;
  }
}

/** What attempts and the history say of each other. */
function historyBreaches(revisions: readonly Revision[], attempts: readonly Attempt[]): string[] {
  const all: string[] = [];
  const found = new Map<string, number>();
  for (const [i, { number, reason }] of revisions.entries()) {
    if (number !== i + 1) all.push(`revision ${number} stands at place ${i + 1} of the history`);
    if (found.has(reason)) all.push(`the change "${reason}" was made twice`);
    found.set(reason, number);
  }
  for (const { reason, fate, revision, base } of attempts) {
    const is = found.get(reason);
    if (fate === "refused" && is !== undefined) all.push(`the change "${reason}" was refused, and is there`);
    if (fate === "acknowledged" && is !== revision) {
      all.push(`the change "${reason}" was acknowledged as revision ${revision}, and is ${is ?? "lost"}`);
    }
    if (is !== undefined && base !== null && is !== base + 1) {
      all.push(`the change "${reason}" of revision ${base} is revision ${is}: one between is overwritten`);
    }
  }
  for (const earlier of attempts) {
    for (const later of attempts) {
      const [first, second] = [found.get(earlier.reason), found.get(later.reason)];
      if (earlier.fate !== "acknowledged" || earlier.endedMs >= later.begunMs) continue;
      if (second !== undefined && first !== undefined && second < first) {
        all.push(`the change "${later.reason}" came behind "${earlier.reason}", and stands before it`);
      }
    }
  }
  return all;
}

/** What is set at each revision, 0 and up. */
function settingsBy(revisions: readonly Revision[]): (readonly Setting[])[] {
  const now = new Map<string, Setting>();
  const all: (readonly Setting[])[] = [[]];
  for (const { changes } of revisions) {
    for (const { scope, key, after } of changes) {
      if (after === null) now.delete(`${scope} ${key}`);
      else now.set(`${scope} ${key}`, { scope, key, value: after });
    }
    all.push([...now.values()]);
  }
  return all;
}

function shown(settings: readonly Setting[]): string {
  return settings.map(({ scope, key, value }) => `${scope} ${key}=${value}`).sort().join(", ");
}

function shownValues(values: readonly (readonly [string, string])[]): string {
  return values.map(([key, value]) => `${key}=${value}`).sort().join(", ");
}
