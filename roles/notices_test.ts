import assert from "node:assert/strict";
import { test } from "node:test";
import { NOTICE_MS } from "../core/limits.ts";
import { Notices } from "./notices.ts";

test("Notices says each cause once in a while, and how often it came since", () => {
  const lines: unknown[] = [];
  const notices = new Notices((text, facts) => lines.push([text, facts]));
  for (const nowMs of [0, 1, 2]) notices.take({ code: "malformed", message: "m" }, "a:1", nowMs);
  notices.take({ code: "wrongRole", message: "r" }, "b:1", 3);

  notices.take({ code: "malformed", message: "m" }, "c:1", NOTICE_MS);

  assert.deepEqual(lines, [
    ["Ended a connection: m", { code: "malformed", remote: "a:1" }],
    ["Ended a connection: r", { code: "wrongRole", remote: "b:1" }],
    ["Ended a connection: m", { code: "malformed", remote: "c:1", more: 2 }],
  ]);
});
