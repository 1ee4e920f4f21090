/**
 * People who change the configuration of a simulated cluster at the same time (T51, X3): they read it, and set what they have read
 * plus one if nobody was faster; they set without looking, take back, and roll back to an earlier revision. What each
 * attempt was and how it ended is kept for the checkers.
 */
import type { Setting } from "../../core/config_keys.ts";
import type { Answer, AskMessage } from "../../core/messages.ts";
import type { Command, CommandEnd } from "./operator.ts";
import type { SimRandom } from "./random.ts";
import type { World } from "./world.ts";

/** Ids of their commands: others count from lower ones. */
const FIRST_ID = 2_000_000;
/** Pauses between two things that one of them does. */
const PAUSE_MS_MIN = 5;
const PAUSE_MS_MAX = 600;
/** Changes that a seed asks for: fewer than the revisions that masters keep. */
const ATTEMPTS_MAX = 60;
/** Revisions that a rollback looks at. */
const LOOK_BACK = 10;

/** The key that they count with. */
const COUNTED = { scope: "cluster", key: "client.oidBatch" } as const;
const COUNTED_MAX = 1_000;
const LEVELS = ["debug", "info", "warning", "error"] as const;

/** Of one value; null: it is set no more. */
export type Change = Setting | { readonly scope: string; readonly key: string; readonly value: null };

/** A change that somebody asked for. Its reason is unique, so that it is found in the history. */
export interface Attempt {
  readonly reason: string;
  readonly base: number | null;
  readonly changes: readonly Change[];
  readonly begunMs: number;
  fate: "unknown" | "refused" | "acknowledged";
  endedMs: number;
  /** Of an acknowledged one. */
  revision: number;
}

/** What somebody has read. */
export interface ConfigRead {
  readonly revision: number;
  readonly settings: readonly Setting[];
}

/** What they need. */
export interface ConfigurerPorts {
  readonly world: World;
  readonly random: SimRandom;
  readonly names: readonly string[];
  /** Nodes, for which something of their own can be set. */
  readonly nodes: readonly string[];
  readonly call: (command: Command) => void;
}

/** Changes of one value each, by what was read. */
function drawChange(random: SimRandom, nodes: readonly string[], { settings }: ConfigRead): Change {
  const scopes = ["cluster", "role:storage", ...nodes.map((name) => `node:${name}`)];
  const setting = { scope: random.pick(scopes), key: "log.level" };
  const isSet = settings.some(({ scope, key }) => scope === setting.scope && key === setting.key);
  if (isSet && random.chance(0.4)) return { ...setting, value: null };
  return random.chance(0.3)
    ? { scope: "role:client", key: "client.readsInFlight", value: String(random.int(1, 60)) }
    : { ...setting, value: random.pick(LEVELS) };
}

/** One more than was read. */
function counted({ settings }: ConfigRead): Setting {
  const found = settings.find(({ scope, key }) => scope === COUNTED.scope && key === COUNTED.key);
  return { ...COUNTED, value: String(Number(found?.value ?? 100) % COUNTED_MAX + 1) };
}

/** What takes settings back to what they were before some revisions, newest first. */
function undone(
  { settings }: ConfigRead,
  revisions: Answer<"configHistory">["revisions"],
): Change[] {
  const before = new Map<string, Change>();
  for (const { changes } of revisions) {
    for (const { scope, key, before: value } of changes) before.set(`${scope} ${key}`, { scope, key, value });
  }
  return [...before.values()].filter(({ scope, key, value }) =>
    (settings.find((one) => one.scope === scope && one.key === key)?.value ?? null) !== value
  );
}

/** People at their terminals. */
export class Configurers {
  readonly attempts: Attempt[] = [];
  readonly reads: ConfigRead[] = [];
  /** Rollbacks that were asked for. */
  rollbacks = 0;
  readonly #ports: ConfigurerPorts;
  readonly #waiting = new Map<number, (end: CommandEnd) => void>();
  #ids = FIRST_ID;
  #isOn = false;

  constructor(ports: ConfigurerPorts) {
    this.#ports = ports;
  }

  begin(): void {
    this.#isOn = true;
    for (const name of this.#ports.names) this.#rest(name);
  }

  end(): void {
    this.#isOn = false;
  }

  /** What was done, by name. */
  get done(): { readonly [name: string]: number } {
    const acknowledged = this.attempts.filter(({ fate }) => fate === "acknowledged");
    return { changeConfig: acknowledged.length, rollback: this.rollbacks };
  }

  /** Whether nothing is under way. */
  get isIdle(): boolean {
    return this.#waiting.size === 0;
  }

  /** A command has ended. */
  ended(end: CommandEnd): void {
    const then = this.#waiting.get(end.id);
    this.#waiting.delete(end.id);
    then?.(end);
  }

  #rest(name: string): void {
    const { world, random } = this.#ports;
    world.after(random.between(PAUSE_MS_MIN, PAUSE_MS_MAX), () => {
      if (this.#isOn && this.attempts.length < ATTEMPTS_MAX) this.#read(name);
    });
  }

  #ask(message: AskMessage, then: (end: CommandEnd) => void): void {
    const id = ++this.#ids;
    this.#waiting.set(id, then);
    this.#ports.call({ type: "command", id, message });
  }

  #read(name: string): void {
    this.#ask({ name: "getConfig", body: { after: null } }, (end) => {
      if (!("answer" in end)) return this.#rest(name);
      const read = end.answer.body as Answer<"getConfig">;
      this.reads.push(read);
      const { random, nodes } = this.#ports;
      if (random.chance(0.15) && read.revision > 0) return this.#rollBack(name, read);
      const isBlind = random.chance(0.25);
      const changes: Change[] = isBlind ? [drawChange(random, nodes, read)] : [counted(read)];
      const value = random.pick(LEVELS);
      if (random.chance(0.3)) changes.push({ scope: "role:admin", key: "log.level", value });
      this.#change(name, isBlind ? null : read.revision, changes);
    });
  }

  /** Back to what was set before the last revisions, if nobody changes anything meanwhile. */
  #rollBack(name: string, read: ConfigRead): void {
    const count = this.#ports.random.int(1, LOOK_BACK);
    this.#ask({ name: "configHistory", body: { before: read.revision + 1, count } }, (end) => {
      if (!("answer" in end)) return this.#rest(name);
      const { revisions } = end.answer.body as Answer<"configHistory">;
      const changes = undone(read, revisions);
      // a primary that is none any more may have answered
      if (revisions[0]?.number !== read.revision || changes.length === 0) return this.#rest(name);
      this.rollbacks += 1;
      this.#change(name, read.revision, changes);
    });
  }

  #change(name: string, base: number | null, changes: readonly Change[]): void {
    const { world } = this.#ports;
    const reason = `${name} ${this.attempts.length}`;
    const begunMs = world.nowMs;
    const attempt: Attempt = {
      reason,
      base,
      changes,
      begunMs,
      fate: "unknown",
      endedMs: Infinity,
      revision: 0,
    };
    this.attempts.push(attempt);
    const body = { base, author: name, reason, changes };
    this.#ask({ name: "changeConfig", body }, (end) => {
      attempt.endedMs = world.nowMs;
      if ("answer" in end) {
        attempt.fate = "acknowledged";
        attempt.revision = (end.answer.body as Answer<"changeConfig">).revision;
      } else if (end.error.code === "denied") attempt.fate = "refused";
      this.#rest(name);
    });
  }
}
