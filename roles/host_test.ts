import assert from "node:assert/strict";
import { test } from "node:test";
import { ROUND_EVENTS_MAX } from "../core/limits.ts";
import { bytesOfPackets } from "../tests/fakes.ts";
import { byWords, HostStage, news, output, read, save, say, settled } from "../tests/host_stage.ts";

test("Host saves, tells the machine, reads, and only then sends, whatever the order of effects", () => {
  const stage = new HostStage();
  const conn = stage.open();
  const written: number[] = [];
  stage.script = (event) => {
    if (event.type === "call") return [output("x"), say(conn), read("r"), save("a"), save("b")];
    written.push(stage.transport.takeWrites(conn).length);
    return [];
  };
  stage.call("go");
  stage.clock.run();

  assert.deepEqual(stage.takeNotes(), [
    "step go",
    "apply a b",
    "step saved",
    "read r",
    "step read",
    "output x",
  ]);
  assert.deepEqual(written, [0, 0], "nothing had left when the save and the read were done");
  assert.equal(stage.transport.takeWrites(conn).length, 1);
});

test("Host does the saves of all events of a round in one apply, before anything that any of them said", () => {
  const stage = new HostStage();
  const conn = stage.open();
  stage.script = byWords(conn);
  stage.call("say", "save a", "say", "save b", "output x");
  stage.clock.run();

  assert.deepEqual(stage.takeNotes().filter((line) => !line.startsWith("step ")), ["apply a b", "output x"]);
  assert.equal(stage.transport.takeWrites(conn).length, 1, "one write for the round");
});

const flushes = [
  { calls: ["save a", "save b"], expected: "apply a b" },
  { calls: ["save a", "save! b", "save c"], expected: "apply a b c durable" },
  { calls: ["save! a"], expected: "apply a durable" },
];
for (const { calls, expected } of flushes) {
  test(`Host flushes only for a durable save: ${calls.join(", ")}`, () => {
    const stage = new HostStage();
    stage.script = byWords(stage.open());
    stage.call(...calls);
    stage.clock.run();
    assert.deepEqual(stage.notes.filter((line) => line.startsWith("apply")), [expected]);
  });
}

test("Host saves again what the machine decides when it is told of a save or an answer, before it sends", () => {
  const stage = new HostStage();
  const conn = stage.open();
  let left = 2;
  stage.script = (event) => {
    if (event.type === "call") return [save("a"), read("r"), say(conn)];
    if (event.type === "saved" && left-- === 2) return [save("b", true)];
    return event.type === "read" ? [save("c")] : [];
  };
  stage.call("go");
  stage.clock.run();

  assert.deepEqual(stage.takeNotes(), [
    "step go",
    "apply a",
    "step saved",
    "apply b durable",
    "step saved",
    "read r",
    "step read",
    "apply c",
    "step saved",
  ]);
});

test("Host that waits for a save steps nothing and lets nothing out until it is done", async () => {
  const stage = new HostStage();
  const conn = stage.open();
  stage.script = byWords(conn);
  const { promise, resolve } = Promise.withResolvers<void>();
  stage.store.next = () => promise;
  stage.call("save a", "say", "output x");
  stage.clock.run();
  stage.call("save b");
  stage.hears(conn, bytesOfPackets(news));
  stage.clock.run();
  stage.clock.pass(60_000);

  assert.deepEqual(stage.takeNotes(), ["step save a", "step say", "step output x", "apply a"]);
  assert.deepEqual(stage.transport.takeWrites(conn), []);

  resolve();
  await settled();
  stage.clock.run();

  assert.deepEqual(stage.takeNotes(), [
    "step saved",
    "output x",
    "step save b",
    "step told",
    "apply b",
    "step saved",
  ]);
  assert.equal(stage.transport.takeWrites(conn).length, 1);
});

test("Host gives an answer that comes later in a later round", async () => {
  const stage = new HostStage();
  const conn = stage.open();
  const { promise, resolve } = Promise.withResolvers<string>();
  stage.script = byWords(conn);
  stage.store.nextRead = () => promise;
  stage.call("read r", "say");
  stage.clock.run();
  assert.equal(stage.transport.takeWrites(conn).length, 1, "a read that is late holds nothing up");
  stage.call("output x");
  stage.clock.run();

  resolve("late");
  await settled();
  stage.clock.run();

  assert.deepEqual(stage.takeNotes().slice(-3), ["step output x", "output x", "step read"]);
});

const failures: { what: string; fail: () => void | Promise<void>; code: string }[] = [
  {
    what: "throws",
    fail: () => {
      throw new Error("EIO: disk is gone");
    },
    code: "ioError",
  },
  { what: "fails later", fail: () => Promise.reject(new Error("EIO: disk is gone")), code: "ioError" },
  {
    what: "has no space",
    fail: () => {
      throw Object.assign(new Error("ENOSPC: disk is gone"), { code: "noSpace" });
    },
    code: "noSpace",
  },
];
for (const { what, fail, code } of failures) {
  test(`Host whose save ${what} sends nothing, closes everything and ends with ${code}`, async () => {
    const stage = new HostStage();
    const conn = stage.open();
    stage.script = byWords(conn);
    stage.store.next = fail;
    stage.call("say", "save a", "output x");
    stage.clock.run();
    await settled();

    assert.deepEqual(stage.transport.takeWrites(conn), []);
    assert.ok(stage.transport.isShut);
    assert.deepEqual(stage.ends.map((error) => error?.code), [code]);
    assert.match(stage.ends[0]!.message, /disk is gone/);
    assert.ok(stage.notes.some((line) => /^log error Cannot go on: E\w+: disk is gone/.test(line)));
    assert.ok(!stage.notes.includes("step saved") && !stage.notes.includes("output x"));
    assert.equal(stage.notes.at(-1), "close", "another process may have its store now");

    stage.call("save b");
    stage.clock.run();
    assert.ok(!stage.notes.includes("step save b"), "the machine is thrown away");
  });
}

test("Host ends when its machine breaks an invariant, and nothing of that round leaves", async () => {
  const stage = new HostStage();
  const conn = stage.open();
  stage.script = (event) => {
    if (event.type === "call" && event.text === "break") throw new Error("Broken invariant: tids only grow");
    return [say(conn)];
  };
  stage.call("fine", "break");
  stage.clock.run();
  await settled();

  assert.deepEqual(stage.transport.takeWrites(conn), []);
  assert.match(stage.ends[0]!.message, /tids only grow/);
});

test("Host reads the clock once a round, after it has taken the round's events", () => {
  const stage = new HostStage();
  const seen: number[] = [];
  stage.script = (_, now) => {
    seen.push(now.monoMs);
    stage.clock.monoMs += 7;
    return [];
  };
  stage.call("a", "b");
  stage.clock.monoMs += 100;
  const startMs = stage.clock.monoMs;
  stage.clock.run();

  assert.deepEqual(seen, [startMs, startMs]);
});

test("Host takes a bounded number of events into one round", () => {
  const stage = new HostStage();
  stage.script = (event) => (event.type === "call" ? [save(event.text)] : []);
  stage.call(...Array.from({ length: ROUND_EVENTS_MAX + 1 }, (_, at) => String(at)));
  stage.clock.run();

  const rounds = stage.notes.filter((line) => line.startsWith("apply")).map((line) =>
    line.split(" ").length - 1
  );
  assert.deepEqual(rounds, [ROUND_EVENTS_MAX, 1]);
});
