import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryMetadata } from "../../adapters/memory.ts";
import { seededRandom, sha256 } from "../../adapters/system.ts";
import type { Conn } from "../../core/ids.ts";
import { GUEST_MS } from "../../core/limits.ts";
import type { Body, Hello } from "../../core/messages.ts";
import {
  answersOf,
  asksOf,
  Bench,
  emptyReport,
  errorsOf,
  helloAs,
  only,
  storageHello,
  tableOf,
  tellsOf,
} from "../../tests/machines.ts";
import type { BenchOf } from "../../tests/machines.ts";
import { encodeEntry } from "./entries.ts";
import { MemberMachine } from "./member.ts";
import { firstImage } from "./metadata.ts";

const image = firstImage({
  clusterId: "c-1",
  cluster: "test",
  partitions: 2,
  replicas: 0,
  nodes: [
    ...["m1", "m2", "m3"].map((name) => ({
      name,
      role: "master" as const,
      address: `${name}:1`,
      diskId: `disk-${name}`,
    })),
    { name: "s1", role: "storage", address: "s1:1", diskId: "disk-s1" },
  ],
});

/** Master m2 of three, on its disk; or on an empty one. */
function member(from: Uint8Array | null = image): BenchOf<MemberMachine> {
  const store = memoryMetadata(from, "disk-m2").open();
  const ids = { cluster: "test", clusterId: "c-1" };
  const start = { state: store.state, name: "m2", digest: sha256, random: seededRandom(1), ...ids };
  return new Bench(new MemberMachine(start), store) as never;
}

const masterHello = (name: string, more: Partial<Hello> = {}): Hello =>
  helloAs("master", { name, diskId: `disk-${name}`, ...more });

/** m1 has come, and leads. */
function led(): { bench: BenchOf<MemberMachine>; leader: Conn } {
  const bench = member();
  bench.give({ type: "opened" });
  const { conn: leader } = bench.comes(masterHello("m1"));
  bench.told(leader, "append", append());
  return { bench, leader };
}

function append(more: Partial<Body<"append">> = {}): Body<"append"> {
  return { term: 1, prevIndex: 0, prevTerm: 0, entries: [], commit: 0, round: 0, ...more };
}

/** m2 is elected, by m1. */
function elected(): {
  bench: BenchOf<MemberMachine>;
  voter: Conn;
  effects: ReturnType<BenchOf<MemberMachine>["give"]>;
} {
  const bench = member();
  bench.give({ type: "opened" });
  const { conn: voter } = bench.comes(masterHello("m1"));
  const trial = tellsOf(bench.pass(300), "canvass")[0]!.body;
  bench.told(voter, "ballot", { term: trial.term, trial: true, granted: true });
  bench.told(voter, "ballot", { term: 1, trial: false, granted: true });
  const effects = bench.told(voter, "appended", { term: 1, ok: true, index: 1, round: 0, wallMs: 0 });
  return { bench, voter, effects };
}

test("MemberMachine has its vote and its term on disk before it asks for votes, and stands only after a trial (X1)", () => {
  const bench = member();
  bench.give({ type: "opened" });
  const { conn } = bench.comes(masterHello("m1"));
  const trial = bench.pass(300);
  assert.deepEqual(only(trial, "save"), []);
  assert.equal(tellsOf(trial, "canvass")[0]!.body.trial, true);

  const stands = bench.told(conn, "ballot", { term: 1, trial: true, granted: true });
  assert.deepEqual(only(stands, "save").map(({ write, durable }) => [write, durable]), [
    [{ op: "ballot", term: 1, votedFor: 2 }, true],
  ]);
  assert.deepEqual(tellsOf(stands, "canvass")[0]!.body, { term: 1, lastIndex: 0, lastTerm: 0, trial: false });
});

test("MemberMachine runs a primary only when an entry of its own term is held, and everything before it (X1, T36)", () => {
  const bench = member();
  bench.give({ type: "opened" });
  const { conn } = bench.comes(masterHello("m1"));
  // an entry of an earlier primary, of which nobody has said that it is held
  const entry = { term: 1, entry: encodeEntry({ type: "opened", epoch: 4 }) };
  bench.told(conn, "append", append({ entries: [entry] }));
  bench.lost(conn);
  const { conn: again } = bench.comes(masterHello("m1"));
  const { conn: storage } = bench.comes(storageHello(1));
  bench.pass(300);
  bench.told(again, "ballot", { term: 2, trial: true, granted: true });
  const leads = bench.told(again, "ballot", { term: 2, trial: false, granted: true });
  assert.deepEqual(asksOf(leads, "fence"), []);
  const view = (): MemberMachine["view"] => bench.machine.view;
  assert.equal(view(), undefined);

  const old = bench.told(again, "appended", { term: 2, ok: true, index: 1, round: 0, wallMs: 0 });
  assert.deepEqual([asksOf(old, "fence"), view()], [[], undefined]);
  bench.told(again, "appended", { term: 2, ok: true, index: 2, round: 0, wallMs: 0 });
  assert.equal(view()?.epoch, 4, "what the earlier one has held counts");
  const opened = bench.told(again, "appended", { term: 2, ok: true, index: 3, round: 0, wallMs: 0 });
  assert.deepEqual(asksOf(opened, "fence").map(({ conn, message }) => [conn, message.body.epoch]), [[
    storage,
    5,
  ]]);
});

