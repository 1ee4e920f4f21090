import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom, sha256, zlibCompression } from "../../adapters/system.ts";
import { toOid, ZERO_TID } from "../../core/ids.ts";
import type { Conn } from "../../core/ids.ts";
import type { WireError } from "../../core/messages.ts";
import {
  asNode,
  clientBench,
  follow,
  helloAs,
  LOST,
  only,
  storageHello,
  welcomeOf,
} from "../../tests/machines.ts";
import { View } from "../view.ts";
import { Links } from "./links.ts";
import { Site } from "./site.ts";

/** Links of a client that knows s1 (node 2) and s2 (node 3), and who was called back with what. */
class Hand {
  readonly site: Site;
  readonly links: Links;
  readonly calls: string[] = [];

  constructor() {
    const view = new View(sha256);
    view.welcome(welcomeOf());
    const ports = { digest: sha256, compression: zlibCompression, random: seededRandom(1) };
    this.site = new Site(ports, view, { cacheBytes: 0 });
    this.links = new Links(this.site, () => helloAs("client", { session: 1 }));
  }

  wants(node: number, who: string): void {
    this.links.with(asNode(node), (conn: Conn | undefined, error?: WireError) => {
      this.calls.push(`${who} ${conn ?? error?.message}`);
    });
  }

  /** Where it connects to since the last look, with the target of each. */
  connects(): { address: string; target: string }[] {
    return only(this.site.taken(), "connect").map(({ address, target }) => ({ address, target }));
  }

  identified(conn: number, target: string, hello = storageHello(1)): void {
    this.links.identified({ type: "identified", conn: conn as Conn, hello, incoming: false, target });
  }
}

test("Links connects once for all who want a storage, and calls each back when it is there, in order (T45)", () => {
  const hand = new Hand();
  for (const who of ["a", "b", "c"]) hand.wants(2, who);
  const [connect, more] = hand.connects();
  assert.equal(connect?.address, "s1:1");
  assert.equal(more, undefined);
  assert.deepEqual(hand.calls, []);
  assert.equal(hand.links.isOpen(asNode(2)), false);

  hand.identified(7, connect!.target);

  assert.deepEqual(hand.calls, ["a 7", "b 7", "c 7"]);
  assert.deepEqual(hand.site.taken(), [{ do: "accept", conn: 7 }]);
  hand.wants(2, "d");
  assert.deepEqual(hand.calls.at(-1), "d 7", "at once, because it is there");
  assert.deepEqual([hand.links.conn(asNode(2)), hand.links.isOpen(asNode(2))], [7, true]);
});

test("Links tells all who wait for a storage why it can't be reached, and tries anew for the next (T45)", () => {
  const hand = new Hand();
  hand.wants(2, "a");
  hand.wants(2, "b");
  const { target } = hand.connects()[0]!;

  const node = hand.links.lost({ type: "lost", conn: 7 as Conn, error: LOST, target });

  assert.equal(node, 2);
  assert.deepEqual(hand.calls, [`a ${LOST.message}`, `b ${LOST.message}`]);
  hand.wants(2, "c");
  assert.equal(hand.connects().length, 1);
});

test("Links refuses a connection at whose end another node answers, and names both", () => {
  const hand = new Hand();
  hand.wants(2, "a");
  const { target } = hand.connects()[0]!;

  hand.identified(7, target, storageHello(2));

  const [reject] = only(hand.site.taken(), "reject");
  assert.equal(reject?.error.code, "wrongNode");
  assert.match(reject?.error.message ?? "", /expected storage "s1", found storage "s2"/);
  assert.deepEqual(hand.calls, []);
});

test("Links says at once that the cluster doesn't know a storage", () => {
  const hand = new Hand();
  hand.wants(9, "a");
  assert.match(hand.calls[0] ?? "", /Cannot reach storage 9/);
  assert.deepEqual(hand.connects(), []);
});

test("Links keeps its connections apart: the loss of one is none of another's", () => {
  const hand = new Hand();
  hand.wants(2, "a");
  hand.wants(3, "b");
  const [first, second] = hand.connects();
  hand.identified(7, first!.target);
  hand.identified(8, second!.target, storageHello(2));

  assert.equal(hand.links.lost({ type: "lost", conn: 8 as Conn, error: LOST, target: second!.target }), 3);
  assert.deepEqual([hand.links.isOpen(asNode(2)), hand.links.isOpen(asNode(3))], [true, false]);
});

test("Links ends everything with its session, and knows nothing of connections of an older one", () => {
  const hand = new Hand();
  hand.wants(2, "a");
  hand.wants(3, "b");
  const [open, early] = hand.connects();
  hand.identified(7, open!.target);
  hand.site.taken();

  hand.links.endAll();

  assert.deepEqual(only(hand.site.taken(), "close").map(({ conn }) => conn), [7]);
  assert.deepEqual(hand.calls, ["a 7", "b The client's session is over"]);
  hand.wants(3, "c");
  const [next] = hand.connects();
  assert.notEqual(next?.target, early!.target);
  hand.identified(8, early!.target, storageHello(2));
  assert.deepEqual(only(hand.site.taken(), "reject").map(({ conn }) => conn), [8]);
  assert.equal(
    hand.links.lost({ type: "lost", conn: 8 as Conn, error: LOST, target: early!.target }),
    undefined,
  );
  assert.deepEqual(hand.calls, ["a 7", "b The client's session is over"], "c waits for its own");
});

test("ClientMachine says what waited for a connection in the very step that makes it (T45)", () => {
  const bench = clientBench();
  follow(bench);
  const calls = [1, 2].map((call) =>
    bench.give({
      type: "call",
      call,
      name: "load",
      request: { oid: toOid(2 + 4 * call), at: ZERO_TID },
      withinMs: 9_000,
    })
  );
  const connects = only(calls.flat(), "connect");
  assert.deepEqual(calls.map((effects) => effects.length), [1, 0], "two calls want one connection");

  const { conn, effects } = bench.reached(connects[0]!.target, storageHello(1));

  const said = effects.map((effect) =>
    effect.do === "ask" ? `${effect.do} ${effect.message.name}` : effect.do
  );
  assert.deepEqual(said, ["accept", "ask load", "ask load"]);
  assert.ok(only(effects, "ask").every((ask) => ask.conn === conn));
});
