import assert from "node:assert/strict";
import { test } from "node:test";
import type { Conn, NodeIndex, Tid } from "../../core/ids.ts";
import { ttidOf } from "../../core/ids.ts";
import type { Effect } from "../../core/machine.ts";
import type { Body, Evidence } from "../../core/messages.ts";
import {
  answersOf,
  asksOf,
  asPartition,
  emptyReport,
  errorsOf,
  helloAs,
  masterBench,
  only,
  runMaster,
  storageHello,
  tableOf,
  tellsOf,
} from "../../tests/machines.ts";

const SHAPE = { storages: 2, replicas: 1, partitions: 1 };
const p0 = asPartition(0);

/** A cluster of two copies: s2 was lost, the table is 1.2, and s2 serves again, out of date. */
function scene() {
  const bench = masterBench(SHAPE);
  const [s1, first] = runMaster(bench, SHAPE) as [Conn, Conn];
  const { conn: client, effects } = bench.comes(helloAs("client"));
  const session = tellsOf(effects, "welcome")[0]!.body.session;
  bench.lost(first);
  let transactions = 0;
  const rejoin = () => {
    const came = bench.comes(storageHello(2));
    const fenced = bench.answered(asksOf(came.effects, "fence")[0]!, emptyReport(tableOf(SHAPE)));
    bench.answered(asksOf(fenced, "start")[0]!, {});
    return came.conn;
  };
  const s2 = rejoin();
  const sessions = new Map<number, number>([[2, 1], [3, 3]]);
  /** Asks to commit, with the votes of these nodes; gives the locks that are asked for, and the ttid. */
  const finish = (votes: readonly { node: number; locked?: boolean; since?: number }[]) => {
    const ttid = ttidOf(session as never, ++transactions);
    const evidence = votes.map(({ node, locked = node === 2, since = node === 2 ? 1 : 2 }): Evidence => ({
      node: node as NodeIndex,
      session: sessions.get(node)!,
      cells: [{ partition: p0, since, locked }],
    }));
    const body: Body<"finish"> = {
      ttid,
      home: p0,
      explicit: null,
      stored: [4n as never],
      checked: [],
      evidence,
      sent: [2, 3] as NodeIndex[],
      failed: [],
      behind: null,
    };
    const said = bench.asked(client, "finish", body);
    return { ttid, said, locks: asksOf(said, "lock") };
  };
  const catchUp = (covered: Tid | null, more: Partial<Body<"catchUp">> = {}, conn: Conn = s2) => {
    const cells = [{ partition: p0, since: 2, covered }];
    return bench.asked(conn, "catchUp", { epoch: 1, cells, ...more });
  };
  const table = () => bench.machine.view.table;
  return { bench, s1, s2, client, finish, catchUp, table, rejoin, sessions };
}

const targetsOf = (effects: readonly Effect[]) => answersOf(effects, "catchUp").map(({ target }) => target);
const tidOf = (effects: readonly Effect[]) => answersOf(effects, "finish")[0]!.tid;

test("CatchUp gives published targets only, and keeps the question while there is nothing to say (A3)", () => {
  const { bench, finish, catchUp, table } = scene();
  const [before] = targetsOf(catchUp(null));
  const { locks } = finish([{ node: 2 }]); // s2 doesn't vote; accepted, not published
  assert.equal(locks.length, 1);
  assert.deepEqual(targetsOf(catchUp(null)), [before], "what is only allocated is no target");
  const kept = catchUp(before!);
  assert.deepEqual([targetsOf(kept), errorsOf(kept)], [[], []]);
  const published = bench.answered(locks[0]!, {});
  const tid = tidOf(published);
  assert.deepEqual(targetsOf(published), [tid]);
  assert.equal(table(), "0: 2U 3O");
  assert.deepEqual(targetsOf(catchUp(tid)), [tid], "answered when it is readable");
  assert.equal(table(), "0: 2U 3U");
});

test("CatchUp makes no cell readable that missed an accepted transaction (A2)", () => {
  const { bench, finish, catchUp, table } = scene();
  const [target] = targetsOf(catchUp(null));
  const { locks } = finish([{ node: 2 }]);
  const tid = tidOf(bench.answered(locks[0]!, {}));
  assert.deepEqual(targetsOf(catchUp(target!)), [tid]);
  assert.equal(table(), "0: 2U 3O", "its target was below what it missed");
  catchUp(tid);
  assert.equal(table(), "0: 2U 3U");
});

test("CatchUp lets a cell that took a transaction without a lock become readable without another target", () => {
  const { bench, finish, catchUp, table } = scene();
  const [target] = targetsOf(catchUp(null));
  const { locks } = finish([{ node: 2 }, { node: 3, locked: false }]);
  assert.deepEqual(locks.length, 2);
  catchUp(target!);
  assert.equal(table(), "0: 2U 3U");
  for (const lock of locks) bench.answered(lock, {});
});

test("CatchUp doesn't let out-of-date cells hold a commit up: until its lock is answered, such a cell lacks it (B13)", () => {
  const { bench, finish, catchUp, table } = scene();
  const [target] = targetsOf(catchUp(null));
  const { locks } = finish([{ node: 2 }, { node: 3, locked: false }]);
  assert.equal(locks.length, 2);
  const tid = tidOf(bench.answered(locks[0]!, {}));
  assert.deepEqual(targetsOf(catchUp(target!)), [tid]);
  assert.equal(table(), "0: 2U 3O");
  const other = finish([{ node: 2 }, { node: 3, locked: false }]);
  bench.answered(locks[1]!, {}); // with this one, T is there; the other isn't published yet
  catchUp(target!);
  assert.equal(table(), "0: 2U 3U");
  assert.deepEqual(only(bench.answered(other.locks[0]!, {}), "answer"), [], "readers go to that cell now");
  tidOf(bench.answered(other.locks[1]!, {}));
});

