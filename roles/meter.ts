/**
 * Counts what a node does, from the outside of its machine: events that went in, effects that came out, rounds. A host that
 * is given one tells it; machines know nothing of it.
 */
import type { Conn } from "../core/ids.ts";
import { ROUND_BOUNDS_S } from "../core/limits.ts";
import type { Effect } from "../core/machine.ts";
import { Histogram, metric, metrics } from "../core/metrics.ts";
import type { MetricFamily } from "../core/metrics.ts";

/** What a meter looks at of an event. */
export interface MeteredEvent {
  readonly type: string;
  readonly conn?: Conn;
  readonly message?: { readonly name: string };
}

/** Counters of one node. */
export class Meter {
  #rounds = new Histogram(ROUND_BOUNDS_S);
  #queue = 0;
  #connections = new Set<Conn>();
  #asked = new Map<string, number>();
  #told = new Map<string, number>();
  #refused = new Map<string, number>();
  #logged = new Map<string, number>();
  #saves = 0;
  #commits = 0;
  #conflicts = 0;

  /** A round is over; `waiting` events have come meanwhile. */
  round({ durationMs, waiting }: { readonly durationMs: number; readonly waiting: number }): void {
    this.#rounds.add(durationMs / 1_000);
    this.#queue = waiting;
  }

  /** An event goes into the machine. */
  event({ type, conn, message }: MeteredEvent): void {
    if (type === "identified" && conn !== undefined) this.#connections.add(conn);
    else if (type === "lost" && conn !== undefined) this.#connections.delete(conn);
    else if (type === "asked" && message) count(this.#asked, message.name);
    else if (type === "told" && message) count(this.#told, message.name);
  }

  /** The machine wants something done. */
  effect(effect: Effect): void {
    if (effect.do === "save") this.#saves += 1;
    else if (effect.do === "log") count(this.#logged, effect.level);
    else if (effect.do === "answer" && effect.message.name === "finish") this.#commits += 1;
    else if (effect.do === "refuse") {
      count(this.#refused, effect.error.code);
      if (effect.error.code === "conflict") this.#conflicts += 1;
    }
  }

  /** Everything that it has counted. */
  families(): MetricFamily[] {
    const by = (label: string, values: Map<string, number>) => ({ label, values });
    return [
      this.#rounds.family("neo_round_seconds", "Time of the node's rounds, with their saves"),
      metric("gauge", "neo_queue_events", "Events that waited when the last round was over", this.#queue),
      metric("gauge", "neo_connections", "Peers that are connected", this.#connections.size),
      metric("counter", "neo_saves_total", "Writes to the node's database", this.#saves),
      metric("counter", "neo_commits_total", "Commits that this node has answered as primary", this.#commits),
      metric(
        "counter",
        "neo_conflicts_total",
        "Votes that this node answered with conflicts",
        this.#conflicts,
      ),
      metrics("counter", "neo_questions_total", "Questions of peers, by message", by("message", this.#asked)),
      metrics(
        "counter",
        "neo_notices_total",
        "Notifications of peers, by message",
        by("message", this.#told),
      ),
      metrics("counter", "neo_refusals_total", "Refused questions, by error code", by("code", this.#refused)),
      metrics(
        "counter",
        "neo_log_lines_total",
        "Lines of the role's log, by level",
        by("level", this.#logged),
      ),
    ];
  }
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