test("MemberMachine sends everybody to the primary that it knows (T11, X1)", () => {
  const { bench } = led();
  for (const hello of [helloAs("client"), helloAs("admin"), storageHello(1)]) {
    const [error] = errorsOf(bench.comes(hello).effects);
    assert.ok(error?.code === "notPrimary");
    assert.equal(error.detail.address, "m1:1");
  }
});

test("MemberMachine keeps who comes waiting while there is no primary, and tells an admin what is missing (T11)", () => {
  const bench = member();
  bench.give({ type: "opened" });
  const { conn: client, effects } = bench.comes(helloAs("client"));
  assert.deepEqual(effects, []);
  const { conn: admin } = bench.comes(helloAs("admin"));
  const [report] = answersOf(bench.asked(admin, "status", {}), "status");
  assert.deepEqual([report!.state, report!.primary], ["noPrimary", ""]);
  assert.equal(report!.waitingFor, "a majority of 3 masters: m1, m3 aren't there");
  assert.deepEqual(report!.nodes.map(({ name, state }) => [name, state]).slice(0, 3), [
    ["m1", "unavailable"],
    ["m2", "running"],
    ["m3", "unavailable"],
  ]);
  assert.equal(errorsOf(bench.asked(admin, "stop", {}))[0]!.code, "notPrimary");

  const { conn: leader } = bench.comes(masterHello("m3"));
  const turned = only(bench.told(leader, "append", append()), "reject");
  assert.deepEqual(turned.map(({ conn, error }) => [conn, error.code]), [
    [client, "notPrimary"],
    [admin, "notPrimary"],
  ]);
});

test("MemberMachine that leads no more turns away everybody it served, and hears no answer to what it asked (X1, B5)", () => {
  const { bench, voter } = elected();
  const { conn: storage } = bench.comes(storageHello(1));
  const opened = bench.told(voter, "appended", { term: 1, ok: true, index: 2, round: 0, wallMs: 0 });
  const [fence] = asksOf(opened, "fence");
  assert.ok(fence);

  const deposed = bench.told(voter, "append", append({ term: 9, prevIndex: 5, prevTerm: 8 }));
  assert.deepEqual(only(deposed, "reject").map(({ conn, error }) => [conn, error.code]), [[
    storage,
    "notPrimary",
  ]]);
  assert.equal(bench.machine.view, undefined);
  assert.deepEqual(bench.failed(fence, { code: "lost", message: "gone" }), []);
});

test("MemberMachine answers no sync before a majority has answered a round that began behind it (B5, B6)", () => {
  const { bench, voter } = elected();
  const { conn: storage } = bench.comes(storageHello(1));
  const ok = { term: 1, ok: true, index: 2, round: 0, wallMs: 0 };
  const [fence] = asksOf(bench.told(voter, "appended", ok), "fence");
  const started = bench.answered(fence!, emptyReport(tableOf({ storages: 1, replicas: 0, partitions: 2 })));
  for (const start of asksOf(started, "start")) bench.answered(start, {});
  assert.equal(bench.machine.view?.phase, "running");
  assert.ok(storage !== voter);

  const { conn: client, effects: came } = bench.comes(helloAs("client"));
  assert.deepEqual(tellsOf(came, "welcome"), [], "its last tid may be an old one");
  const { round } = tellsOf(came, "append")[0]!.body;
  const marked = bench.told(voter, "appended", { ...ok, round });
  const held = bench.told(voter, "appended", { ...ok, index: 3, round });
  const next = [...marked, ...held].flatMap((effect) =>
    effect.do === "tell" && effect.message.name === "append" ? [effect.message.body.round] : []
  );
  const welcome = bench.told(voter, "appended", { ...ok, index: 3, round: Math.max(round, ...next) });
  assert.deepEqual(tellsOf(welcome, "welcome").map(({ conns }) => conns), [[client]]);

  const asked = [...bench.asked(client, "sync", {}), ...bench.asked(client, "sync", {})];
  assert.deepEqual(answersOf(asked, "sync"), []);
  const rounds = tellsOf(asked, "append").map(({ body }) => body.round);
  assert.equal(rounds.length, 1, "those that wait share the next round");
  const first = bench.told(voter, "appended", { ...ok, index: 3, round: rounds[0]! });
  assert.equal(answersOf(first, "sync").length, 1);
  const second = bench.told(voter, "appended", { ...ok, index: 3, round: rounds[0]! + 1 });
  assert.equal(answersOf(second, "sync").length, 1);
});

