/**
 * Figures of a node as Prometheus reads them: families with a name, a help text and a type, and samples with labels. Names
 * end with their unit, counters with `_total`.
 */

/** One value. `suffix` is that of a histogram's parts: `_bucket`, `_sum`, `_count`. */
export interface Sample {
  readonly value: number;
  readonly labels?: { readonly [name: string]: string };
  readonly suffix?: "_bucket" | "_sum" | "_count";
}

/** Values of one kind. */
export interface MetricFamily {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly samples: readonly Sample[];
}

/** A family with one value and no labels. */
export function metric(
  type: "counter" | "gauge",
  name: string,
  help: string,
  value: number,
): MetricFamily {
  return { name, help, type, samples: [{ value }] };
}

/** A family with a value for each value of one label. */
export function metrics(
  type: "counter" | "gauge",
  name: string,
  help: string,
  { label, values }: { readonly label: string; readonly values: Iterable<readonly [string, number]> },
): MetricFamily {
  return {
    name,
    help,
    type,
    samples: [...values].map(([text, value]) => ({ value, labels: { [label]: text } })),
  };
}

/**
 * The text format 0.0.4 of Prometheus.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { formatMetrics, metric } from "./metrics.ts";
 * const text = formatMetrics([metric("gauge", "neo_epoch", "The epoch", 7)]);
 * assert.equal(text, "# HELP neo_epoch The epoch\n# TYPE neo_epoch gauge\nneo_epoch 7\n");
 * ```
 */
export function formatMetrics(families: readonly MetricFamily[]): string {
  const lines: string[] = [];
  for (const { name, help, type, samples } of families) {
    if (samples.length === 0) continue;
    lines.push(`# HELP ${name} ${escaped(help)}`, `# TYPE ${name} ${type}`);
    for (const { value, labels = {}, suffix = "" } of samples) {
      const pairs = Object.entries(labels).map(([key, text]) =>
        `${key}="${escaped(text).replaceAll('"', '\\"')}"`
      );
      const set = pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
      lines.push(`${name}${suffix}${set} ${number(value)}`);
    }
  }
  return lines.map((line) => `${line}\n`).join("");
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function number(value: number): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}

/** Counts values by upper bounds. */
export class Histogram {
  #bounds: readonly number[];
  #counts: number[];
  #sum = 0;

  /** `bounds` rise. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  add(value: number): void {
    const at = this.#bounds.findIndex((bound) => value <= bound);
    this.#counts[at < 0 ? this.#bounds.length : at]! += 1;
    this.#sum += value;
  }

  /** What it has counted; each bucket counts those below it too. */
  family(name: string, help: string): MetricFamily {
    let count = 0;
    const buckets = [...this.#bounds, Infinity].map((bound, i): Sample => {
      count += this.#counts[i]!;
      return { suffix: "_bucket", labels: { le: number(bound) }, value: count };
    });
    const totals: Sample[] = [{ suffix: "_sum", value: this.#sum }, { suffix: "_count", value: count }];
    return { name, help, type: "histogram", samples: [...buckets, ...totals] };
  }
}
