/** Which of the named situations a seed has met. */
import type { Step } from "../trace.ts";
import { agreementPoints } from "./agreement.ts";
import { commitPoints } from "./commit.ts";
import { configurationPoints } from "./configuration.ts";
import { contentionPoints } from "./contention.ts";
import { packingPoints } from "./packing.ts";
import { effectKey, eventKey } from "./point.ts";
import type { Point, Seen } from "./point.ts";
import { readingPoints } from "./reading.ts";
import { recoveryPoints } from "./recovery.ts";
import { replicationPoints } from "./replication.ts";
import { View } from "./view.ts";
import type { Happened } from "./view.ts";

/** All points. */
export const allPoints: readonly Point[] = [
  ...agreementPoints,
  ...commitPoints,
  ...configurationPoints,
  ...contentionPoints,
  ...packingPoints,
  ...readingPoints,
  ...recoveryPoints,
  ...replicationPoints,
];

const roles: { readonly [letter: string]: string } = { m: "master", s: "storage", c: "client" };

const byKey = new Map<string, Point[]>();
for (const point of allPoints) {
  const some = byKey.get(point.on);
  if (some) some.push(point);
  else byKey.set(point.on, [point]);
}

/** Looks at all steps of a seed. */
export class Points {
  readonly #reached = new Set<Point>();
  readonly #view = new View();

  /** Names of the points that were reached. */
  get reached(): readonly string[] {
    return [...this.#reached].map(({ name }) => name);
  }

  see(step: Step): void {
    const role = roles[step.node[0]!];
    if (role === undefined) return;
    const seen: Seen = {
      node: this.#view.of(step.node),
      view: this.#view,
      event: step.event as Happened,
      effects: step.effects,
    };
    this.#look(eventKey(role, seen.event), seen, seen.event);
    for (const effect of step.effects) this.#look(effectKey(role, effect), seen, effect);
    this.#view.after(step);
  }

  #look(key: string, seen: Seen, what: Parameters<Point["seen"]>[1]): void {
    for (const point of byKey.get(key) ?? []) {
      if (!this.#reached.has(point) && point.seen(seen, what)) this.#reached.add(point);
    }
  }
}

/** The names of all points. */
export const POINT_NAMES: readonly string[] = allPoints.map(({ name }) => name);
