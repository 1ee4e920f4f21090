import assert from "node:assert/strict";
import { connect as connectPlain } from "node:net";
import { test } from "node:test";
import { HELLO_TIMEOUT_MS } from "../core/limits.ts";
import { testTransport } from "../tests/conformance/transport.ts";
import { ManualTimers, Probe } from "../tests/conformance/transport_probe.ts";
import { Authority, DAY_MS, forgedKey } from "../tests/tls_kit.ts";
import { TcpTransport } from "./tcp.ts";
import { type TlsMaterial, TlsSockets } from "./tls.ts";

const authority = await Authority.of("shop");
const storage = await authority.material({ role: "storage", name: "s1" });
const master = await authority.material({ role: "master", name: "m1" });

testTransport("TcpTransport over TLS (N6)", (later) => ({
  transport: () => new TcpTransport({ later, sockets: new TlsSockets(() => storage, { later }) }),
}));

/** Nodes with these certificates; all of them end with the test. */
async function withNodes(
  body: (
    node: (
      material?: TlsMaterial | (() => TlsMaterial),
      options?: { readonly nowMs?: () => number },
    ) => Probe,
    timers: ManualTimers,
  ) => Promise<void>,
): Promise<void> {
  const timers = new ManualTimers();
  const { later } = timers;
  const nodes: Probe[] = [];
  try {
    await body((material, options = {}) => {
      const source = typeof material === "function" ? material : () => material!;
      const sockets = material === undefined
        ? {}
        : { sockets: new TlsSockets(source, { later, ...options }) };
      const probe = new Probe(new TcpTransport({ later, ...sockets }));
      nodes.push(probe);
      return probe;
    }, timers);
  } finally {
    const ended = Promise.all(nodes.map((node) => node.shutdown()));
    timers.fire();
    await ended;
  }
}

/** What each of two says of the other when one has connected. */
async function proofsOf(a: Probe, b: Probe) {
  const conn = a.connect(await b.listen());
  await a.one("connected", conn);
  await b.one("accepted");
  return { seen: a.of("connected", conn)[0]?.proof, shown: b.of("accepted")[0]?.proof };
}

test("each side learns who the other is, by name, role and cluster (N6)", () =>
  withNodes(async (node) => {
    const { seen, shown } = await proofsOf(node(storage), node(master));
    assert.deepEqual(seen && "identity" in seen && seen.identity, {
      cluster: "shop",
      role: "master",
      name: "m1",
    });
    assert.deepEqual(shown && "identity" in shown && shown.identity, {
      cluster: "shop",
      role: "storage",
      name: "s1",
    });
    assert.match(shown && "fingerprint" in shown ? shown.fingerprint : "", /^[0-9a-f]{64}$/);
  }));

const stranger = await Authority.of("shop");
const bad = {
  "another authority's": {
    material: { ...await stranger.material({ role: "storage", name: "s1" }), ca: storage.ca },
    reason: /storage s1\) isn't signed by this cluster's authority/,
  },
  "one that has expired": {
    material: await authority.material({ role: "storage", name: "s1" }, { fromDays: -20, days: 10 }),
    reason: /has expired/,
  },
  "one that isn't valid yet": {
    material: await authority.material({ role: "storage", name: "s1" }, { fromDays: 2, days: 10 }),
    reason: /is valid from .* only/,
  },
  "the authority's own": {
    material: { ca: storage.ca, cert: authority.own.cert, key: authority.own.key },
    reason: /isn't signed by this cluster's authority/,
  },
};
for (const [what, { material, reason }] of Object.entries(bad)) {
  test(`a certificate that is ${what} is refused with the reason, shown by a client or by a server (N6)`, () =>
    withNodes(async (node) => {
      const { shown } = await proofsOf(node(material), node(master));
      assert.match(shown && "refusal" in shown ? shown.refusal : "", reason);
      const { seen } = await proofsOf(node(master), node(material));
      assert.match(seen && "refusal" in seen ? seen.refusal : "", reason);
    }));
}

