import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { DatabaseError, UnreachableError } from "../../core/errors.ts";
import type { Oid, Tid } from "../../core/ids.ts";
import { toOid, ZERO_TID } from "../../core/ids.ts";
import { CHANGES_QUEUED_MAX, CHANGES_QUEUED_OIDS_MAX, PAGE_TRANSACTIONS } from "../../core/limits.ts";
import { asTid } from "../../tests/machines.ts";
import type { CallOptions, Listening } from "./caller.ts";
import type { CallName, Calls } from "./calls.ts";
import { changesOf } from "./changes.ts";
import type { Change } from "./changes.ts";

type Held = {
  readonly name: CallName;
  readonly request: unknown;
  readonly answer: () => void;
  readonly fail: (error: Error) => void;
};

/** A cluster in the hand of a test: it publishes, loses news, and answers calls now or when it is told to. */
class Hand {
  readonly published: Change[] = [];
  readonly asked: string[] = [];
  readonly listeners = new Set<Listening>();
  held: Held[] = [];
  holds = false;
  /** Transactions that an answer gives at most. */
  pageMax = PAGE_TRANSACTIONS;

  listen(listening: Listening): () => void {
    this.listeners.add(listening);
    return () => this.listeners.delete(listening);
  }

  call<N extends CallName>(
    name: N,
    request: Calls[N]["request"],
    { signal }: CallOptions = {},
  ): Promise<Calls[N]["result"]> {
    this.asked.push(name);
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const drop = (): void => {
        this.held = this.held.filter((held) => held !== one);
        signal?.removeEventListener("abort", cancel);
      };
      const cancel = (): void => {
        drop();
        reject(signal!.reason);
      };
      const answer = (): void => {
        drop();
        resolve(this.#answerTo(name, request) as never);
      };
      const fail = (error: Error): void => {
        drop();
        reject(error);
      };
      const one: Held = { name, request, answer, fail };
      signal?.addEventListener("abort", cancel);
      this.held.push(one);
      if (!this.holds) answer();
    });
  }

  get newest(): Tid {
    return this.published.at(-1)?.tid ?? ZERO_TID;
  }

  /** Publishes a transaction; `heard` false: the news are lost on their way, and only history has them. */
  publish(count: number = 1, options: { heard?: boolean; oids?: number } = {}): void {
    for (let at = 0; at < count; at++) {
      const tid = asTid(Number(this.newest) + 10);
      const oids = Array.from({ length: options.oids ?? this.published.length % 3 }, (_, at) => toOid(at));
      this.published.push({ tid, oids });
      if (options.heard ?? true) this.#tell(tid, oids);
    }
  }

  /** A new session, of which only the newest tid is known. */
  jump(): void {
    this.#tell(this.newest, null);
  }

  /** The client ends. */
  end(error: Error): void {
    for (const { ended } of this.listeners) ended?.(error);
  }

  since(tid: Tid): Change[] {
    return this.published.filter((change) => change.tid > tid);
  }

  #tell(tid: Tid, oids: readonly Oid[] | null): void {
    for (const { published } of this.listeners) published(tid, oids);
  }

  #answerTo(name: CallName, request: unknown): unknown {
    if (name === "sync") return { lastTid: this.newest, ageMs: 0 };
    assert.equal(name, "transactions");
    const { after, upTo, count } = request as Calls["transactions"]["request"];
    assert.ok(upTo <= this.newest, "nobody knows yet what comes then");
    const found = this.since(after).filter(({ tid }) => tid <= upTo);
    const transactions = found.slice(0, Math.min(count, this.pageMax));
    return { transactions, upTo: transactions.length < found.length ? transactions.at(-1)!.tid : upTo };
  }
}

/** The next `count` changes of a feed. */
async function take(feed: AsyncGenerator<Change, void>, count: number): Promise<Change[]> {
  const taken: Change[] = [];
  while (taken.length < count) {
    const { done, value } = await feed.next();
    if (done) break;
    taken.push(value!);
  }
  return taken;
}

const late = (): Error => new UnreachableError("Cannot read in time");

