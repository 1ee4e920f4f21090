import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { Packet } from "../core/codec.ts";
import type { Conn } from "../core/ids.ts";
import {
  KEEPALIVE_MISSED_MAX,
  KEEPALIVE_MS,
  LATE_GRACE_MS,
  LATE_WAKE_MS,
  RECEIVED_BYTES_MAX,
  ROUND_EVENTS_MAX,
  SPACE_CHECK_MS,
} from "../core/limits.ts";
import { tell } from "../core/machine.ts";
import type { Effect, HostEvent, Now, PeerEvent } from "../core/machine.ts";
import type { WireError } from "../core/messages.ts";
import type { Store } from "../core/ports.ts";
import { bytesOfPackets, FakeClock, FakeTransport, helloBytes } from "../tests/fakes.ts";
import { helloAs } from "../tests/machines.ts";
import { Host } from "./host.ts";

type Call = { readonly type: "call"; readonly text: string };
type ScriptEvent = PeerEvent<string> | HostEvent<string, string> | Call;
type ScriptEffect = Effect<string, string, string, string, string>;

/** A store that notes what it is asked, and fails or waits if it is told to. */
class NotingStore implements Store<string, string, string> {
  readonly #note: (line: string) => void;
  /** What the next `apply` does instead of returning at once. */
  next: (() => void | Promise<void>) | undefined;
  nextRead: (() => Promise<string>) | undefined;
  free: number | undefined;

  constructor(note: (line: string) => void) {
    this.#note = note;
  }

  apply(writes: readonly string[], { durable }: { readonly durable: boolean }): void | Promise<void> {
    this.#note(`apply ${writes.join(" ")}${durable ? " durable" : ""}`);
    const { next } = this;
    this.next = undefined;
    return next?.();
  }

  read(query: string): string | Promise<string> {
    this.#note(`read ${query}`);
    return this.nextRead?.() ?? `${query}!`;
  }

  freeBytes(): number | undefined {
    return this.free;
  }

  close(): void {
    this.#note("close");
  }
}

/** A host whose machine is a script, and whose world notes everything in one list, in its order. */
class Stage {
  readonly clock = new FakeClock();
  readonly transport = new FakeTransport();
  readonly notes: string[] = [];
  readonly store = new NotingStore((line) => this.note(line));
  /** What the machine answers to an event; the default notes it and does nothing. */
  script: (event: ScriptEvent, now: Now) => ScriptEffect[] = () => [];
  dueMs: number | undefined;
  readonly ends: (WireError | undefined)[] = [];
  readonly host: Host<string, string, string, string, string, Call, string>;

  constructor() {
    const machine = {
      step: (event: ScriptEvent, now: Now) => {
        this.note(event.type === "call" ? `step ${event.text}` : `step ${event.type}`);
        return this.script(event, now);
      },
      due: () => this.dueMs,
    };
    this.host = new Host(machine, {
      clock: this.clock,
      transport: this.transport,
      store: this.store,
      log: (level, text) => this.note(`log ${level} ${text}`),
      output: (output) => this.note(`output ${output}`),
      stopped: (error) => this.ends.push(error),
    }, { hello: helloAs("storage", { name: "s1" }), serves: ["client"] });
    this.clock.run();
    this.takeNotes();
  }

  note(line: string): void {
    this.notes.push(line);
  }

  takeNotes(): string[] {
    return this.notes.splice(0);
  }

  call(...texts: readonly string[]): void {
    for (const text of texts) this.host.call({ type: "call", text });
  }

  /** A client that is identified and accepted. */
  open(): Conn {
    const conn = this.transport.conn();
    const before = this.script;
    this.script = (event) => (event.type === "identified" ? [{ do: "accept", conn }] : []);
    this.transport.report({ type: "accepted", conn, remote: "elsewhere" });
    this.hears(conn, helloBytes(helloAs("client")));
    this.clock.run();
    this.script = before;
    this.transport.takePackets(conn);
    this.takeNotes();
    return conn;
  }

  hears(conn: Conn, bytes: Uint8Array): void {
    this.transport.report({ type: "bytes", conn, bytes });
  }
}