test("a certificate is of no use without its key, to a client or to a server (N6)", () =>
  withNodes(async (node) => {
    const thief = { ...storage, key: forgedKey(storage, master) };
    const [server, client] = [node(master), node(thief)];
    const address = await server.listen();
    const conn = client.connect(address);
    await client.one("closed", conn);
    const honest = node(storage);
    await honest.one("connected", honest.connect(address));
    await server.until(
      "the honest one",
      () => server.of("accepted").some(({ proof }) => proof && "identity" in proof),
    );
    // a runtime may refuse to use such a key at all: then nobody has come
    const [first, ...others] = server.of("accepted");
    if (others.length > 0) {
      assert.match(
        first?.proof && "refusal" in first.proof ? first.proof.refusal : "",
        /Cannot agree on TLS/,
      );
    }
    assert.deepEqual(server.of("bytes"), []);

    const [false1, true1] = [node(thief), node(master)];
    const other = true1.connect(await false1.listen());
    await true1.one("closed", other);
    assert.deepEqual(true1.of("connected"), []);
  }));

test("who comes without TLS is heard out and known as such; who goes to one without hears why (N6)", () =>
  withNodes(async (node) => {
    const [server, plain] = [node(master), node()];
    const conn = plain.connect(await server.listen());
    plain.write(conn, new TextEncoder().encode("NEO"));
    const there = await server.one("accepted");
    await server.until("what it says", () => server.text(there) === "NEO");
    const proof = server.of("accepted")[0]?.proof;
    assert.match(proof && "refusal" in proof ? proof.refusal : "", /it came without TLS/);
    server.write(there, new TextEncoder().encode("why"));
    await plain.until("the answer in plain bytes", () => plain.text(conn) === "why");

    const [bare, asking] = [node(), node(storage)];
    bare.react = ({ type, conn }) => {
      if (type === "bytes") bare.write(conn, new TextEncoder().encode("these bytes are no TLS"));
    };
    const lost = asking.connect(await bare.listen());
    await asking.one("closed", lost);
    const [closed] = asking.of("closed", lost);
    assert.match(closed?.reason ?? "", /doesn't speak TLS/);
    assert.equal(closed?.untrusted, true);
  }));

test("new certificates count from the next connection on, those there are stay (N6)", () =>
  withNodes(async (node) => {
    const renewed = await authority.material({ role: "master", name: "m2" });
    let current = master;
    const [server, client] = [node(() => current), node(storage)];
    const address = await server.listen();
    const nameOf = async (): Promise<string> => {
      const conn = client.connect(address);
      await client.one("connected", conn);
      const proof = client.of("connected", conn)[0]?.proof;
      return proof && "identity" in proof ? proof.identity.name : "";
    };
    assert.equal(await nameOf(), "m1");
    current = renewed;
    assert.equal(await nameOf(), "m2");
    assert.deepEqual(client.of("closed"), []);
  }));

test("dates are judged by the clock that stands at the connection (N6)", () =>
  withNodes(async (node) => {
    let nowMs = Date.now();
    const [server, client] = [node(master, { nowMs: () => nowMs }), node(storage)];
    const address = await server.listen();
    for (const expected of ["identity", "refusal"]) {
      await client.one("connected", client.connect(address));
      await server.until("both", () => server.of("accepted").at(-1)?.proof !== undefined);
      await server.until(expected, () => expected in (server.of("accepted").at(-1)?.proof ?? {}));
      nowMs += 11 * DAY_MS;
    }
  }));

test("who says nothing at all doesn't stay (N6)", () =>
  withNodes(async (node, timers) => {
    const server = node(master);
    const [host, port] = (await server.listen()).split(":");
    const socket = connectPlain(Number(port), host);
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
    const later = node(storage);
    await later.one("connected", later.connect(`${host}:${port}`));
    assert.ok(timers.waits.includes(HELLO_TIMEOUT_MS), "the one that came first is waited for");
    timers.fire();
    await closed;
    const proof = server.of("accepted").at(-1)?.proof;
    assert.match(proof && "refusal" in proof ? proof.refusal : "", /no handshake within/);
  }));
