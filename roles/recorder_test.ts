import assert from "node:assert/strict";
import { test } from "node:test";
import type { Conn } from "../core/ids.ts";
import { RECORDED_CONNECTIONS_MAX, RECORDED_MESSAGES } from "../core/limits.ts";
import { Recorder } from "./recorder.ts";

const conn = 7 as Conn;

test("Recorder remembers who said what, in order and with the time since (N12)", () => {
  const recorder = new Recorder();
  recorder.event({ type: "identified", conn, hello: { role: "client", name: "web" } }, 1_000);
  recorder.event({ type: "asked", conn, id: 3, message: { name: "store" } }, 1_010);
  recorder.effect({ do: "answer", conn, id: 3, message: { name: "store" } } as never, 1_012);
  recorder.effect({ do: "tell", conns: [conn], message: { name: "published" } } as never, 1_013);
  recorder.event({ type: "lost", conn, error: { code: "lost" } }, 1_020);
  recorder.event({ type: "saved" }, 1_021);
  assert.deepEqual(recorder.report(1_100), [{
    conn,
    peer: "client web",
    messages: [
      "0.100 identified client",
      "0.090 asked store 3",
      "0.088 answer store 3",
      "0.087 tell published",
      "0.080 lost lost",
    ],
  }]);
});

test("Recorder says what goes by to a log that wants it, and nothing to one that doesn't (T51, N12)", () => {
  const said: string[] = [];
  const wanted = new Set<string>();
  const recorder = new Recorder({
    wants: (module) => wanted.has(module),
    say: (module, text, { peer, id }) => void said.push(`${module}: ${text} (${peer} ${id ?? ""})`),
  });
  const pass = (): void => {
    recorder.event({ type: "identified", conn, hello: { role: "client", name: "web" } }, 1);
    recorder.event({ type: "asked", conn, id: 3, message: { name: "store" } }, 2);
    recorder.effect({ do: "answer", conn, id: 3, message: { name: "store" } } as never, 3);
    recorder.event({ type: "lost", conn, error: { code: "lost" } }, 4);
  };
  pass();
  assert.deepEqual(said, []);
  wanted.add("connections");
  pass();
  assert.deepEqual(said.splice(0), [
    "connections: A peer has come (client web )",
    "connections: A peer has gone (client web )",
  ]);
  wanted.delete("connections");
  wanted.add("messages");
  pass();
  assert.deepEqual(said.slice(1, 3), [
    "messages: asked store (client web 3)",
    "messages: answer store (client web 3)",
  ]);
});

test("Recorder keeps the last of many, of the last connections (N12)", () => {
  const recorder = new Recorder();
  for (let id = 1; id <= RECORDED_MESSAGES + 5; id++) {
    recorder.event({ type: "asked", conn, id, message: { name: "ping" } }, 0);
  }
  const messages = recorder.report(0)[0]?.messages ?? [];
  assert.equal(messages.length, RECORDED_MESSAGES);
  assert.deepEqual([messages[0], messages.at(-1)], [
    "0.000 asked ping 6",
    `0.000 asked ping ${RECORDED_MESSAGES + 5}`,
  ]);
  for (let other = 100; other < 100 + RECORDED_CONNECTIONS_MAX; other++) {
    recorder.event({ type: "told", conn: other as Conn, message: { name: "published" } }, 0);
  }
  const report = recorder.report(0);
  assert.deepEqual([report.length, report.some((one) => one.conn === conn)], [
    RECORDED_CONNECTIONS_MAX,
    false,
  ]);
});
