import assert from "node:assert/strict";
import { test } from "node:test";
import type { Conn } from "../core/ids.ts";
import type { Effect, PeerEvent } from "../core/machine.ts";
import type { Answer, Hello, WireError } from "../core/messages.ts";
import { Operator } from "./operator.ts";
import type { OperatorOutput } from "./operator.ts";

const CONN = 1 as Conn;
const hello = { magic: "neo1", cluster: "shop", role: "admin" } as unknown as Hello;
const lost: WireError = { code: "lost", message: "connection refused" };

/** An operator that wants a running cluster, and what it has done so far. */
class Desk {
  readonly operator = new Operator({
    question: "status",
    body: {},
    addresses: ["h:1", "h:2"],
    hello,
    withinMs: 1000,
    isWanted: (answer) => "state" in answer && answer.state === "running",
  });
  nowMs = 0;

  step(event: Parameters<Operator["step"]>[0]): string[] {
    return this.operator.step(event, { monoMs: this.nowMs, wallMs: 0 }).map(shown);
  }

  identified(): string[] {
    return this.step({ type: "identified", conn: CONN, hello, incoming: false, target: "primary" });
  }

  answered(state: string): string[] {
    const body = { state } as Answer<"status">;
    return this.step({ type: "answered", conn: CONN, context: "status", message: { name: "status", body } });
  }

  told(): string[] {
    const message = { name: "phase", body: { phase: "verifying", epoch: 1 } } as const;
    return this.step({ type: "told", conn: CONN, message } as PeerEvent<"status">);
  }
}

function shown(effect: Effect<unknown, unknown, unknown, unknown, unknown>): string {
  if (effect.do === "connect") return `connect ${effect.address}`;
  if (effect.do === "ask") return `ask ${effect.message.name}`;
  if (effect.do !== "output") return effect.do;
  const output = effect.output as OperatorOutput;
  if ("error" in output) return `${output.error.name}: ${output.error.message}`;
  return `answer ${(output.answer as Answer<"status">).state}`;
}

test("Operator asks the first master that it reaches, and ends with the answer", () => {
  const desk = new Desk();

  assert.deepEqual(desk.step({ type: "opened" }), ["connect h:1"]);
  assert.deepEqual(desk.identified(), ["accept", "ask status"]);
  assert.deepEqual(desk.answered("running"), ["answer running", "stop"]);
  assert.equal(desk.operator.due(), undefined);
});

test("Operator asks again only when the cluster has changed, until the answer is wanted", () => {
  const desk = new Desk();
  desk.step({ type: "opened" });
  desk.identified();

  assert.deepEqual(desk.answered("recovering"), []);
  assert.deepEqual(desk.told(), ["ask status"]);
  assert.deepEqual(desk.told(), []);
  assert.deepEqual(desk.answered("verifying"), ["ask status"]);
  assert.deepEqual(desk.answered("running"), ["answer running", "stop"]);
});

test("Operator tries the masters in turn until its time is over", () => {
  const desk = new Desk();
  desk.step({ type: "opened" });
  desk.step({ type: "lost", conn: CONN, error: lost, target: "primary" });
  desk.nowMs = desk.operator.due()!;

  assert.deepEqual(desk.step({ type: "due" }), ["connect h:2"]);
  desk.step({ type: "lost", conn: CONN, error: lost, target: "primary" });
  desk.nowMs = 1000;
  const [output, stop] = desk.step({ type: "due" });

  assert.equal(output, "UnreachableError: Cannot reach the primary master at h:1, h:2: connection refused");
  assert.equal(stop, "stop");
});

test("Operator gives the last answer when its time is over before a wanted one", () => {
  const desk = new Desk();
  desk.step({ type: "opened" });
  desk.identified();
  desk.answered("recovering");
  desk.nowMs = 1000;

  assert.deepEqual(desk.step({ type: "due" }), ["answer recovering", "stop"]);
});

test("Operator doesn't try again where it is refused", () => {
  const desk = new Desk();
  desk.step({ type: "opened" });

  const error: WireError = { code: "wrongCluster", message: `Cannot join "shop": this is "web"` };
  const effects = desk.step({ type: "lost", conn: CONN, error, target: "primary" });

  assert.deepEqual(effects, [`RefusedError: Cannot join "shop": this is "web"`, "stop"]);
});

test("Operator doesn't repeat what changes something when its answer is lost, and says so", () => {
  const operator = new Operator({
    question: "dropNode",
    body: { name: "s2" },
    addresses: ["h:1"],
    hello,
    withinMs: 1000,
    isWanted: () => true,
    once: true,
  });
  const step = (event: Parameters<Operator["step"]>[0]) =>
    operator.step(event, { monoMs: 0, wallMs: 0 }).map(shown);
  step({ type: "opened" });
  assert.deepEqual(step({ type: "lost", conn: CONN, error: lost, target: "primary" }), [], "not asked yet");
  assert.deepEqual(step({ type: "identified", conn: CONN, hello, incoming: false, target: "primary" }), [
    "accept",
  ]);
  const notPrimary: WireError = { code: "notPrimary", message: "m2 is", detail: { address: "h:2" } };
  assert.deepEqual(
    step({ type: "lost", conn: CONN, error: notPrimary, target: "primary" }),
    [],
    "nobody took it",
  );
  step({ type: "identified", conn: CONN, hello, incoming: false, target: "primary" });
  const message = { name: "phase", body: { phase: "running", epoch: 1 } } as const;
  const word = { type: "told", conn: CONN, message } as PeerEvent<"status">;
  assert.deepEqual(step(word), ["ask dropNode"], "the primary has spoken");
  const [output, stop] = step({ type: "lost", conn: CONN, error: lost, target: "primary" });
  assert.match(
    output ?? "",
    /^UnreachableError: Cannot tell whether it was done: .* look before you repeat it$/,
  );
  assert.equal(stop, "stop");
});
