/** What a client does with a commit that no readable copy has locked whole when it is to be finished. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { toOid } from "../../core/ids.ts";
import { INCOMPLETE_ATTEMPTS_MAX } from "../../core/limits.ts";
import {
  asNode,
  asPartition,
  asTid,
  clientBench,
  follow,
  only,
  storageHello,
  tableOf,
  welcomeOf,
} from "../../tests/machines.ts";

const none = new Uint8Array();
const note = { user: none, description: none, extension: none, status: " " };
const write = { oid: toOid(2), base: asTid(40), data: Uint8Array.of(1), link: null };

/** A client whose commit has its vote and asks for its finish, and a way to go on as often as it begins again. */
function atFinish() {
  const bench = clientBench();
  follow(bench, welcomeOf({ table: tableOf({ partitions: 1, replicas: 0 }), lastTid: asTid(100) }));
  const request = { writes: [write], checks: [], ...note };
  const begun = bench.give({ type: "call", call: 1, name: "commit", request, withinMs: 60_000 } as never);
  const [storage] = only(begun, "connect");
  let effects = bench.reached(storage!.target, storageHello(1)).effects;
  const asked = (name: "vote" | "finish") => {
    const found = only(effects, "ask").find(({ message }) => message.name === name);
    assert.ok(found, `${name} is asked`);
    return found;
  };
  const vote = (): void => {
    const cells = [{ partition: asPartition(0), since: 1, locked: true }];
    effects = bench.answered(asked("vote"), { evidence: { node: asNode(2), session: 1, cells } });
  };
  vote();
  return {
    refuse: () => effects = bench.failed(asked("finish"), { code: "incomplete", message: "Cannot finish" }),
    finish: () => effects = bench.answered(asked("finish"), { tid: asTid(101) }),
    vote,
    ttid: () => (asked("finish").message.body as { readonly ttid: bigint }).ttid,
    ends: () => only(effects, "output").map(({ output }) => output),
    aborts: () => only(effects, "tell").filter(({ message }) => message.name === "abort").length,
  };
}

test("ClientMachine begins a commit again whose copies changed under its votes, as another transaction (T24, P2)", () => {
  const at = atFinish();
  const first = at.ttid();
  at.refuse();
  assert.ok(at.aborts() > 0, "nothing of the first one stays");
  at.vote();
  assert.notEqual(at.ttid(), first);
  at.finish();
  assert.deepEqual(at.ends().map(({ type }) => type), ["published", "settled"]);
});

test("ClientMachine gives a commit up that stays incomplete: somebody counts wrongly (A15)", () => {
  const at = atFinish();
  for (let attempt = 0; attempt < INCOMPLETE_ATTEMPTS_MAX; attempt++) {
    at.refuse();
    at.vote();
  }
  at.refuse();
  const [end] = at.ends();
  assert.ok(end?.type === "failed");
  assert.equal(end.error.code, "aborted");
});
