import assert from "node:assert/strict";
import { test } from "node:test";
import {
  KEEPALIVE_MISSED_MAX,
  KEEPALIVE_MS,
  LATE_GRACE_MS,
  LATE_WAKE_MS,
  RECEIVED_BYTES_MAX,
  SPACE_CHECK_MS,
} from "../core/limits.ts";
import type { WireError } from "../core/messages.ts";
import { bytesOfPackets } from "../tests/fakes.ts";
import { byWords, HostStage, news, save, say, settled, sync } from "../tests/host_stage.ts";
import { helloAs } from "../tests/machines.ts";

test("Host stops reading from a peer that is faster than its machine, and goes on when that has caught up", async () => {
  const stage = new HostStage();
  const [conn, other] = [stage.open(), stage.open()];
  stage.script = byWords(conn);
  const { promise, resolve } = Promise.withResolvers<void>();
  stage.store.next = () => promise;
  stage.call("save a");
  stage.clock.run();
  const image = new Uint8Array(1_000_000);
  const bytes = bytesOfPackets({ kind: "tell", message: { name: "table", body: { image, epoch: 1 } } });
  const fitting = Math.floor(RECEIVED_BYTES_MAX / bytes.length);
  for (let i = 0; i < fitting; i++) stage.hears(conn, bytes);
  stage.hears(other, bytesOfPackets(news));
  assert.deepEqual(stage.transport.calls, []);

  stage.hears(conn, bytes);
  assert.deepEqual(stage.transport.calls, [`pause ${conn}`]);
  resolve();
  await settled();
  stage.clock.run();

  assert.deepEqual(stage.transport.calls, [`pause ${conn}`, `resume ${conn}`]);
  assert.equal(stage.notes.filter((line) => line === "step told").length, fitting + 2);
});

test("Host lets its machine end what a peer says in the middle of a batch (T21)", () => {
  const stage = new HostStage();
  const [conn, other] = [stage.open(), stage.open()];
  const error: WireError = { code: "denied", message: "Cannot serve you: you asked for it" };
  stage.script = (event) => {
    if (event.type === "asked" && event.conn === conn) return [{ do: "reject", conn, error }];
    return [];
  };
  stage.hears(conn, bytesOfPackets(news, sync(1), news, sync(2)));
  stage.hears(conn, bytesOfPackets(sync(3)));
  stage.hears(other, bytesOfPackets(sync(1)));
  stage.clock.run();
  stage.hears(conn, bytesOfPackets(sync(4)));
  stage.clock.run();

  assert.deepEqual(stage.takeNotes(), [
    "step told",
    "step asked",
    "step asked",
    "log warning Ended a connection: Cannot serve you: you asked for it",
    "step lost",
  ]);
  assert.deepEqual(stage.transport.takePackets(conn), [{ kind: "error", id: 0, error }]);
  assert.deepEqual(stage.transport.calls, [`close ${conn}`]);
});

test("Host lets its machine end a peer by the first of the messages that waited for its acceptance (T21)", () => {
  const stage = new HostStage();
  const conn = stage.transport.conn();
  const error: WireError = { code: "denied", message: "Cannot serve you: you asked for it" };
  stage.transport.report({ type: "accepted", conn, remote: "elsewhere" });
  stage.hears(conn, bytesOfPackets({ kind: "hello", hello: helloAs("client") }, sync(1), sync(2), news));
  stage.clock.run();
  stage.script = (event) => {
    if (event.type === "call") return [{ do: "accept", conn }];
    return event.type === "asked" ? [{ do: "reject", conn, error }] : [];
  };
  stage.call("accept");
  stage.clock.run();

  assert.deepEqual(stage.takeNotes(), [
    "step identified",
    "step accept",
    "step asked",
    "log warning Ended a connection: Cannot serve you: you asked for it",
    "step lost",
  ]);
});

test("Host steps all that a connection delivered before it says that it is lost", () => {
  const stage = new HostStage();
  const conn = stage.open();
  stage.hears(conn, bytesOfPackets(news, sync(1)));
  stage.transport.report({ type: "closed", conn, reason: "reset" });
  stage.clock.run();
  assert.deepEqual(stage.takeNotes(), ["step told", "step asked", "step lost"]);
});

test("Host writes what waits for a socket as soon as it drains, though nobody speaks (T23)", () => {
  const stage = new HostStage();
  const conn = stage.open();
  stage.script = byWords(conn);
  stage.transport.full.add(conn);
  stage.call("say");
  stage.clock.run();
  stage.call("say");
  stage.clock.run();
  assert.equal(stage.transport.takeWrites(conn).length, 1);

  stage.transport.full.delete(conn);
  stage.transport.report({ type: "drained", conn });
  stage.clock.run();

  assert.equal(stage.transport.takeWrites(conn).length, 1);
});

