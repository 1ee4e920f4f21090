import assert from "node:assert/strict";
import { test } from "node:test";
import { toOid, ttidOf } from "../../core/ids.ts";
import type { ClientSession, Conn } from "../../core/ids.ts";
import { ACTIVITY_TIMEOUT_MS, AUDIT_ENTRIES_MAX, AUDIT_PAGE } from "../../core/limits.ts";
import type { Effect } from "../../core/machine.ts";
import type { Answer, AskName, Body } from "../../core/messages.ts";
import {
  answersOf,
  asksOf,
  errorsOf,
  helloAs,
  masterBench,
  runMaster,
  tellsOf,
} from "../../tests/machines.ts";
import type { BenchOf } from "../../tests/machines.ts";
import { saidBy } from "../hello.ts";
import { encodeEntry } from "./entries.ts";
import type { MasterMachine } from "./master.ts";
import { firstImage, Metadata } from "./metadata.ts";
import type { MasterEffect } from "./site.ts";

/** A cluster that runs, with an operator. */
class Stage {
  readonly bench: BenchOf<MasterMachine> = masterBench();
  readonly storages: Conn[] = runMaster(this.bench);
  readonly operator: Conn =
    this.bench.comes(helloAs("admin", { name: "", ...saidBy("eva@desk") }), { holder: "admin ops" }).conn;

  ask<N extends AskName>(name: N, body: Body<N>): Effect[] {
    return this.bench.asked(this.operator, name, body);
  }

  audit(before: number | null = null, count = 10): Answer<"listAudit">["entries"] {
    return answersOf(this.ask("listAudit", { before, count }), "listAudit")[0]!.entries;
  }
}

test("what an operator does is written down with author, certificate, time and target, and so is what is refused (T22)", () => {
  const stage = new Stage();
  const effects = stage.ask("setReplicas", { replicas: 0 });
  const saves = effects.map((effect) => effect.do).lastIndexOf("save");
  assert.ok(
    saves >= 0 && saves < effects.findIndex((effect) => effect.do === "answer"),
    "written down first",
  );
  stage.ask("dropNode", { name: "s9" });
  stage.ask("tweak", { ignored: [], dryRun: true });
  stage.ask("listNodes", {});
  stage.ask("verifyTable", { first: 0 as never, count: 1, from: "", repair: false });

  const entries = stage.audit();
  assert.deepEqual(
    entries.map(({ number, author, holder, action, target }) => [number, author, holder, action, target]),
    [
      [2, "eva@desk", "admin ops", "dropNode", "s9"],
      [1, "eva@desk", "admin ops", "setReplicas", "0"],
    ],
  );
  assert.deepEqual(entries.map(({ refusal }) => refusal), [
    "Cannot drop s9: no storage has this name; there are s1, s2",
    "",
  ]);
  assert.deepEqual(entries[0]?.atMs, stage.bench.now.wallMs);
  assert.deepEqual(stage.audit(2).map(({ number }) => number), [1]);
});

test("an operator that goes before it is answered is written down as such; clients and storages can't look (T22)", () => {
  const stage = new Stage();
  stage.ask("verifyTable", { first: 0 as never, count: 1, from: "", repair: true });
  stage.bench.lost(stage.operator);
  const { conn } = stage.bench.comes(helloAs("admin", { name: "a1" }));
  const [entry] =
    answersOf(stage.bench.asked(conn, "listAudit", { before: null, count: 1 }), "listAudit")[0]!.entries;
  assert.deepEqual([entry?.action, entry?.refusal], [
    "verifyTable",
    "its operator was gone before it was answered; it may be done",
  ]);
  const client = stage.bench.comes(helloAs("client")).conn;
  assert.equal(
    errorsOf(stage.bench.asked(client, "listAudit", { before: null, count: 1 }))[0]?.code,
    "denied",
  );
  assert.equal(
    errorsOf(stage.bench.asked(stage.storages[0]!, "listAudit", { before: null, count: 1 }))[0]?.code,
    "denied",
  );
});

test("stop is answered with the primary's end, and is on its disk by then: nobody is left to hold it (T22)", () => {
  const stage = new Stage();
  const effects = stage.ask("stop", {});
  const kinds = effects.map((effect) => effect.do);
  assert.equal(answersOf(effects, "stop").length, 1);
  assert.ok(kinds.includes("save"), kinds.join(" "));
  assert.ok(kinds.indexOf("answer") < kinds.indexOf("stop"), kinds.join(" "));
});

