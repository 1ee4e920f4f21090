import assert from "node:assert/strict";
import { test } from "node:test";
import { NOTICE_CAUSES_MAX, NOTICE_MS } from "../core/limits.ts";
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

test("Notices tells of each that isn't trusted, as long as they aren't too many (N6)", () => {
  const said: string[] = [];
  const notices = new Notices((text) => void said.push(text));
  const refuse = (who: number, nowMs: number): void =>
    notices.take({ code: "untrusted", message: `Cannot trust ${who}` }, "elsewhere", nowMs);
  for (let who = 0; who < 2 * NOTICE_CAUSES_MAX; who++) for (const _twice of [1, 2]) refuse(who, 0);
  assert.equal(said.length, NOTICE_CAUSES_MAX + 1, "those beyond are one cause");
  refuse(3, NOTICE_MS);
  assert.equal(said.at(-1), "Ended a connection: Cannot trust 3");
});