test("Host that is idle wants no wake-up, and with a connection only those for heartbeats (T10)", () => {
  const stage = new HostStage();
  assert.equal(stage.clock.wakeMs, undefined);
  assert.equal(stage.clock.isBusy, false);
  const conn = stage.open();
  const startMs = stage.clock.monoMs;
  for (let beat = 1; beat <= 12; beat++) {
    assert.equal(stage.clock.wakeMs, startMs + beat * KEEPALIVE_MS);
    stage.clock.pass(KEEPALIVE_MS);
    const [ping] = stage.transport.takePackets(conn);
    assert.ok(ping?.kind === "ask" && ping.message.name === "ping");
    stage.hears(conn, bytesOfPackets({ kind: "answer", id: ping.id, message: { name: "ping", body: {} } }));
    stage.clock.run();
  }

  assert.equal(stage.clock.wakes, 12);
  assert.deepEqual(stage.takeNotes(), [], "its machine slept");
});

test("Host wakes its machine when it is due, and not before (T10)", () => {
  const stage = new HostStage();
  stage.dueMs = stage.clock.monoMs + 500;
  stage.call("begin");
  stage.clock.run();
  assert.equal(stage.clock.wakeMs, stage.dueMs);
  stage.clock.pass(499);
  assert.deepEqual(stage.takeNotes(), ["step begin"]);

  stage.script = () => {
    stage.dueMs = undefined;
    return [];
  };
  stage.clock.pass(1);

  assert.deepEqual(stage.takeNotes(), ["step due"]);
  assert.equal(stage.clock.wakeMs, undefined);
});

test("Host of a process that was starved listens to all before it judges any of its peers", () => {
  const stage = new HostStage();
  const [first, second, silent] = [stage.open(), stage.open(), stage.open()];
  const waits = (KEEPALIVE_MISSED_MAX + 2) * KEEPALIVE_MS;
  for (let beat = 1; beat <= KEEPALIVE_MISSED_MAX; beat++) stage.clock.pass(KEEPALIVE_MS);
  assert.ok(waits > LATE_WAKE_MS);

  stage.clock.pass(waits); // the process gets no time, and all peers have had theirs
  assert.equal(stage.clock.wakeMs, stage.clock.monoMs + LATE_GRACE_MS);
  for (const conn of [first, second]) {
    stage.hears(conn, bytesOfPackets(news));
    stage.clock.pass(LATE_GRACE_MS / 2 - 1);
  }
  assert.deepEqual(stage.takeNotes(), ["step told", "step told"]);
  stage.clock.pass(2);

  assert.deepEqual(stage.takeNotes(), [
    `log warning Ended a connection: Lost the peer: silent for ${8 * KEEPALIVE_MS + 100} ms and 3 heartbeats`,
    "step lost",
  ]);
  assert.deepEqual(stage.transport.calls, [`destroy ${silent}`]);
});

test("Host tells its machine how much room its store has, when it looks while it works", () => {
  const stage = new HostStage();
  const rooms: number[] = [];
  stage.script = (event) => {
    if (event.type === "room") rooms.push(event.freeBytes);
    return [];
  };
  stage.store.free = 5_000;
  for (let i = 0; i < 3; i++) {
    stage.clock.pass(SPACE_CHECK_MS - 1);
    stage.call("work");
    stage.clock.run();
  }
  assert.deepEqual(rooms, [5_000]);
  stage.clock.pass(SPACE_CHECK_MS);
  stage.call("work");
  stage.clock.run();
  assert.deepEqual(rooms, [5_000, 5_000]);
});

test("Host that is told to stop says what is to be said, then closes everything and its store", async () => {
  const stage = new HostStage();
  const conn = stage.open();
  stage.script = (event) => (event.type === "terminate" ? [{ do: "stop" }, save("last"), say(conn)] : []);
  stage.host.terminate();
  stage.call("behind");
  stage.clock.run();
  await settled();

  assert.deepEqual(stage.takeNotes(), ["step terminate", "apply last", "close"]);
  assert.equal(stage.transport.takeWrites(conn).length, 1);
  assert.ok(stage.transport.isShut && stage.host.ended);
  assert.deepEqual(stage.ends, [undefined]);
});

test("Host that is killed does nothing more: no save, no word, no report", async () => {
  const stage = new HostStage();
  const conn = stage.open();
  stage.script = byWords(conn);
  stage.call("save a", "say");
  stage.host.kill();
  stage.clock.run();
  stage.hears(conn, bytesOfPackets(news));
  stage.clock.pass(60_000);
  await settled();

  assert.deepEqual(stage.takeNotes(), []);
  assert.deepEqual(stage.transport.takeWrites(conn), []);
  assert.deepEqual(stage.ends, []);
});

test("Host whose store answers after it was killed does nothing more", async () => {
  const stage = new HostStage();
  const conn = stage.open();
  stage.script = byWords(conn);
  const { promise, resolve } = Promise.withResolvers<void>();
  stage.store.next = () => promise;
  stage.call("save a", "say");
  stage.clock.run();
  stage.host.kill();
  resolve();
  await settled();

  assert.deepEqual(stage.takeNotes(), ["step save a", "step say", "apply a"]);
  assert.deepEqual(stage.transport.takeWrites(conn), []);
});