test("CatchUp counts no vote of an earlier session, and what its node may have lost with it (A1)", () => {
  const { bench, s2, finish, catchUp, table, rejoin, sessions } = scene();
  const [target] = targetsOf(catchUp(null));
  const { locks } = finish([{ node: 2 }, { node: 3, locked: false }]);
  bench.lost(s2);
  const again = rejoin();
  sessions.set(3, 5);
  assert.deepEqual(targetsOf(catchUp(target!, {}, again)), [], "it may lack what it had voted for");
  assert.equal(table(), "0: 2U 3O");
  const published = bench.answered(locks[0]!, {});
  assert.deepEqual(targetsOf(published), [tidOf(published)]);
  catchUp(tidOf(published), {}, again);
  assert.equal(table(), "0: 2U 3U");
});

test("CatchUp takes nothing that is said of another epoch, or of a cell as it was before (A5, trap 4)", () => {
  const { catchUp, table } = scene();
  const [target] = targetsOf(catchUp(null));
  const stale = catchUp(target!, { epoch: 0 });
  assert.deepEqual(errorsOf(stale).map(({ code }) => code), ["denied"]);
  assert.deepEqual(targetsOf(catchUp(target!, { cells: [{ partition: p0, since: 1, covered: target! }] })), [
    target,
  ]);
  assert.equal(table(), "0: 2U 3O");
  catchUp(target!);
  assert.equal(table(), "0: 2U 3U");
});

test("CatchUp tells of a readable cell only when that is held, and counts it from its proposal (A8)", () => {
  const { bench, s1, s2, client, catchUp, finish, table } = scene();
  const [target] = targetsOf(catchUp(null));
  const cells = [{ partition: p0, since: 2, covered: target! }];
  const message = { name: "catchUp", body: { epoch: 1, cells } } as never;
  const proposed = bench.machine.step(
    { type: "asked", conn: s2, id: 900, withinMs: 1_000, message },
    bench.now,
  );
  assert.deepEqual(only(proposed, "save").length, 1);
  assert.deepEqual([tellsOf(proposed, "tableChange"), targetsOf(proposed)], [[], []]);
  assert.equal(table(), "0: 2U 3O");
  const { said } = finish([{ node: 2 }]);
  assert.deepEqual(errorsOf(said).map(({ code }) => code), ["missing"], "it counts already");
  assert.equal(table(), "0: 2U 3O");
  const held = bench.give({ type: "saved" });
  const told = tellsOf(held, "tableChange");
  assert.deepEqual(told.map(({ conns }) => [...conns].sort()), [[s1, s2, client].sort()]);
  assert.equal(table(), "0: 2U 3U");
});

test("CatchUp: a node that is lost while its cell becomes readable is outdated again before anything is locked (A8)", () => {
  const { bench, s2, catchUp, table } = scene();
  const [target] = targetsOf(catchUp(null));
  const cells = [{ partition: p0, since: 2, covered: target! }];
  const message = { name: "catchUp", body: { epoch: 1, cells } } as never;
  const proposed = bench.machine.step(
    { type: "asked", conn: s2, id: 900, withinMs: 1_000, message },
    bench.now,
  );
  bench.store!.apply(only(proposed, "save").map(({ write }) => write), { durable: true }); // nobody has said so yet
  const lost = bench.lost(s2);
  assert.equal(only(lost, "save").length, 1);
  const told = tellsOf(lost, "tableChange").flatMap(({ body }) => body.cells.map(({ state }) => state));
  assert.deepEqual(told, ["upToDate", "outOfDate"]);
  assert.equal(table(), "0: 2U 3O");
});

test("CatchUp: what verification has dropped is nothing that a cell misses, though its tid was allocated", () => {
  const { bench, s1, s2, finish, catchUp, table } = scene();
  assert.equal(finish([{ node: 2 }]).locks.length, 1); // accepted, and locked nowhere
  bench.lost(s1); // the last readable copy: operation ends
  bench.lost(s2);
  let effects: ReturnType<typeof bench.answered> = [];
  let again = s2;
  for (const number of [2, 1]) { // s2 comes first, while the old tid is the newest that was allocated
    const came = bench.comes(storageHello(number));
    const [fence] = asksOf(came.effects, "fence");
    effects = bench.answered(fence!, { ...emptyReport(tableOf(SHAPE)), version: 2 });
    if (number === 2) again = came.conn;
  }
  for (const start of asksOf(effects, "start")) bench.answered(start, {});
  assert.equal(bench.machine.view.phase, "running");
  const { epoch } = bench.machine.view;
  const [target] = targetsOf(catchUp(null, { epoch }, again));
  catchUp(target!, { epoch }, again);
  assert.equal(table(), "0: 2U 3U");
});

test("CatchUp asks nothing of clients and gives them no target", () => {
  const { client, catchUp } = scene();
  assert.deepEqual(errorsOf(catchUp(null, {}, client)).map(({ code }) => code), ["denied"]);
});
