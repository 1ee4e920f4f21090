/**
 * Data on a storage's disk stays exactly as long as something refers to it. Equal data isn't kept once (each store has a
 * row of its own, which goes with it); a write with an undo link has none, and shares that of the revision it repeats.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Conn, Tid, Ttid } from "../../core/ids.ts";
import { PART_BYTES_MAX } from "../../core/limits.ts";
import { tell } from "../../core/machine.ts";
import type { Body } from "../../core/messages.ts";
import { Stage } from "../hazards/kit.ts";
import { puppetClient, PuppetPrimary } from "../hazards/puppet.ts";
import type { Puppet, Reply } from "../hazards/puppet.ts";
import { bytesOf, oidAt, storeOf, tidAt, ttidAt, voteOf } from "../hazards/words.ts";
import { commitTexts, connectWarm, FileDisk, openOnFile } from "./kit.ts";

const ALONE = { storages: 1, replicas: 0, partitions: 1 };

/** One storage on a file, a primary and a client in the test's hand. */
class Hand {
  readonly stage: Stage = new Stage(ALONE);
  readonly file: FileDisk = new FileDisk(this.stage, "s1");
  readonly primary: PuppetPrimary = new PuppetPrimary(this.stage);
  #client: { puppet: Puppet; conn: Conn } | undefined;

  /** Starts the storage, again after its end; nobody is served yet. */
  async fence(): Promise<Reply<"fence">> {
    this.stage.startStorage("s1", { disk: this.file.disk });
    await this.stage.run();
    const reply = this.primary.fence();
    await this.stage.run();
    return reply;
  }

  /** Starts the storage, and the client comes to it. */
  async start(): Promise<this> {
    await this.fence();
    this.primary.start();
    await this.stage.run();
    this.#client = await puppetClient(this.stage);
    return this;
  }

  async ask<N extends "store" | "part">(name: N, body: Body<N>): Promise<void> {
    const { puppet, conn } = this.#client!;
    const reply = puppet.ask(conn, name, body);
    await this.stage.run();
    assert.ok(reply.answer, reply.error?.message);
  }

  async store(body: Body<"store">): Promise<void> {
    await this.ask("store", body);
  }

  async vote(...bodies: readonly Body<"store">[]): Promise<void> {
    const { puppet, conn } = this.#client!;
    const reply = puppet.ask(conn, "vote", voteOf(bodies));
    await this.stage.run();
    assert.ok(reply.answer, reply.error?.message);
  }

  async abort(ttid: Ttid): Promise<void> {
    const { puppet, conn } = this.#client!;
    puppet.do(tell(conn, "abort", { ttid, epoch: 0, nodes: [] }));
    await this.stage.run();
  }

  async finish(ttid: Ttid, tid: Tid): Promise<void> {
    const lock = this.primary.lock(ttid, tid);
    await this.stage.run();
    assert.ok(lock.answer, lock.error?.message);
    this.primary.unlock(ttid, tid);
    await this.stage.run();
  }

  /** The storage is killed; what it gave to its file stays. */
  async kill(): Promise<void> {
    this.stage.storage("s1").kill();
    await this.stage.run();
  }

  /** Rows of data, and of what refers to it: final and not. Nothing must be without the other. */
  get counts(): readonly [data: number, obj: number, tobj: number] {
    assert.equal(this.file.orphans, 0);
    const { data, obj, tobj } = this.file.rows;
    return [data, obj, tobj];
  }

  [Symbol.dispose](): void {
    this.file[Symbol.dispose]();
  }
}

/** A store of the same text by another transaction, on an object of its own. */
const sameText = (counter: number): Body<"store"> =>
  storeOf({ ttid: ttidAt(1, counter), oid: counter, text: "the same" });

