import assert from "node:assert/strict";
import { test } from "node:test";
import type { Conn } from "../core/ids.ts";
import { answer, refuse } from "../core/machine.ts";
import { formatMetrics, Histogram } from "../core/metrics.ts";
import { Meter } from "./meter.ts";

const to = { conn: 1 as Conn, id: 1 };

test("Meter: counts connections, questions, commits, conflicts and rounds (P7)", () => {
  const meter = new Meter();
  meter.event({ type: "identified", conn: 1 as Conn });
  meter.event({ type: "identified", conn: 2 as Conn });
  meter.event({ type: "lost", conn: 2 as Conn });
  meter.event({ type: "lost", conn: 9 as Conn }); // a connection that never came about
  meter.event({ type: "asked", conn: 1 as Conn, message: { name: "finish" } });
  meter.event({ type: "told", conn: 1 as Conn, message: { name: "abort" } });
  meter.effect(answer(to, "finish", { tid: 1n } as never));
  meter.effect(answer(to, "sync", { lastTid: 1n, wallMs: 0 } as never));
  meter.effect(refuse(to, { code: "conflict", message: "", detail: { conflicts: [] } }));
  meter.effect(refuse(to, { code: "noSpace", message: "" }));
  meter.effect({ do: "log", module: "node", level: "warning", text: "" });
  meter.round({ durationMs: 2, waiting: 3 });
  const text = formatMetrics(meter.families());
  const expected = [
    "neo_connections 1",
    'neo_questions_total{message="finish"} 1',
    'neo_notices_total{message="abort"} 1',
    "neo_commits_total 1",
    "neo_conflicts_total 1",
    'neo_refusals_total{code="conflict"} 1',
    'neo_refusals_total{code="noSpace"} 1',
    'neo_log_lines_total{level="warning"} 1',
    "neo_queue_events 3",
    'neo_round_seconds_bucket{le="0.001"} 0',
    'neo_round_seconds_bucket{le="0.0025"} 1',
    "neo_round_seconds_sum 0.002",
  ];
  for (const line of expected) assert.ok(text.split("\n").includes(line), `${line} in\n${text}`);
});

test("Histogram: a bound belongs to its bucket, and what is above all counts in the last", () => {
  const histogram = new Histogram([1, 2]);
  for (const value of [0, 1, 1.5, 2, 9]) histogram.add(value);
  const { samples } = histogram.family("h", "H");
  assert.deepEqual(samples.map(({ value }) => value), [2, 4, 5, 13.5, 5]);
  assert.equal(samples[2]!.labels!["le"], "+Inf");
});

test("formatMetrics: labels and help can't break a line, a family without samples isn't there", () => {
  const labels = { a: 'x"\\\ny' };
  const family = { name: "n", help: "a\\b\nc", type: "gauge", samples: [{ value: 1, labels }] } as const;
  const text = formatMetrics([family, { ...family, name: "m", samples: [] }]);
  assert.equal(text, '# HELP n a\\\\b\\nc\n# TYPE n gauge\nn{a="x\\"\\\\\\ny"} 1\n');
});
