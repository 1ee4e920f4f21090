import assert from "node:assert/strict";
import { test } from "node:test";
import { ttidOf } from "../../core/ids.ts";
import type { ClientSession, Conn } from "../../core/ids.ts";
import { SESSION_BLOCK } from "../../core/limits.ts";
import {
  answersOf,
  asksOf,
  asPartition,
  emptyReport,
  errorsOf,
  helloAs,
  masterBench,
  masterDisk,
  only,
  runMaster,
  storageHello,
  tableOf,
  tellsOf,
} from "../../tests/machines.ts";

const client = helloAs("client", { name: "web" });

test("MasterMachine keeps an early client waiting, and lets it in when the cluster runs (T11, T37)", () => {
  const bench = masterBench();
  bench.give({ type: "opened" });
  const early = [bench.comes(client), bench.comes(client)];
  assert.deepEqual(early.flatMap(({ effects }) => effects), [], "neither an answer nor a refusal");

  const came = [1, 2].map((number) => bench.comes(storageHello(number)).effects);
  const [, fenced] = came.map((effects) =>
    bench.answered(asksOf(effects, "fence")[0]!, emptyReport(tableOf()))
  );
  const [, effects] = asksOf(fenced!, "start").map((start) => bench.answered(start, {}));

  assert.deepEqual(only(effects!, "accept").map(({ conn }) => conn), early.map(({ conn }) => conn));
});

test("MasterMachine keeps an early storage waiting until its epoch is held, then fences it (T11)", () => {
  const { machine, now } = masterBench();
  machine.step({ type: "opened" }, now);
  const conn = 7 as Conn;
  const early = machine.step({ type: "identified", conn, hello: storageHello(1), incoming: true }, now);
  assert.deepEqual(only(early, "accept"), [{ do: "accept", conn }]);
  assert.deepEqual(only(early, "ask"), [], "it isn't asked for anything yet");

  const held = machine.step({ type: "saved" }, now);

  assert.deepEqual(asksOf(held, "fence").map((ask) => [ask.conn, ask.message.body.epoch]), [[conn, 1]]);
});

test("MasterMachine tells a client whose patience ends which storages it waited for (T11, T37)", () => {
  const bench = masterBench({ storages: 2, replicas: 0 });
  bench.give({ type: "opened" });
  const came = bench.comes(storageHello(1));
  bench.answered(asksOf(came.effects, "fence")[0]!, emptyReport(tableOf({ replicas: 0 })));
  const { conn } = bench.comes(client);

  const effects = bench.give({ type: "impatient", conn });

  assert.deepEqual(only(effects, "reject").map((reject) => reject.conn), [conn]);
  const [error] = errorsOf(effects);
  assert.equal(error?.code, "timedOut");
  assert.match(error?.message ?? "", /recovering.*partitions 1, 3/);
});

test("MasterMachine forgets an early client that goes away", () => {
  const bench = masterBench();
  bench.give({ type: "opened" });
  const { conn } = bench.comes(client);
  bench.lost(conn);
  const came = [1, 2].map((number) => bench.comes(storageHello(number)).effects);
  const [, fenced] = came.map((effects) =>
    bench.answered(asksOf(effects, "fence")[0]!, emptyReport(tableOf()))
  );
  const effects = asksOf(fenced!, "start").flatMap((start) => bench.answered(start, {}));
  assert.deepEqual(only(effects, "accept"), []);
});

test("MasterMachine announces a client's session to the storages before it tells the client", () => {
  const bench = masterBench();
  const storages = runMaster(bench);

  const { conn, effects } = bench.comes(client);

  const said = effects.flatMap((effect) => {
    if (effect.do === "tell") return [`${effect.message.name} to ${effect.conns}`];
    return effect.do === "accept" ? ["accept"] : [];
  });
  assert.deepEqual(said, [
    `sessionOpened to ${storages}`,
    "accept",
    `welcome to ${conn}`,
    `config to ${conn}`,
    `registry to ${storages}`,
  ]);
  const [opened] = tellsOf(effects, "sessionOpened");
  const [welcome] = tellsOf(effects, "welcome");
  assert.equal(opened?.body.session, welcome?.body.session);
});

test("MasterMachine gives no session before its block is held, and no session twice, over restarts too", () => {
  const disk = masterDisk();
  const sessions: number[] = [];
  for (let run = 0; run < 3; run++) {
    const bench = masterBench({ disk });
    runMaster(bench);
    for (let i = 0; i < 5; i++) {
      const { effects } = bench.comes(client);
      sessions.push(...tellsOf(effects, "welcome").map(({ body }) => body.session));
      const saves = effects.filter((effect) => effect.do === "save" && effect.durable).length;
      assert.equal(saves, i === 0 ? 1 : 0, "one save for a block of sessions");
    }
    disk.crash(0);
  }
  assert.equal(sessions.length, 15);
  assert.equal(new Set(sessions).size, 15);
  assert.ok(sessions.every((session) => session > 0));
  assert.ok(sessions.at(-1)! <= 3 * SESSION_BLOCK);
});