test("P2 changesOf() gives what comes after the newest transaction, as it is published", async () => {
  const hand = new Hand();
  hand.publish(3);
  const feed = changesOf(hand, {});
  const first = feed.next();
  await setImmediate();
  hand.publish(2);

  assert.deepEqual((await first).value, hand.published[3]);
  assert.deepEqual(await take(feed, 1), hand.published.slice(4));
  assert.deepEqual(hand.asked, ["sync"], "live changes cost no question");
  await feed.return();
});

test("P2 changesOf() since a tid reads history page by page up to now, then goes on live", async () => {
  const hand = new Hand();
  hand.publish(2 * PAGE_TRANSACTIONS + 50);
  const since = hand.published[9]!.tid;
  const feed = changesOf(hand, { since });
  const old = await take(feed, hand.since(since).length);
  const live = feed.next();
  await setImmediate();
  hand.publish();

  assert.deepEqual([...old, (await live).value], hand.since(since));
  assert.deepEqual(hand.asked, ["sync", "transactions", "transactions", "transactions"]);
  await feed.return();
});

test("P2 changesOf() gives transactions without objects, and the whole history since 0", async () => {
  const hand = new Hand();
  hand.publish(2, { oids: 0 });
  const feed = changesOf(hand, { since: ZERO_TID });
  assert.deepEqual(await take(feed, 2), hand.published);
  hand.publish(1, { oids: 0 });
  assert.deepEqual(await take(feed, 1), [{ tid: hand.newest, oids: [] }]);
  await feed.return();
});

test("P2 changesOf() misses nothing of what is published while it asks for the newest tid, and gives none twice", async () => {
  const hand = new Hand();
  hand.publish(3);
  hand.holds = true;
  const feed = changesOf(hand, { since: asTid(10) });
  const changes = take(feed, 4);
  hand.publish(); // heard, and below the answer to come
  hand.held[0]!.answer();
  hand.publish(); // heard, and above it
  await setImmediate();
  hand.held[0]!.answer();

  assert.deepEqual(await changes, hand.since(asTid(10)));
  await feed.return();
});

test("P2 changesOf() misses nothing of what is published while history is read, and gives none twice", async () => {
  const hand = new Hand();
  hand.publish(4);
  hand.pageMax = 2;
  const feed = changesOf(hand, { since: ZERO_TID });
  const changes = [...await take(feed, 1)];
  hand.publish(3);
  hand.holds = true;
  changes.push(...await take(feed, 1));
  const rest = take(feed, 5);
  await setImmediate();
  hand.publish();
  hand.holds = false;
  hand.held[0]!.answer();

  assert.deepEqual([...changes, ...await rest], hand.since(ZERO_TID).slice(0, 7));
  assert.deepEqual(await take(feed, 1), hand.published.slice(7));
  await feed.return();
});

test("P2 changesOf() reads from history what a new session hides, from the last change on", async () => {
  const hand = new Hand();
  const feed = changesOf(hand, { since: ZERO_TID });
  const changes = take(feed, 9);
  await setImmediate();
  hand.publish(2);
  await setImmediate();
  hand.publish(3, { heard: false });
  hand.jump();
  hand.publish();
  await setImmediate();
  hand.publish(2); // queued
  hand.publish(1, { heard: false });
  hand.jump(); // drops the queue

  assert.deepEqual(await changes, hand.published);
  await feed.return();
});

test("P2 changesOf() goes further back when a new session begins in the middle of history", async () => {
  const hand = new Hand();
  hand.publish(6);
  hand.holds = true;
  hand.pageMax = 4;
  const feed = changesOf(hand, { since: asTid(10) });
  const changes = take(feed, 9);
  hand.held[0]!.answer();
  await setImmediate();
  hand.publish(); // in the queue
  hand.publish(2, { heard: false });
  hand.jump();
  hand.holds = false;
  hand.held[0]!.answer();

  await setImmediate();
  hand.publish();
  assert.deepEqual(await changes, hand.since(asTid(10)));
  await feed.return();
});

