import assert from "node:assert/strict";
import { test } from "node:test";
import type { Conn, Tid } from "../../core/ids.ts";
import { toTid, ZERO_TID } from "../../core/ids.ts";
import { PACK_QUIET_MS } from "../../core/limits.ts";
import type { Answer, Body } from "../../core/messages.ts";
import {
  answersOf,
  asksOf,
  asPartition,
  emptyReport,
  errorsOf,
  helloAs,
  masterBench,
  masterDisk,
  storageHello,
  tableOf,
  tellsOf,
} from "../../tests/machines.ts";

/** A cluster that runs, with an operator, whose last tid is 50. */
function running(disk = masterDisk()) {
  disk.crash(0);
  const bench = masterBench({ disk });
  bench.give({ type: "opened" });
  let effects: ReturnType<typeof bench.give> = [];
  const storages: Conn[] = [];
  for (const number of [1, 2]) {
    const came = bench.comes(storageHello(number));
    storages.push(came.conn);
    const lastTids = [{ partition: asPartition(0), tid: toTid(50) }];
    effects = bench.answered(asksOf(came.effects, "fence")[0]!, { ...emptyReport(tableOf()), lastTids });
  }
  for (const start of asksOf(effects, "start")) bench.answered(start, {});
  const { conn: operator } = bench.comes(helloAs("admin"));
  const pack = (tid: number, more: Partial<Body<"pack">> = {}) =>
    bench.asked(operator, "pack", { tid: toTid(tid), dryRun: false, ...more });
  return { bench, disk, storages, operator, pack };
}

type Running = ReturnType<typeof running>;

/** A client that is let in. */
function client({ bench }: Running) {
  return bench.comes(helloAs("client", { name: "c" }));
}

test("Packing proposes a bound when every client has said that it reads nothing below, and tells all when it is held (T13, J1)", () => {
  const stage = running();
  const [one, two] = [client(stage).conn, client(stage).conn];
  const asked = asksOf(stage.pack(20), "askFloor");
  assert.deepEqual(asked.map(({ conn }) => conn), [one, two]);
  assert.deepEqual(answersOf(stage.bench.answered<"askFloor">(asked[0]!, { floor: null }), "pack"), []);
  const effects = stage.bench.answered<"askFloor">(asked[1]!, { floor: toTid(20) });
  assert.deepEqual(answersOf(effects, "pack"), [{ tid: 20n, before: ZERO_TID }]);
  assert.deepEqual(tellsOf(effects, "packTo").map(({ body }) => body.tid), [20n, 20n]);
});

test("Packing tells the bound right behind the fence, to each storage that comes, and to each client behind its welcome (T13, J1)", () => {
  const stage = running();
  stage.pack(20);
  const names = (effects: ReturnType<typeof stage.bench.give>): string[] =>
    effects.flatMap((effect) => effect.do === "tell" || effect.do === "ask" ? [effect.message.name] : []);
  const late = names(client(stage).effects);
  assert.ok(late.indexOf("packTo") > late.indexOf("welcome"), late.join());

  stage.disk.crash(0);
  const again = masterBench({ disk: stage.disk });
  again.give({ type: "opened" });
  const back = names(again.comes(storageHello(1)).effects);
  assert.ok(back.indexOf("packTo") > back.indexOf("fence") && back.includes("fence"), back.join());
});

test("Packing of a bound that is reached already does nothing, also while clients may come back (T13)", () => {
  const stage = running();
  stage.pack(20);
  assert.deepEqual(answersOf(stage.pack(10), "pack"), [{ tid: 20n, before: 20n }]);
  assert.deepEqual(errorsOf(stage.pack(51)).map(({ code }) => code), ["denied"]);
});

test("verifyTable has storages look again that didn't know of a pack yet that another one knew of (J2, N8)", () => {
  const { bench, operator } = running();
  const all = { first: asPartition(0), count: 1, from: "", repair: false };
  const asked = asksOf(bench.asked(operator, "verifyTable", all), "inspect");
  assert.equal(asked.length, 2);
  const found = (packBound: Tid, digest: number): Answer<"inspect"> => {
    return { rows: 1, bytes: 1, broken: [], digest: Uint8Array.of(digest), packBound };
  };
  bench.answered(asked[0]!, found(toTid(9), 1));
  const again = bench.answered(asked[1]!, found(ZERO_TID, 2));
  assert.deepEqual(answersOf(again, "verifyTable"), [], "it isn't judged");
  const [look] = asksOf(again, "inspect");
  assert.equal(look?.conn, asked[1]!.conn);
  const [verdict] = answersOf(bench.answered(look!, found(toTid(9), 1)), "verifyTable");
  assert.deepEqual(verdict?.cells.map(({ state }) => state), ["equal", "equal"]);
});

test("Packing waits behind a recovery, unless no client was ever let in (J1)", () => {
  const stage = running();
  client(stage);
  const again = running(stage.disk);
  assert.match(errorsOf(again.pack(20))[0]!.message, /has recovered just now.* try again in 60 s/);
  again.bench.pass(PACK_QUIET_MS);
  assert.deepEqual(answersOf(again.pack(20), "pack"), [{ tid: 20n, before: ZERO_TID }]);
});
