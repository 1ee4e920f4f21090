/** What a client keeps of a commit whose outcome it hears in a later session. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { toOid } from "../../core/ids.ts";
import {
  asNode,
  asPartition,
  asTid,
  clientBench,
  follow,
  helloAs,
  only,
  storageHello,
  tableOf,
  welcomeOf,
} from "../../tests/machines.ts";
import { PRIMARY } from "../seeker.ts";

const oid = toOid(2);
const none = new Uint8Array();
const note = { user: none, description: none, extension: none, status: " " };
const write = { oid, base: asTid(40), data: Uint8Array.of(1), link: null };

type Effects = ReturnType<ReturnType<typeof clientBench>["give"]>;

/** The only question of that name. */
function asked(effects: Effects, name: "vote" | "finish" | "outcome") {
  const [found] = only(effects, "ask").filter(({ message }) => message.name === name);
  assert.ok(found, `${name} is asked`);
  return found;
}

test("ClientMachine that learns of its commit behind a later session takes nothing of it for current (T43, X7)", () => {
  const table = tableOf({ partitions: 1, replicas: 0 });
  const bench = clientBench();
  const primary = follow(bench, welcomeOf({ table, lastTid: asTid(100) }));
  const request = { writes: [write], checks: [], ...note };
  const begun = bench.give({ type: "call", call: 1, name: "commit", request, withinMs: 60_000 } as never);
  const [storage] = only(begun, "connect");
  const vote = asked(bench.reached(storage!.target, storageHello(1)).effects, "vote");
  const cells = [{ partition: asPartition(0), since: 1, locked: true }];
  const finishing = bench.answered(vote, { evidence: { node: asNode(2), session: 1, cells } });
  asked(finishing, "finish");

  bench.lost(primary, { target: PRIMARY });
  const { conn } = bench.reached(PRIMARY, helloAs("master", { name: "m1" }));
  const welcome = welcomeOf({ table, lastTid: asTid(200), session: 2 });
  const ended = bench.answered(asked(bench.told(conn, "welcome", welcome), "outcome"), { tid: asTid(150) });

  const outputs = only(ended, "output").map(({ output }) => output);
  assert.deepEqual(outputs.map(({ type }) => type), ["settled"]);
  assert.equal(bench.machine.peek(oid, asTid(200)), undefined, "somebody may have written it since");
});