test("MemberMachine answers no operator before a majority holds what was done; one that leads no more doesn't answer (T22)", () => {
  const ok = { term: 1, ok: true, index: 2, round: 0, wallMs: 0 };
  const asking = <N extends "dropNode" | "listNodes" | "stepDown">(name: N, body: Body<N>) => {
    const { bench, voter } = elected();
    bench.told(voter, "appended", ok);
    const { conn: operator } = bench.comes(helloAs("admin", { name: "" }));
    return { bench, voter, operator, effects: bench.asked(operator, name, body) };
  };
  const drops = asking("dropNode", { name: "s9" });
  assert.deepEqual(only(drops.effects, "refuse"), []);
  assert.deepEqual(tellsOf(drops.effects, "append").map(({ body }) => body.entries.length), [1]);
  const held = drops.bench.told(drops.voter, "appended", { ...ok, index: 3 });
  assert.deepEqual(errorsOf(held).map(({ code }) => code), ["denied"]);

  const deposed = asking("dropNode", { name: "s9" });
  const ends = deposed.bench.told(deposed.voter, "append", append({ term: 9, prevIndex: 5, prevTerm: 8 }));
  assert.deepEqual(only(ends, "refuse"), []);
  assert.deepEqual(only(ends, "reject").map(({ conn }) => conn), [deposed.operator]);

  const looks = asking("listNodes", {});
  assert.equal(answersOf(looks.effects, "listNodes").length, 1, "nothing is written down of it");
  const resigns = asking("stepDown", {});
  assert.equal(answersOf(resigns.effects, "stepDown").length, 1, "its reign may end before that is held");
  assert.equal(tellsOf(resigns.effects, "append").length, 1);
});

test("MemberMachine with an emptied disk takes no part: no vote, no roster, only its cluster's snapshot (B7, B8)", () => {
  const bench = member(null);
  const opened = bench.give({ type: "opened" });
  assert.match(
    only(opened, "log").find(({ level }) => level === "warning")!.text,
    /m2 has no cluster yet; run `neo init`/,
  );
  assert.equal(bench.machine.due(), undefined);
  const { conn, effects } = bench.comes(masterHello("m1"));
  assert.deepEqual(only(effects, "accept").length, 1);
  const canvass = { term: 5, lastIndex: 9, lastTerm: 4, trial: false };
  const [vote] = tellsOf(bench.told(conn, "canvass", canvass), "ballot");
  assert.equal(vote!.body.granted, false);
  const [refused] = tellsOf(bench.told(conn, "append", append({ term: 5 })), "appended");
  assert.deepEqual([refused!.body.ok, refused!.body.index], [false, 0]);

  const took = bench.told(conn, "install", { term: 5, index: 7, indexTerm: 4, image, round: 1 });
  assert.deepEqual(only(took, "save").map(({ write }) => write.op), ["snapshot"]);
  assert.deepEqual(bench.machine.part, { role: "follower", term: 5, commit: 7 });
  assert.equal(bench.machine.hello().clusterId, "c-1");
  const other = member(null).comes(masterHello("m1", { clusterId: "" })).effects;
  assert.equal(errorsOf(other)[0]!.code, "unknownNode", "it isn't anybody's");
});

test("MemberMachine without a cluster keeps peers waiting a little, then says why, and ends when it is asked to (B8, T11)", () => {
  const bench = member(null);
  bench.give({ type: "opened" });
  bench.comes(helloAs("client"));
  const [error] = errorsOf(bench.pass(GUEST_MS));
  assert.equal(error!.code, "notPrimary");
  assert.match(error!.message, /^Cannot serve: it waits for its cluster: .*neo init/);
  assert.deepEqual(bench.give({ type: "terminate" }), [{ do: "stop" }]);
});

test("MemberMachine that was removed says so and stops (B9)", () => {
  const { bench, leader } = led();
  const masters = ["m1", "m3"].map((name, at) => ({
    index: at * 2 + 1,
    name,
    role: "master",
    address: `${name}:1`,
    diskId: `disk-${name}`,
    weight: 1,
    path: [],
    draining: false,
  }));
  const entry = encodeEntry({ type: "masters", masters, voters: [1, 3] });
  bench.told(leader, "append", append({ entries: [{ term: 1, entry }] }));
  const error = { code: "unknownNode", message: "isn't in the roster" } as const;
  const [stop] = only(bench.lost(leader, { error }), "stop");
  assert.match(stop!.error!.message, /master m2 was removed from the cluster/);
});