test("16.1/009 equal data of four transactions is kept for each as long as that one needs it", async () => {
  using hand = await new Hand().start();
  const [one, two, three, four] = [sameText(1), sameText(2), sameText(3), sameText(4)];
  for (const body of [one, two, three, four]) await hand.store(body);
  assert.deepEqual(hand.counts, [4, 0, 4]);
  await hand.abort(one.ttid);
  await hand.abort(one.ttid);
  assert.deepEqual(hand.counts, [3, 0, 3], "an abort frees its own, once");
  await hand.vote(two);
  await hand.vote(three);
  assert.deepEqual(hand.counts, [3, 0, 3], "a vote frees nothing");
  await hand.abort(two.ttid);
  assert.deepEqual(hand.counts, [2, 0, 2], "nor does it keep what is aborted");
  await hand.finish(three.ttid, tidAt(10));
  await hand.abort(three.ttid);
  assert.deepEqual(hand.counts, [2, 1, 1], "what is final stays, written once");
  await hand.vote(four);
  await hand.finish(four.ttid, tidAt(11));
  assert.deepEqual(hand.counts, [2, 2, 0]);
});

test("16.1/009 a store that is replaced by a later one of its transaction frees its data once", async () => {
  using hand = await new Hand().start();
  const ttid = ttidAt(1, 1);
  await hand.store(storeOf({ ttid, oid: 1, text: "first" }));
  await hand.store(storeOf({ ttid, oid: 1, text: "second" }));
  assert.deepEqual(hand.counts, [1, 0, 1]);
  const last = storeOf({ ttid, oid: 1, text: "third" });
  await hand.store(last);
  await hand.vote(last);
  assert.deepEqual(hand.counts, [1, 0, 1]);
  const again = storeOf({ ttid, oid: 1, text: "after its vote" });
  await hand.store(again);
  await hand.vote(again);
  await hand.finish(ttid, tidAt(10));
  assert.deepEqual(hand.counts, [1, 1, 0]);
});

/** A write that repeats the revision at tid 10. */
const linkOf = (counter: number, oid: number, base = 10n): Body<"store"> => ({
  ...storeOf({ ttid: ttidAt(1, counter), oid, base }),
  checksum: new Uint8Array(),
  data: null,
  link: tidAt(10),
});

test("16.1/010 data that undo links share is kept once, and goes with none of them", async () => {
  using hand = await new Hand().start();
  const oids = [1, 2, 3, 4];
  const origin = oids.map((oid) => storeOf({ ttid: ttidAt(1, 9), oid, text: "the same" }));
  for (const body of origin) await hand.store(body);
  await hand.vote(...origin);
  await hand.finish(ttidAt(1, 9), tidAt(10));
  assert.deepEqual(hand.counts, [4, 4, 0]);
  const [one, two, three, four] = oids.map((oid) => linkOf(oid, oid));
  for (const body of [one!, two!, three!, four!]) await hand.store(body);
  assert.deepEqual(hand.counts, [4, 4, 4], "links bring no data");
  await hand.abort(one!.ttid);
  await hand.vote(two!);
  await hand.abort(two!.ttid);
  assert.deepEqual(hand.counts, [4, 4, 2], "nor do they take any with them");
  await hand.vote(three!);
  await hand.finish(three!.ttid, tidAt(20));
  assert.deepEqual(hand.counts, [4, 5, 1]);
  await hand.kill(); // the fourth was never voted
  await hand.start();
  assert.deepEqual(hand.counts, [4, 5, 0]);
  const next = linkOf(5, 3, 20n);
  await hand.store(next);
  await hand.vote(next);
  await hand.finish(next.ttid, tidAt(30));
  assert.deepEqual(hand.counts, [4, 6, 0], "a link to a link shares it as well");
  const whole = { ...storeOf({ ttid: ttidAt(1, 6), oid: 4, base: 10n, text: "the same" }), link: tidAt(10) };
  await hand.store(whole);
  assert.deepEqual(hand.counts, [4, 6, 1], "and one that brings its data too");
  await hand.vote(whole);
  await hand.finish(whole.ttid, tidAt(40));
  assert.deepEqual(hand.counts, [4, 7, 0]);
});