test("MasterMachine tells the storages when a client's session ends, behind what it announced", () => {
  const bench = masterBench();
  const storages = runMaster(bench);
  const { conn, effects } = bench.comes(client);
  const session = tellsOf(effects, "welcome")[0]!.body.session;

  const ended = tellsOf(bench.lost(conn), "sessionEnded");

  assert.deepEqual(ended, [{ conns: storages, body: { epoch: 1, session } }]);
  assert.deepEqual(tellsOf(bench.lost(conn), "sessionEnded"), [], "once");
});

test("MasterMachine lets an admin in at once, in any phase, and a client never while it stops", () => {
  const bench = masterBench();
  bench.give({ type: "opened" });
  const early = bench.comes(helloAs("admin"));
  assert.deepEqual(only(early.effects, "accept").map(({ conn }) => conn), [early.conn]);
  assert.deepEqual(tellsOf(early.effects, "welcome").map(({ body }) => body.phase), ["recovering"]);
});

test("MasterMachine that stops refuses new clients and says so, but waits for those that commit", () => {
  const bench = masterBench();
  runMaster(bench);
  const first = bench.comes(client);
  bench.give({ type: "terminate" });

  const late = bench.comes(client);

  assert.deepEqual(errorsOf(late.effects).map(({ code }) => code), ["stopping"]);
  assert.equal(bench.machine.view.phase, "stopping");
  assert.deepEqual(only(bench.lost(first.conn), "stop").length, 1, "the last client is gone");
});

test("MasterMachine ends every session when operation is lost, and says why", () => {
  const bench = masterBench({ storages: 2, replicas: 0 });
  const [s1] = runMaster(bench, { storages: 2, replicas: 0 });
  const clients = [bench.comes(client).conn, bench.comes(client).conn];

  const effects = bench.lost(s1!);

  const rejects = only(effects, "reject");
  assert.deepEqual(rejects.map(({ conn }) => conn), clients);
  assert.ok(rejects.every(({ error }) => error.code === "sessionEnded" && /recovers/.test(error.message)));
  assert.equal(bench.machine.view.phase, "recovering");
});

/** A master that runs, and a client that imports. */
function importing(): { bench: ReturnType<typeof masterBench>; importer: Conn } {
  const bench = masterBench();
  runMaster(bench);
  const importer = bench.comes(client).conn;
  const effects = bench.asked(importer, "stage", { importing: true, origin: "Data.fs" });
  assert.equal(answersOf(effects, "stage").length, 1);
  return { bench, importer };
}

test("MasterMachine lets nobody but the importer in while it imports, and the waiting ones afterwards", () => {
  const { bench, importer } = importing();
  const { conn, effects } = bench.comes(client);
  assert.deepEqual(effects, []);

  const ended = bench.asked(importer, "stage", { importing: false, origin: "" });

  assert.deepEqual(only(ended, "accept").map((accept) => accept.conn), [conn]);
  assert.deepEqual(answersOf(ended, "stage").map(({ origin }) => origin), ["Data.fs"]);
});

test("MasterMachine ends an import with its client", () => {
  const { bench, importer } = importing();
  const { conn } = bench.comes(client);
  const effects = bench.lost(importer);
  assert.deepEqual(only(effects, "accept").map((accept) => accept.conn), [conn]);
});

test("MasterMachine says to an impatient client that an import goes on (T37)", () => {
  const { bench } = importing();
  const { conn } = bench.comes(client);
  const [error] = errorsOf(bench.give({ type: "impatient", conn }));
  assert.match(error?.message ?? "", /waited for the import to end/);
});

test("MasterMachine doesn't begin an import beside other clients", () => {
  const bench = masterBench();
  runMaster(bench);
  const [importer] = [bench.comes(client).conn, bench.comes(client).conn];
  const [error] = errorsOf(bench.asked(importer!, "stage", { importing: true, origin: "x" }));
  assert.equal(error?.code, "denied");
  assert.match(error?.message ?? "", /1 other client.*; stop them/);
});

test("MasterMachine replaces a client's old session when it asks for the outcome of one of its transactions", () => {
  const bench = masterBench();
  runMaster(bench);
  const old = bench.comes(client);
  const session = tellsOf(old.effects, "welcome")[0]!.body.session as ClientSession;
  const { conn } = bench.comes(client);

  const effects = bench.asked(conn, "outcome", { ttid: ttidOf(session, 1), home: asPartition(0) });

  assert.deepEqual(only(effects, "reject").map((reject) => reject.conn), [old.conn]);
  const told = effects.findIndex((effect) => effect.do === "tell" && effect.message.name === "sessionEnded");
  const asked = effects.findIndex((effect) => effect.do === "ask" && effect.message.name === "fate");
  assert.ok(0 <= told && told < asked, "the storages hear of the end before they are asked");
});
