import assert from "node:assert/strict";
import { test } from "node:test";
import { TTID_COUNTER_MAX, ttidOf } from "../../core/ids.ts";
import type { ClientSession } from "../../core/ids.ts";
import { Ttids } from "./ttids.ts";

const [one, two] = [1 as ClientSession, 2 as ClientSession];

test("Ttids knows what was accepted, counter by counter and session by session", () => {
  const finished = new Ttids();
  for (const counter of [1, 9, 70_000, TTID_COUNTER_MAX]) finished.add(ttidOf(one, counter));

  for (const counter of [1, 9, 70_000, TTID_COUNTER_MAX]) assert.ok(finished.has(ttidOf(one, counter)));
  for (const counter of [2, 8, 10, 69_999, TTID_COUNTER_MAX - 1]) {
    assert.ok(!finished.has(ttidOf(one, counter)));
  }
  assert.ok(!finished.has(ttidOf(two, 9)));

  finished.sessionEnded(one);
  assert.ok(!finished.has(ttidOf(one, 9)));
});
