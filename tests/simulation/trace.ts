/** What happened: a hash of everything, and the last lines for the person who looks at a failure. */
import type { Effect } from "../../core/machine.ts";
import type { World } from "./world.ts";

/** A step of a machine. */
export interface Step {
  readonly node: string;
  readonly event: { readonly type: string };
  readonly effects: readonly Effect[];
}

type Entry =
  & { readonly atMs: number; readonly node: string }
  & (
    | { readonly text: string }
    | { readonly event: unknown; readonly effects: readonly Effect[] }
  );

/** A short name of an effect: `save lock`, `ask finish`, `tell unlock`, `answer vote`, `read latest`. */
export function labelOf(effect: Effect): string {
  switch (effect.do) {
    case "save":
      return `save ${(effect.write as { op?: string }).op}`;
    case "read":
      return `read ${(effect.query as { read?: string }).read}`;
    case "ask":
    case "tell":
    case "answer":
      return `${effect.do} ${effect.message.name}`;
    default:
      return effect.do;
  }
}

/** Prints anything on one line. */
export function show(value: unknown, lengthMax = 400): string {
  const text = JSON.stringify(value, (_, value: unknown) => {
    if (typeof value === "bigint") return `${value}n`;
    if (value instanceof Uint8Array) return `<${value.length}>`;
    if (value instanceof Error) return `${value.name}: ${value.message}`;
    return value;
  }) ?? String(value);
  return text.length <= lengthMax ? text : `${text.slice(0, lengthMax)}...`;
}

/** Takes note of all that happens. */
export class Trace {
  /** Called with each step, for checkers. */
  watch: (step: Step) => void = () => {};
  readonly #world: World;
  readonly #linesMax: number;
  #entries: Entry[] = [];

  /** `linesMax`: steps that are kept to be printed. */
  constructor(world: World, linesMax: number) {
    this.#world = world;
    this.#linesMax = linesMax;
  }

  /** Something that the simulator did. */
  line(node: string, text: string): void {
    this.#world.noteText(node);
    this.#world.noteText(text);
    this.#add({ atMs: this.#world.nowMs, node, text: `** ${text}` });
  }

  /** A log line of a node. */
  log(node: string, level: string, text: string): void {
    this.#add({ atMs: this.#world.nowMs, node, text: `${level}: ${text}` });
  }

  /** A step of a machine. */
  step(node: string, event: { readonly type: string }, effects: readonly Effect[]): void {
    const world = this.#world;
    world.noteText(node);
    world.noteText(event.type);
    for (const effect of effects) world.noteText(labelOf(effect));
    this.#add({ atMs: world.nowMs, node, event, effects });
    this.watch({ node, event, effects });
  }

  /** The last lines. */
  print(): string[] {
    return this.#entries.slice(-this.#linesMax).flatMap((entry) => {
      const head = `${entry.atMs.toFixed(2).padStart(10)} ${entry.node.padEnd(4)}`;
      if ("text" in entry) return [`${head} ${entry.text}`];
      const effects = entry.effects.filter((effect) => effect.do !== "log");
      return [`${head} < ${show(entry.event)}`, ...effects.map((effect) => `${head} > ${show(effect)}`)];
    });
  }

  #add(entry: Entry): void {
    this.#entries.push(entry);
    if (this.#entries.length > 2 * this.#linesMax) this.#entries = this.#entries.slice(-this.#linesMax);
  }
}