test("the masters' log keeps the latest actions, and a snapshot has them (T22)", () => {
  const node = { name: "s1", role: "storage", address: "s1:1", diskId: "d" } as const;
  const metadata = Metadata.ofImage(
    firstImage({ clusterId: "c", cluster: "t", partitions: 1, replicas: 0, nodes: [node] }),
  );
  const words = { atMs: 7, author: "eva", holder: "", action: "tweak", target: "", refusal: "" };
  for (let number = 1; number <= AUDIT_ENTRIES_MAX + 5; number++) {
    metadata.apply({ type: "audit", entry: { number, ...words } });
  }
  const { entries } = Metadata.ofImage(metadata.toImage()).audit;
  assert.deepEqual([entries.length, entries[0]?.number, entries.at(-1)], [AUDIT_ENTRIES_MAX, 6, {
    number: AUDIT_ENTRIES_MAX + 5,
    ...words,
  }]);
  assert.ok(encodeEntry({ type: "audit", entry: entries[0]! }).length < 100);
  assert.ok(AUDIT_PAGE <= AUDIT_ENTRIES_MAX);
});

test("listClients asks all storages what clients have there, and names those that don't tell (T54)", () => {
  const stage = new Stage();
  const { effects: welcomed } = stage.bench.comes(helloAs("client", { name: "web" }), {
    holder: "client app",
  });
  const session = tellsOf(welcomed, "welcome")[0]?.body.session;
  const asked = stage.ask("listClients", {});
  const [first, second] = asksOf(asked as MasterEffect[], "askActivity");
  assert.deepEqual([first?.withinMs, second?.message.body.epoch], [
    ACTIVITY_TIMEOUT_MS,
    stage.bench.machine.view.epoch,
  ]);
  assert.deepEqual(answersOf(asked, "listClients"), []);
  const ttid = ttidOf(session as ClientSession, 1);
  const held = [{
    ttid,
    ageMs: stage.bench.now.wallMs - 2_000,
    objects: 3,
    voted: false,
    waitsFor: toOid(9),
    behind: null,
  }];
  assert.deepEqual(
    answersOf(
      stage.bench.answered(first!, { held, conflicts: [{ oid: toOid(9), count: 4 }] }),
      "listClients",
    ),
    [],
  );
  const [answer] = answersOf(
    stage.bench.failed(second!, { code: "timedOut", message: "late" }),
    "listClients",
  );
  assert.deepEqual(answer?.silent, ["s2"]);
  assert.deepEqual(answer?.conflicts, [{ oid: toOid(9), count: 4 }]);
  const [client] = answer!.clients;
  assert.deepEqual([client?.name, client?.holder, client?.session], ["web", "client app", session]);
  const [transaction] = client!.transactions;
  assert.deepEqual([transaction?.ageMs, transaction?.objects, transaction?.waitsFor, transaction?.storages], [
    2_000,
    3,
    toOid(9),
    ["s1"],
  ]);
});

test("killClient ends a session everywhere, and tells its client; one that nobody has is refused (T54)", () => {
  const stage = new Stage();
  const { conn, effects: welcomed } = stage.bench.comes(helloAs("client", { name: "web" }));
  const session = tellsOf(welcomed, "welcome")[0]!.body.session;
  const effects = stage.ask("killClient", { session });
  const rejected = effects.find((effect) => effect.do === "reject" && effect.conn === conn);
  assert.ok(rejected?.do === "reject");
  assert.deepEqual([rejected.error.code, /an operator ended it/.test(rejected.error.message)], [
    "sessionEnded",
    true,
  ]);
  assert.deepEqual(tellsOf(effects, "sessionEnded").map(({ body }) => body.session), [session]);
  assert.equal(answersOf(effects, "killClient").length, 1);
  assert.match(
    errorsOf(stage.ask("killClient", { session }))[0]!.message,
    /no client has it; see neo client list/,
  );
  assert.deepEqual(stage.audit().map(({ target, refusal }) => [target, refusal === ""]), [
    [`session ${session}`, false],
    [`session ${session}`, true],
  ]);
});
