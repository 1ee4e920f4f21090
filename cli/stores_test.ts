/** A node whose database is on a server lives through the loss of it, for as long as it may (T33). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { StoreOpenError } from "../adapters/store_errors.ts";
import type { StoreOpenReason } from "../adapters/store_errors.ts";
import type { RunningNode } from "./hosting.ts";
import { reopening } from "./stores.ts";
import type { StorageStore } from "./stores.ts";

const LONG_MS = 60_000;

/** A node that ends when it is told to, or when its database is lost. */
class Stage {
  readonly notes: string[] = [];
  readonly nodes: { readonly lose: (error: string) => void; readonly fail: (error: string) => void }[] = [];
  attempts = 0;
  #onWait: (() => void) | undefined;
  #onOpen: (() => void) | undefined;
  #failures: StoreOpenReason[];

  /** Opening fails for these reasons first, each once. */
  constructor(...failures: readonly StoreOpenReason[]) {
    this.#failures = [...failures];
  }

  fail(...reasons: readonly StoreOpenReason[]): void {
    this.#failures.push(...reasons);
  }

  /** The database is waited for. */
  waits(): Promise<void> {
    return new Promise((begun) => this.#onWait = begun);
  }

  /** The next node is built. */
  opened(): Promise<void> {
    return new Promise((built) => this.#onOpen = built);
  }

  start(reconnectMs: number): Promise<RunningNode> {
    const note = (text: string): void => {
      this.notes.push(text);
      if (text.startsWith("Waits")) this.#onWait?.();
    };
    return reopening(() => this.#open(), note, () => reconnectMs);
  }

  async #open(): Promise<{ readonly node: RunningNode; readonly store: StorageStore }> {
    this.attempts += 1;
    const reason = this.#failures.shift();
    if (reason !== undefined) throw new StoreOpenError("open", "postgres://h/db?schema=s1", reason);
    const { promise: done, resolve } = Promise.withResolvers<{ readonly error?: string }>();
    let lost = false;
    const store = {
      get lost() {
        return lost;
      },
    } as unknown as StorageStore;
    const lose = (error: string): void => {
      lost = true;
      resolve({ error });
    };
    this.nodes.push({ lose, fail: (error) => resolve({ error }) });
    const node = { address: "h:1", done, terminate: () => resolve({}), dump: () => {} };
    this.#onOpen?.();
    return await Promise.resolve({ node, store });
  }
}

test("reopening() waits for a server that can't be reached, or still holds the lock of who was lost (T33)", async () => {
  const stage = new Stage("unreachable", "inUse");
  const node = await stage.start(LONG_MS);
  assert.equal(stage.attempts, 3);
  assert.deepEqual(stage.notes, ["Waits for the database"], "it is said once");
  node.terminate();
  assert.deepEqual(await node.done, {});
});

test("reopening() gives a server up that isn't back in time, at the start and later (T33)", async () => {
  // the last reason ends the test if it isn't given up
  const absent = ["unreachable", "unreachable", "foreign"] as const;
  const never = new Stage(...absent);
  await assert.rejects(never.start(0), ({ reason }: StoreOpenError) => reason === "unreachable");
  assert.equal(never.attempts, 1);

  const stage = new Stage();
  const node = await stage.start(0);
  stage.fail(...absent);
  stage.nodes[0]!.lose("the connection was lost");
  assert.match((await node.done).error ?? "", /h\/db/);
  assert.equal(stage.attempts, 2);
});

test("reopening() waits for nothing that doesn't pass by itself (T33)", async () => {
  for (const reason of ["missing", "foreign", "newer", "notAllowed", "noDatabase"] as const) {
    const stage = new Stage(reason);
    await assert.rejects(stage.start(LONG_MS), (error: StoreOpenError) => error.reason === reason);
    assert.deepEqual([stage.attempts, stage.notes], [1, []]);
  }
});

test("reopening() builds a node again whose database was lost, as often as need be; what fails otherwise ends it (T33)", async () => {
  const stage = new Stage();
  const node = await stage.start(LONG_MS);
  for (let at = 0; at < 3; at++) {
    const next = stage.opened();
    stage.nodes.at(-1)!.lose("the connection was lost");
    await next;
  }
  stage.nodes.at(-1)!.fail("a broken invariant");
  assert.deepEqual(await node.done, { error: "a broken invariant" });
  assert.equal(stage.nodes.length, 4);
});

test("reopening(): a node that is told to end while its database is away ends in order when that is back (T33)", async () => {
  const stage = new Stage();
  const node = await stage.start(LONG_MS);
  const waits = stage.waits();
  stage.fail("unreachable");
  stage.nodes[0]!.lose("the connection was lost");
  await waits;
  node.terminate();
  assert.deepEqual(await node.done, {});
  assert.equal(stage.nodes.length, 2);
});
