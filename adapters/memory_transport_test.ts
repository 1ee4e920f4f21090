import assert from "node:assert/strict";
import { test } from "node:test";
import { testTransport } from "../tests/conformance/transport.ts";
import { assertBytes, ManualTimers, patternOf, Probe } from "../tests/conformance/transport_probe.ts";
import { MemoryNetwork } from "./memory_transport.ts";
import { SystemClock } from "./system.ts";

const clock = new SystemClock();
testTransport("MemoryNetwork", (later) => new MemoryNetwork({ soon: (task) => clock.soon(task), later }));

/** Tasks that run when the test says so. */
class ManualTurns {
  #tasks: (() => void)[] = [];

  readonly soon = (task: () => void): void => {
    this.#tasks.push(task);
  };

  /** One turn; false: there was nothing to do. */
  run(): boolean {
    const tasks = this.#tasks;
    this.#tasks = [];
    for (const task of tasks) task();
    return tasks.length > 0;
  }
}

test("MemoryNetwork reports nothing before soon() runs its task, and everything by its turns", async () => {
  const turns = new ManualTurns();
  const network = new MemoryNetwork({ soon: turns.soon, later: new ManualTimers().later });
  const [a, b] = [new Probe(network.transport()), new Probe(network.transport())];
  const conn = a.connect(await b.listen("b:9100"));
  a.write(conn, Uint8Array.of(1));
  assert.deepEqual([...a.events, ...b.events], []);

  while (turns.run());

  assert.deepEqual(a.events.map(({ type }) => type), ["connected"]);
  assert.deepEqual(b.events.map(({ type }) => type), ["accepted", "bytes"]);
});

/** What two nodes see that talk, stop reading and end. */
async function traceOf(): Promise<string[]> {
  const turns = new ManualTurns();
  const network = new MemoryNetwork({ soon: turns.soon, later: new ManualTimers().later });
  const [a, b] = [new Probe(network.transport()), new Probe(network.transport())];
  const trace: string[] = [];
  for (const [name, probe] of [["a", a], ["b", b]] as const) {
    probe.react = (event) => {
      trace.push(`${name} ${event.type} ${event.conn} ${event.type === "bytes" ? event.bytes.length : ""}`);
      if (event.type === "bytes" && event.bytes[0] === 9) probe.close(event.conn);
      else if (event.type === "bytes" && probe === b) probe.write(event.conn, event.bytes.subarray(0, 3));
    };
  }
  const address = await b.listen("b:0");
  const conns = [1, 2, 3].map(() => a.connect(address));
  for (const conn of conns) a.write(conn, patternOf(900_000));
  turns.run();
  for (const conn of conns) a.setReading(conn, false);
  for (let turn = 0; turn < 50; turn++) turns.run();
  for (const conn of conns) a.setReading(conn, true);
  a.write(conns[0] ?? assert.fail(), Uint8Array.of(9));
  while (turns.run());
  const ended = Promise.all([a.shutdown(), b.shutdown()]);
  while (turns.run());
  await ended;
  return trace;
}

test("MemoryNetwork repeats every event in the same order when soon() does", async () => {
  const trace = await traceOf();
  assert.ok(trace.length > 30, `${trace.length} events`);
  assert.deepEqual(await traceOf(), trace);
});

test("MemoryNetwork copies what is written: the writer may use its memory again", async () => {
  const turns = new ManualTurns();
  const network = new MemoryNetwork({ soon: turns.soon, later: new ManualTimers().later });
  const [a, b] = [new Probe(network.transport()), new Probe(network.transport())];
  const conn = a.connect(await b.listen("b:0"));
  const bytes = Uint8Array.of(1, 2, 3);
  a.write(conn, bytes);
  bytes.fill(0);

  while (turns.run());

  assertBytes(b.received(b.of("accepted")[0]?.conn ?? assert.fail()), Uint8Array.of(1, 2, 3));
});

test("MemoryNetwork.transport() refuses an address that another node listens on", async () => {
  const network = new MemoryNetwork({ soon: (task) => clock.soon(task) });
  const [a, b] = [network.transport(), network.transport()];
  assert.equal(await a.listen("storage:1"), "storage:1");
  await assert.rejects(b.listen("storage:1"), /Cannot listen on storage:1: it is in use/);
});