for (
  const { what, count, oids } of [
    { what: `${CHANGES_QUEUED_MAX} changes`, count: CHANGES_QUEUED_MAX, oids: 1 },
    { what: `${CHANGES_QUEUED_OIDS_MAX} objects`, count: 2, oids: CHANGES_QUEUED_OIDS_MAX / 2 },
  ]
) {
  test(`P2 changesOf() queues ${what} for a slow consumer, drops them at one more, and reads history`, async () => {
    const hand = new Hand();
    const feed = changesOf(hand, { since: ZERO_TID });
    const first = feed.next();
    await setImmediate();
    hand.publish();
    await first;

    hand.publish(count, { oids });
    assert.deepEqual(await take(feed, count), hand.published.slice(1));
    assert.deepEqual(hand.asked, ["sync"], "all of them were queued");

    hand.publish(count + 1, { oids });
    assert.deepEqual(await take(feed, count + 1), hand.published.slice(count + 1));
    assert.ok(hand.asked.includes("transactions"), "one didn't fit");

    const asked = hand.asked.length;
    const live = feed.next();
    await setImmediate();
    hand.publish();
    assert.deepEqual((await live).value, hand.published.at(-1));
    assert.equal(hand.asked.length, asked, "it is live again");
    await feed.return();
  });
}

test("P2 changesOf() asks again when the time of a question is over, however often", async () => {
  const hand = new Hand();
  hand.publish(3);
  hand.holds = true;
  const feed = changesOf(hand, { since: ZERO_TID });
  const changes = take(feed, 3);
  for (let round = 0; round < 3; round++) {
    hand.held[0]!.fail(late());
    await setImmediate();
  }
  hand.held[0]!.answer();
  await setImmediate();
  for (let round = 0; round < 3; round++) {
    hand.held[0]!.fail(new DatabaseError("timedOut", "Cannot answer in time"));
    await setImmediate();
  }
  hand.held[0]!.answer();

  assert.deepEqual(await changes, hand.published);
  await feed.return();
});

test("P2 changesOf() ends with an error that no waiting will change, and listens no more", async () => {
  const hand = new Hand();
  hand.publish();
  hand.holds = true;
  const feed = changesOf(hand, { since: ZERO_TID });
  const next = feed.next();
  hand.held[0]!.fail(new DatabaseError("wrongCluster", "Cannot go on: another cluster"));

  await assert.rejects(next, { code: "wrongCluster" });
  assert.equal(hand.listeners.size, 0);
  assert.deepEqual(await feed.next(), { done: true, value: undefined });
});

test("P2 changesOf() does nothing before it is asked for the first change", async () => {
  const hand = new Hand();
  const feed = changesOf(hand, {});
  await setImmediate();
  assert.deepEqual([hand.listeners.size, hand.asked.length], [0, 0]);
  await feed.return();
  assert.deepEqual(await feed.next(), { done: true, value: undefined });
  assert.equal(hand.listeners.size, 0);
});

test("P2 changesOf() listens no more once its consumer has left the loop", async () => {
  const hand = new Hand();
  hand.publish(2);
  for await (const { tid } of changesOf(hand, { since: ZERO_TID })) {
    assert.equal(tid, hand.published[0]!.tid);
    break;
  }
  assert.equal(hand.listeners.size, 0);
});

for (const { what, holds } of [{ what: "news", holds: false }, { what: "an answer", holds: true }]) {
  test(`P2 a feed that is left while it waits for ${what} ends at once`, async () => {
    const hand = new Hand();
    hand.holds = holds;
    const feed = changesOf(hand, {});
    const next = feed.next();
    await setImmediate();
    await feed.return();
    assert.deepEqual(await next, { done: true, value: undefined });
    assert.deepEqual([hand.listeners.size, hand.held.length], [0, 0]);
  });

  test(`P2 a feed whose signal fires while it waits for ${what} rejects with the signal's reason`, async () => {
    const hand = new Hand();
    hand.holds = holds;
    const controller = new AbortController();
    const feed = changesOf(hand, { signal: controller.signal });
    const next = feed.next();
    await setImmediate();
    const reason = new Error("enough");
    controller.abort(reason);
    await assert.rejects(next, (error) => error === reason);
    assert.deepEqual([hand.listeners.size, hand.held.length], [0, 0]);
  });

  test(`P2 a feed whose client ends while it waits for ${what} says so`, async () => {
    const hand = new Hand();
    hand.holds = holds;
    const feed = changesOf(hand, {});
    const next = feed.next();
    await setImmediate();
    hand.end(new UnreachableError("Cannot go on: this client is closed", { code: "lost" }));
    await assert.rejects(next, { name: "UnreachableError", code: "lost" });
    assert.equal(hand.listeners.size, 0);
  });
}

