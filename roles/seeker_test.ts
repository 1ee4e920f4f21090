import assert from "node:assert/strict";
import { test } from "node:test";
import type { Conn } from "../core/ids.ts";
import { RETRY_DELAY_MS_MAX, RETRY_DELAY_MS_MIN } from "../core/limits.ts";
import type { Effect } from "../core/machine.ts";
import type { WireError } from "../core/messages.ts";
import {
  adminBench,
  type Bench,
  clientBench,
  helloAs,
  LOST,
  only,
  storageBench,
  storageDisk,
} from "../tests/machines.ts";
import type { HostedMachine } from "./host.ts";
import { PRIMARY, Seeker } from "./seeker.ts";

const masters = ["m1:1", "m2:1", "m3:1"];

/** A seeker, and the time that passes for it. */
class Search {
  readonly seeker: Seeker;
  monoMs = 1_000;
  /** Addresses that it went to. */
  readonly went: string[] = [];

  constructor(addresses: readonly string[] = masters) {
    this.seeker = new Seeker(addresses, () => helloAs("client"));
    this.#take(this.seeker.begin());
  }

  /** The attempt fails; gives how long the seeker pauses before the next. */
  fails(error: WireError = LOST): number {
    this.seeker.lost(error, { monoMs: this.monoMs, wallMs: 0 });
    const pauseMs = this.seeker.dueMs! - this.monoMs;
    this.#take(this.seeker.due({ monoMs: this.seeker.dueMs! - 1, wallMs: 0 }));
    this.monoMs += pauseMs;
    this.#take(this.seeker.due({ monoMs: this.monoMs, wallMs: 0 }));
    return pauseMs;
  }

  identified(conn: number): void {
    const hello = helloAs("master");
    this.#take(
      this.seeker.identified({
        type: "identified",
        conn: conn as Conn,
        hello,
        incoming: false,
        target: PRIMARY,
      }),
    );
  }

  #take(effects: readonly Effect[]): void {
    this.went.push(...only(effects, "connect").map(({ address }) => address));
  }
}

test("Seeker tries the masters in turn, and pauses only once all have failed, each time for longer", () => {
  const search = new Search();
  const pauses = Array.from({ length: 21 }, () => search.fails());

  assert.deepEqual(search.went.slice(0, 7), ["m1:1", "m2:1", "m3:1", "m1:1", "m2:1", "m3:1", "m1:1"]);
  assert.deepEqual(pauses.slice(0, 3), [0, 0, 0]);
  assert.equal(pauses[3], RETRY_DELAY_MS_MIN);
  assert.deepEqual(pauses, pauses.toSorted((a, b) => a - b));
  assert.equal(pauses.at(-1), RETRY_DELAY_MS_MAX);
});

test("Seeker tries again at once when it loses a primary that served it", () => {
  const search = new Search(["m1:1"]);
  for (let i = 0; i < 5; i++) search.fails();
  search.identified(7);
  assert.equal(search.seeker.conn, 7);
  search.seeker.served();
  assert.equal(search.seeker.problem, undefined);

  assert.equal(search.fails(), 0);
  assert.equal(search.seeker.conn, undefined);
  assert.equal(search.seeker.problem, LOST);
});

test("Seeker doesn't take a master that only lets it in, and then closes, for one that serves", () => {
  const search = new Search(["m1:1"]);
  for (let i = 0; i < 5; i++) {
    search.identified(i);
    search.fails();
  }
  assert.ok(search.fails() > RETRY_DELAY_MS_MIN);
});

const elsewhere = (address: string): WireError => ({
  code: "notPrimary",
  message: "Cannot serve: another is the primary",
  detail: { address },
});

test("Seeker goes at once where a master says that the primary is, known to it or not, and then on in turn (X1)", () => {
  const search = new Search();
  assert.equal(search.fails(elsewhere("m3:1")), 0);
  assert.equal(search.fails(elsewhere("m9:1")), 0);
  search.fails();
  search.fails(elsewhere("")); // there is none
  assert.deepEqual(search.went, ["m1:1", "m3:1", "m9:1", "m2:1", "m3:1"]);
});

test("Seeker doesn't run in circles between masters that name each other", () => {
  const search = new Search(["m1:1", "m2:1"]);
  let ms = 0;
  for (let i = 0; i < 100; i++) ms += search.fails(elsewhere(i % 2 === 0 ? "m2:1" : "m1:1"));
  assert.ok(ms > 5 * RETRY_DELAY_MS_MAX, `${ms}`);

  search.seeker.served(); // the primary has spoken: a hint is worth something again
  assert.equal(search.fails(elsewhere("m2:1")), 0);
});

test("Seeker wants no wake-up while it connects or is connected (T10)", () => {
  const search = new Search();
  assert.equal(search.seeker.dueMs, undefined);
  search.identified(7);
  assert.equal(search.seeker.dueMs, undefined);
});

test("Seeker begins once, and seeks no more after its end", () => {
  const search = new Search();
  assert.deepEqual(search.seeker.begin(), []);
  search.seeker.end();
  search.seeker.lost(LOST, { monoMs: 1_000, wallMs: 0 });
  assert.equal(search.seeker.dueMs, undefined);
  assert.deepEqual(search.seeker.due({ monoMs: 1e9, wallMs: 0 }), []);
});

type AnyBench = Bench<unknown, unknown, unknown, unknown, unknown, never, unknown>;
const roles: { role: "storage" | "client" | "admin"; bench: () => AnyBench }[] = [
  { role: "storage", bench: () => storageBench(storageDisk(1), masters) as unknown as AnyBench },
  { role: "client", bench: () => clientBench(masters) as unknown as AnyBench },
  { role: "admin", bench: () => adminBench(masters) as unknown as AnyBench },
];
test("No role looks for masters by itself (T15)", () => {
  const machines: HostedMachine<unknown, unknown, unknown, unknown, unknown, never, unknown>[] = roles.map(
    ({ bench }) => bench().machine,
  );
  for (const machine of machines) {
    const effects = machine.step({ type: "opened" }, { monoMs: 0, wallMs: 0 });
    assert.deepEqual(only(effects, "connect").map(({ address, target }) => [address, target]), [[
      "m1:1",
      PRIMARY,
    ]]);
  }
});