const save = (write: string, durable: boolean = false): ScriptEffect => ({ do: "save", write, durable });
const read = (query: string): ScriptEffect => ({ do: "read", query, context: query });
const say = (conn: Conn): ScriptEffect => tell(conn, "phase", { phase: "running", epoch: 1 });
const output = (text: string): ScriptEffect => ({ do: "output", output: text });
const news: Packet = { kind: "tell", message: { name: "phase", body: { phase: "running", epoch: 1 } } };
const sync = (id: number): Packet => ({ kind: "ask", id, withinMs: 1, message: { name: "sync", body: {} } });
/** Lets promises that are settled run what waits for them. */
const settled = (): Promise<void> => setImmediate();

/** Calls that do something: `save a`, `save! a`, `read a`, `say`, `output a`. */
function byWords(conn: Conn): (event: ScriptEvent) => ScriptEffect[] {
  return (event) => {
    if (event.type !== "call") return [];
    const [verb, what = ""] = event.text.split(" ");
    switch (verb) {
      case "save":
        return [save(what)];
      case "save!":
        return [save(what, true)];
      case "read":
        return [read(what)];
      case "say":
        return [say(conn)];
      default:
        return [output(what)];
    }
  };
}

test("Host saves, tells the machine, reads, and only then sends, whatever the order of effects", () => {
  const stage = new Stage();
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
  const stage = new Stage();
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
    const stage = new Stage();
    stage.script = byWords(stage.open());
    stage.call(...calls);
    stage.clock.run();
    assert.deepEqual(stage.notes.filter((line) => line.startsWith("apply")), [expected]);
  });
}

test("Host saves again what the machine decides when it is told of a save or an answer, before it sends", () => {
  const stage = new Stage();
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
  const stage = new Stage();
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
  const stage = new Stage();
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
    const stage = new Stage();
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
    assert.ok(!stage.notes.includes("close"), "nothing is flushed behind a save that failed");

    stage.call("save b");
    stage.clock.run();
    assert.ok(!stage.notes.includes("step save b"), "the machine is thrown away");
  });
}

test("Host ends when its machine breaks an invariant, and nothing of that round leaves", async () => {
  const stage = new Stage();
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
  const stage = new Stage();
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
  const stage = new Stage();
  stage.script = (event) => (event.type === "call" ? [save(event.text)] : []);
  stage.call(...Array.from({ length: ROUND_EVENTS_MAX + 1 }, (_, at) => String(at)));
  stage.clock.run();

  const rounds = stage.notes.filter((line) => line.startsWith("apply")).map((line) =>
    line.split(" ").length - 1
  );
  assert.deepEqual(rounds, [ROUND_EVENTS_MAX, 1]);
});

test("Host stops reading from a peer that is faster than its machine, and goes on when that has caught up", async () => {
  const stage = new Stage();
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
  const stage = new Stage();
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

  assert.deepEqual(stage.takeNotes(), ["step told", "step asked", "step asked", "step lost"]);
  assert.deepEqual(stage.transport.takePackets(conn), [{ kind: "error", id: 0, error }]);
  assert.deepEqual(stage.transport.calls, [`close ${conn}`]);
});

test("Host lets its machine end a peer by the first of the messages that waited for its acceptance (T21)", () => {
  const stage = new Stage();
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

  assert.deepEqual(stage.takeNotes(), ["step identified", "step accept", "step asked", "step lost"]);
});

test("Host steps all that a connection delivered before it says that it is lost", () => {
  const stage = new Stage();
  const conn = stage.open();
  stage.hears(conn, bytesOfPackets(news, sync(1)));
  stage.transport.report({ type: "closed", conn, reason: "reset" });
  stage.clock.run();
  assert.deepEqual(stage.takeNotes(), ["step told", "step asked", "step lost"]);
});

test("Host writes what waits for a socket as soon as it drains, though nobody speaks (T23)", () => {
  const stage = new Stage();
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
  const stage = new Stage();
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
  const stage = new Stage();
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
  const stage = new Stage();
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

  assert.deepEqual(stage.takeNotes(), ["step lost"]);
  assert.deepEqual(stage.transport.calls, [`destroy ${silent}`]);
});

test("Host tells its machine how much room its store has, when it looks while it works", () => {
  const stage = new Stage();
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
  const stage = new Stage();
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
  const stage = new Stage();
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
  const stage = new Stage();
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
