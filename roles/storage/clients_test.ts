import assert from "node:assert/strict";
import { test } from "node:test";
import { ZERO_TID } from "../../core/ids.ts";
import type { Effect } from "../../core/machine.ts";
import {
  asNode,
  errorsOf,
  helloAs,
  only,
  serveStorage,
  storageBench,
  tableOf,
} from "../../tests/machines.ts";
import { PRIMARY } from "../seeker.ts";

const clientOf = (session: number, epoch: number = 1) => helloAs("client", { session, epoch });
const accepted = (effects: readonly Effect[]) => only(effects, "accept").map(({ conn }) => conn);

test("StorageMachine accepts a client whose session the primary has announced (T16)", () => {
  const bench = storageBench();
  serveStorage(bench, { sessions: [1, 2] });
  const { conn, effects } = bench.comes(clientOf(2));
  assert.deepEqual(effects, [{ do: "accept", conn }]);
});

test("StorageMachine keeps a client waiting until the primary announces it (T11)", () => {
  const bench = storageBench();
  const primary = serveStorage(bench, { sessions: [1, 2] });
  const early = bench.comes(clientOf(4));
  assert.deepEqual(early.effects, []);

  assert.deepEqual(accepted(bench.told(primary, "sessionOpened", { epoch: 1, session: 3 })), []);
  assert.deepEqual(accepted(bench.told(primary, "sessionOpened", { epoch: 1, session: 4 })), [early.conn]);
});

test("StorageMachine that isn't started yet keeps its clients waiting, and accepts them when it is (T11, T37)", () => {
  const bench = storageBench();
  bench.give({ type: "opened" });
  const first = bench.comes(clientOf(1));
  const { conn } = bench.reached(PRIMARY, helloAs("master"));
  bench.asked(conn, "fence", { epoch: 1, session: 1, node: asNode(2), image: tableOf().toImage() });
  const second = bench.comes(clientOf(2));
  assert.deepEqual([...first.effects, ...second.effects], []);

  const effects = bench.asked(conn, "start", {
    epoch: 1,
    lastTid: ZERO_TID,
    sessions: [1, 2],
    sessionMark: 2,
  });

  assert.deepEqual(accepted(effects), [first.conn, second.conn]);
});

test("StorageMachine that is fenced anew keeps the clients of the next epoch waiting (T11)", () => {
  const bench = storageBench();
  const primary = serveStorage(bench, { sessions: [1] });
  bench.asked(primary, "fence", { epoch: 2, session: 2, node: asNode(2), image: tableOf().toImage() });
  const early = bench.comes(clientOf(7, 2));
  assert.deepEqual(early.effects, []);
  const effects = bench.asked(primary, "start", {
    epoch: 2,
    lastTid: ZERO_TID,
    sessions: [7],
    sessionMark: 7,
  });
  assert.deepEqual(accepted(effects), [early.conn]);
});

const waits = [
  { started: false, why: /waits for the primary to start this storage/ },
  { started: true, why: /waits for the primary's announcement of this client/ },
];
for (const { started, why } of waits) {
  test(`StorageMachine tells a client whose patience ends what it ${started ? "still" : "first"} waits for (T37)`, () => {
    const bench = storageBench();
    if (started) serveStorage(bench);
    else bench.give({ type: "opened" });
    const { conn } = bench.comes(clientOf(9));

    const effects = bench.give({ type: "impatient", conn });

    assert.deepEqual(only(effects, "reject").map((reject) => reject.conn), [conn]);
    const [error] = errorsOf(effects);
    assert.equal(error?.code, "timedOut");
    assert.match(error?.message ?? "", why);
    assert.deepEqual(bench.give({ type: "terminate" }).filter(({ do: what }) => what === "reject"), []);
  });
}

test("StorageMachine refuses a client whose session is over, by its number, whether it lived here or not", () => {
  const bench = storageBench();
  const primary = serveStorage(bench, { sessions: [3] });
  for (const session of [1, 2]) {
    const [error] = errorsOf(bench.comes(clientOf(session)).effects);
    assert.deepEqual(error, {
      code: "sessionEnded",
      message: `Cannot serve client session ${session}: it is over; identify at the primary again`,
      detail: { session },
    });
  }
  bench.told(primary, "sessionEnded", { epoch: 1, session: 9 });
  assert.deepEqual(errorsOf(bench.comes(clientOf(9)).effects).map(({ code }) => code), ["sessionEnded"]);
});

test("StorageMachine refuses a client of an older epoch that no announcement will follow", () => {
  const bench = storageBench();
  serveStorage(bench, { epoch: 5, sessions: [3] });
  assert.deepEqual(errorsOf(bench.comes(clientOf(99, 4)).effects).map(({ code }) => code), ["sessionEnded"]);
});

test("StorageMachine ends the connections of a session that the primary ends, and no others", () => {
  const bench = storageBench();
  const primary = serveStorage(bench, { sessions: [1, 2] });
  const [first, , other] = [1, 1, 2].map((session) => bench.comes(clientOf(session)).conn);

  const effects = bench.told(primary, "sessionEnded", { epoch: 1, session: 1 });

  assert.deepEqual(only(effects, "reject").map(({ conn }) => conn), [first!, first! + 1]);
  assert.deepEqual(bench.lost(other!), []);
});

test("StorageMachine ends all clients at a fence, because their sessions ended with the epoch", () => {
  const bench = storageBench();
  const primary = serveStorage(bench, { sessions: [1, 2] });
  const conns = [1, 2].map((session) => bench.comes(clientOf(session)).conn);

  const effects = bench.asked(primary, "fence", {
    epoch: 2,
    session: 2,
    node: asNode(2),
    image: tableOf().toImage(),
  });

  assert.deepEqual(only(effects, "reject").map(({ conn }) => conn), conns);
});

test("StorageMachine takes a session's announcement from its primary only, and of its epoch only", () => {
  const bench = storageBench();
  const primary = serveStorage(bench, { sessions: [1] });
  const { conn: client } = bench.comes(clientOf(1));
  const early = bench.comes(clientOf(5));

  bench.told(client, "sessionOpened", { epoch: 1, session: 5 });
  bench.told(primary, "sessionOpened", { epoch: 2, session: 5 });
  const [error] = errorsOf(bench.give({ type: "impatient", conn: early.conn }));

  assert.equal(error?.code, "timedOut");
});