test("16.1/010 own data that a link replaces is freed, and that of the linked revision isn't", async () => {
  using hand = await new Hand().start();
  const origin = storeOf({ ttid: ttidAt(1, 9), oid: 1, text: "old" });
  await hand.store(origin);
  await hand.vote(origin);
  await hand.finish(ttidAt(1, 9), tidAt(10));
  await hand.store(storeOf({ ttid: ttidAt(1, 1), oid: 1, text: "new", base: 10n }));
  assert.deepEqual(hand.counts, [2, 1, 1]);
  await hand.store(linkOf(1, 1));
  assert.deepEqual(hand.counts, [1, 1, 1]);
  await hand.store(storeOf({ ttid: ttidAt(1, 1), oid: 1, text: "newer", base: 10n }));
  await hand.abort(ttidAt(1, 1));
  assert.deepEqual(hand.counts, [1, 1, 0]);
});

test("16.1/011 data of stores that weren't voted, flushed with another's vote, is gone after a crash", async () => {
  using hand = await new Hand().start();
  await hand.store(sameText(1));
  const { ttid, version, ageMs, oid, compression, checksum, data: bytes } = sameText(2);
  await hand.ask("part", { ttid, version, ageMs, oid, seq: 0, compression, checksum, data: bytes! });
  const { log } = hand.stage.storage("s1").store;
  const flushes = (): number => log.filter((done) => done.includes("flushed")).length;
  const before = flushes();
  const voted = sameText(3);
  await hand.store(voted);
  await hand.vote(voted);
  assert.equal(flushes(), before + 1, "one flush, which takes along what came before");
  await hand.kill();
  const { data, part: parts, tobj, tpart } = hand.file.rows;
  assert.deepEqual([data, parts, tobj, tpart], [2, 1, 2, 1], "all of it is on the disk that is left");
  const fenced = await hand.fence();
  assert.deepEqual(fenced.answer?.votes.map(({ ttid }) => ttid), [voted.ttid]);
  assert.deepEqual(hand.counts, [1, 0, 1]);
  assert.equal(hand.file.rows.part, 0);
  await hand.finish(voted.ttid, tidAt(10));
  assert.deepEqual(hand.counts, [1, 1, 0]);
});

test("16.1/011 the same in a cluster: a storage that comes back has what was committed, and nothing else", async () => {
  const stage = new Stage(ALONE);
  using file = await openOnFile(stage);
  const [first, second] = [await connectWarm(stage, "c1"), await connectWarm(stage, "c2")];
  const before = file.rows;
  const tx = await stage.finish(first.client.begin());
  tx.store(oidAt(1), new Uint8Array(PART_BYTES_MAX + 1));
  tx.store(oidAt(2), bytesOf("lost"));
  stage.storage("s1").store.holdsReads = true; // whether the objects are free: no vote before it is known
  const lost = tx.commit();
  lost.catch(() => undefined);
  await stage.run();
  const reads = stage.storage("s1").store.waiting.splice(0);
  stage.storage("s1").store.holdsReads = false;
  reads[0]!();
  await commitTexts(stage, second, [[oidAt(3), "kept"]]);
  assert.ok(file.rows.tobj > 0 && file.rows.ttrans === 0);
  first.actor.kill();
  stage.storage("s1").kill();
  assert.ok(file.rows.tobj > 0);
  await stage.run();
  stage.startStorage("s1", { disk: file.disk });
  await stage.run();
  const { data, obj, trans, ...open } = file.rows;
  assert.deepEqual([data, obj, trans], [before.data + 1, before.obj + 1, before.trans + 1]);
  assert.deepEqual(open, { part: 0, tobj: 0, ttrans: 0, tpart: 0 });
  assert.equal(file.orphans, 0);
});
