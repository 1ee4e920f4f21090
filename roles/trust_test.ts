import assert from "node:assert/strict";
import { test } from "node:test";
import type { Proof } from "../core/identity.ts";
import type { Conn } from "../core/ids.ts";
import type { Hello } from "../core/messages.ts";
import { helloBytes } from "../tests/fakes.ts";
import { helloAs } from "../tests/machines.ts";
import { client, Hand, types } from "../tests/peers_hand.ts";

/** A certificate of cluster "test". */
function proofOf(role: string, name: string, more: { readonly cluster?: string } = {}): Proof {
  return { identity: { cluster: "test", role, name, ...more }, fingerprint: `of ${role} ${name}` };
}

const cases: readonly { what: string; proof: Proof; hello: Hello; reason?: RegExp }[] = [
  {
    what: "a storage of its name",
    proof: proofOf("storage", "s2"),
    hello: helloAs("storage", { name: "s2" }),
  },
  { what: "a client, whatever its name", proof: proofOf("client", "shop"), hello: client },
  { what: "an operator that reads and writes", proof: proofOf("admin", "operator"), hello: client },
  {
    what: "a storage by another's name",
    proof: proofOf("storage", "s2"),
    hello: helloAs("storage", { name: "s3" }),
    reason: /storage s2: its certificate is for s2, and it says that it is s3/,
  },
  {
    what: "a storage without a name",
    proof: proofOf("storage", "s2"),
    hello: helloAs("storage", { name: "" }),
    reason: /storage s2: its certificate is for s2, and it says that it is $/m,
  },
  {
    what: "a client that says it is a storage",
    proof: proofOf("client", "s2"),
    hello: helloAs("storage", { name: "s2" }),
    reason: /client s2: its certificate is for role client, and it says that it is a storage/,
  },
  {
    what: "a storage that says it is a client",
    proof: proofOf("storage", "s2"),
    hello: client,
    reason: /its certificate is for role storage/,
  },
  {
    what: "a client of another cluster",
    proof: proofOf("client", "shop", { cluster: "bank" }),
    hello: client,
    reason: /its certificate is for cluster "bank", this one is "test"/,
  },
];
for (const { what, proof, hello, reason } of cases) {
  test(`Peers ${reason ? "refuses" : "takes"} ${what}, by its certificate (N6)`, () => {
    const hand = new Hand();
    const conn = hand.accepts(proof);
    const events = hand.hears(conn, helloBytes(hello));
    if (!reason) return assert.deepEqual(types(events), ["identified"]);
    assert.deepEqual(types(events), []);
    assert.deepEqual(hand.said(conn), ["error 0 untrusted"]);
    assert.match(hand.logged.join(), reason);
  });
}

test("Peers tells whom its transport doesn't believe why, before it has said a word, and logs it (N6)", () => {
  const hand = new Hand();
  const conn = hand.accepts({ refusal: "its certificate has expired" });
  assert.deepEqual(hand.said(conn), ["error 0 untrusted"]);
  assert.match(hand.logged.join(), /Cannot trust the other side: its certificate has expired/);
  assert.deepEqual(hand.hears(conn, helloBytes(client)), [], "nothing is heard any more");
});

/** A connection that the storage makes. */
function going(hand: Hand, proof: Proof): { conn: Conn; events: ReturnType<Hand["hears"]> } {
  hand.does({ do: "connect", address: "m1:1", target: "primary", hello: helloAs("storage", { name: "s1" }) });
  const conn = Number(/ as (\d+)$/.exec(hand.transport.calls.at(-1)!)?.[1]) as Conn;
  const events = hand.peers.receive({ type: "connected", conn, proof }, hand.nowMs);
  hand.peers.send(hand.nowMs);
  return { conn, events };
}

test("Peers goes to nobody who isn't believed: it tells why, and says nothing of itself (N6)", () => {
  const hand = new Hand();
  const { conn, events } = going(hand, { refusal: "it shows no certificate" });
  assert.deepEqual(events.map((event) => event.type === "lost" && [event.target, event.error.code]), [
    ["primary", "untrusted"],
  ]);
  assert.deepEqual(hand.said(conn), ["error 0 untrusted"]);
  assert.match(hand.logged.join(), /it shows no certificate/);
});

test("Peers logs that the other side doesn't believe it (N6)", () => {
  const hand = new Hand();
  const { conn } = going(hand, proofOf("master", "m1"));
  const error = {
    code: "untrusted",
    message: "Cannot trust storage s1: its certificate is revoked",
  } as const;
  const events = hand.packets(conn, { kind: "error", id: 0, error });
  assert.deepEqual(types(events), ["lost"]);
  assert.match(hand.logged.join(), /storage s1: its certificate is revoked/);
});

test("Peers ends connections whose certificates are revoked, at once, and takes no more of them (N6)", () => {
  const hand = new Hand();
  const [good, bad] = ["web", "thief"].map((name) => {
    const conn = hand.accepts(proofOf("client", name));
    hand.hears(conn, helloBytes(client));
    hand.does({ do: "accept", conn });
    hand.said(conn);
    return conn;
  });
  const events = hand.does({ do: "distrust", fingerprints: ["of client thief"] });
  assert.deepEqual(events.map((event) => [event.type, event.type === "lost" && event.conn]), [["lost", bad]]);
  assert.deepEqual([hand.said(good!), hand.said(bad!)], [[], ["error 0 untrusted"]]);
  assert.match(hand.logged.join(), /client thief: its certificate is revoked/);

  const again = hand.accepts(proofOf("client", "thief"));
  assert.deepEqual(hand.said(again), ["error 0 untrusted"]);
  hand.does({ do: "distrust", fingerprints: [] });
  assert.deepEqual(types(hand.hears(hand.accepts(proofOf("client", "thief")), helloBytes(client))), [
    "identified",
  ]);
});

test("Peers without TLS says so to one that speaks it (N6)", () => {
  const hand = new Hand();
  const conn = hand.accepts();
  hand.hears(conn, Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
  assert.deepEqual(hand.said(conn), ["error 0 untrusted"]);
  assert.match(hand.logged.join(), /one side speaks TLS, this one doesn't/);
});
