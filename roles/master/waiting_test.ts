import assert from "node:assert/strict";
import { test } from "node:test";
import type { Conn } from "../../core/ids.ts";
import { roles } from "../../core/messages.ts";
import { helloOf } from "../hello.ts";
import { WaitingMaster } from "./waiting.ts";

const conn = 1 as Conn;

test("WaitingMaster says once, as a warning, what it waits for", () => {
  const master = new WaitingMaster({ name: "m1" });
  const [said, ...more] = master.step({ type: "opened" });
  assert.ok(said?.do === "log" && said.level === "warning");
  assert.match(said.text, /m1 has no cluster yet; run `neo init`/);
  assert.deepEqual(more, []);
});

test("WaitingMaster names no cluster id: nobody can take it for a member of one", () => {
  assert.equal(new WaitingMaster({ name: "m1" }).hello().clusterId, "");
  assert.equal(new WaitingMaster({ name: "m1", cluster: "shop" }).hello().cluster, "shop");
});

test("WaitingMaster keeps peers of every role waiting, and denies them when their patience ends", () => {
  const master = new WaitingMaster({ name: "m1" });
  for (const role of roles) {
    const hello = helloOf({ role });
    assert.deepEqual(master.step({ type: "identified", conn, hello, incoming: true }), []);
    const [rejected] = master.step({ type: "impatient", conn });
    assert.ok(rejected?.do === "reject" && rejected.error.code === "denied");
    assert.match(rejected.error.message, /^Cannot let this peer in: .*neo init/);
  }
  const error = { code: "lost", message: "gone" } as const;
  assert.deepEqual(master.step({ type: "lost", conn, error }), []);
});

test("WaitingMaster wants no time, saves nothing, and ends when it is asked to", () => {
  const master = new WaitingMaster({ name: "m1" });
  assert.equal(master.due(), undefined);
  for (const type of ["due", "saved"] as const) assert.deepEqual(master.step({ type }), []);
  assert.deepEqual(master.step({ type: "room", freeBytes: 0 }), []);
  assert.deepEqual(master.step({ type: "terminate" }), [{ do: "stop" }]);
});