test("P2 a feed whose signal fires between two changes gives no further one", async () => {
  const hand = new Hand();
  hand.publish(3);
  const controller = new AbortController();
  const feed = changesOf(hand, { since: ZERO_TID, signal: controller.signal });
  await take(feed, 1);
  controller.abort(new Error("enough"));
  await assert.rejects(feed.next(), { message: "enough" });
  const late = changesOf(hand, { since: ZERO_TID, signal: controller.signal });
  await assert.rejects(late.next(), { message: "enough" });
  assert.equal(hand.asked.length, 2, "the second feed asked nobody");
});

test("changesOf() refuses what is no tid, and a tid beyond the newest one", async () => {
  const hand = new Hand();
  hand.publish();
  assert.throws(() => changesOf(hand, { since: 5 as never }), TypeError);
  const feed = changesOf(hand, { since: asTid(11) });
  await assert.rejects(feed.next(), {
    name: "RangeError",
    message: "Cannot give changes since tid 000000000000000b: the newest one is 000000000000000a",
  });
});

type Step =
  | { readonly do: "publish" | "lose" | "take"; readonly count: number }
  | { readonly do: "answer" | "fail" | "turn" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("publish" as const), count: fc.integer({ min: 1, max: 4 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("publish" as const), count: fc.constant(CHANGES_QUEUED_MAX) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("lose" as const), count: fc.integer({ min: 0, max: 3 }) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant("take" as const), count: fc.integer({ min: 1, max: 5 }) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constantFrom("answer" as const, "fail" as const, "turn" as const) }),
  },
);

test("P2 changesOf() gives exactly what was published, in order, whatever comes between", async () => {
  const runs = fc.record({
    steps: fc.array(step, { maxLength: 60 }),
    before: fc.nat({ max: 12 }),
    seen: fc.option(fc.nat({ max: 12 }), { nil: undefined }),
    pageMax: fc.constantFrom(1, 3, PAGE_TRANSACTIONS),
  });
  await fc.assert(
    fc.asyncProperty(runs, async ({ steps, before, seen, pageMax }) => {
      const hand = new Hand();
      hand.publish(before);
      hand.pageMax = pageMax;
      const since = seen === undefined ? undefined : asTid(10 * Math.min(seen, before));
      const feed = changesOf(hand, since === undefined ? {} : { since });
      const taken: Change[] = [];
      const wanted: Promise<void>[] = [];
      const next = (): void => {
        wanted.push(feed.next().then(({ value }) => void taken.push(value as Change)));
      };
      next(); // the feed begins here
      const from = since ?? hand.newest;
      hand.holds = steps.length > 0;
      for (const step of steps) {
        if (step.do === "publish") hand.publish(step.count);
        else if (step.do === "lose") {
          hand.publish(step.count, { heard: false });
          hand.jump();
        } else if (step.do === "take") { for (let at = 0; at < step.count; at++) next(); }
        else if (step.do === "answer") hand.held[0]?.answer();
        else if (step.do === "fail") hand.held[0]?.fail(late());
        else await setImmediate();
      }
      hand.holds = false;
      for (const held of hand.held) held.answer();
      const missing = wanted.length - hand.since(from).length;
      if (missing > 0) hand.publish(missing);
      while (wanted.length < hand.since(from).length) next();
      await Promise.all(wanted);
      assert.deepEqual(taken, hand.since(from));
      await feed.return();
      assert.equal(hand.listeners.size, 0);
    }),
    { numRuns: 100 },
  );
});
