import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { seededRandom, sha256, SystemClock } from "./adapters/system.ts";
import { TcpTransport } from "./adapters/tcp.ts";
import type { Role } from "./core/messages.ts";
import * as neo from "./mod.ts";
import { ConflictError, connect, RefusedError, toOid, UriError } from "./mod.ts";
import type { ConnectOptions } from "./mod.ts";
import { Host } from "./roles/host.ts";
import type { HostedMachine, HostPorts } from "./roles/host.ts";
import { MemberMachine } from "./roles/master/member.ts";
import { StorageMachine } from "./roles/storage/storage.ts";
import { masterDisk, storageDisk } from "./tests/machines.ts";
import { findNode20, moduleGraph, runInNode20 } from "./tests/node20.ts";

type AnyMachine = HostedMachine<never, never, never, never, never, never, never>;

/** A master and a storage in this process, on real sockets. */
class TcpCluster {
  readonly #ends: (() => Promise<void>)[] = [];
  masterAddress = "";

  async start(): Promise<this> {
    const shape = { storages: 1, replicas: 0, partitions: 4 };
    const transport = new TcpTransport();
    this.masterAddress = await transport.listen("127.0.0.1:0");
    const store = masterDisk(shape).open();
    const master = new MemberMachine({
      state: store.state,
      name: "m1",
      digest: sha256,
      random: seededRandom(1),
    });
    this.#run(master, { transport, store }, ["storage", "client", "admin"]);
    await this.#storage(shape.partitions);
    return this;
  }

  async #storage(partitions: number): Promise<void> {
    const transport = new TcpTransport();
    const address = await transport.listen("127.0.0.1:0");
    const store = storageDisk(1, partitions).open();
    const { state } = store;
    const storage = new StorageMachine({ state, masters: [this.masterAddress], address, digest: sha256 });
    this.#run(storage, { transport, store }, ["client"]);
  }

  #run(
    machine: MemberMachine | StorageMachine,
    own: { transport: TcpTransport; store: unknown },
    serves: Role[],
  ): void {
    const ended = Promise.withResolvers<void>();
    const ports = {
      clock: new SystemClock({ keepsProcess: true }),
      ...own,
      log: () => {},
      output: () => {},
      stopped: () => ended.resolve(),
    } as unknown as HostPorts<never, never, never, never>;
    const host = new Host(machine as unknown as AnyMachine, ports, { hello: machine.hello(), serves });
    this.#ends.push(() => {
      host.terminate();
      return ended.promise;
    });
  }

  /** Ends all nodes, the storage first. */
  async stop(): Promise<void> {
    for (const end of this.#ends.toReversed()) await end();
  }
}

/** Runs a test on a cluster that ends with it. */
function clusterTest(name: string, run: (cluster: TcpCluster, uri: string) => Promise<void>): void {
  test(name, async () => {
    const cluster = await new TcpCluster().start();
    try {
      await run(cluster, `neo://test@${cluster.masterAddress}`);
    } finally {
      await cluster.stop();
    }
  });
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

clusterTest("connect() gives a client that commits and reads over real sockets", async (_, uri) => {
  const client = await connect(uri, { name: "web" });
  const oid = await client.newOid();
  const tx = await client.begin();
  tx.store(oid, bytes("hello"));
  const tid = await tx.commit();

  const snapshot = await client.snapshot();
  assert.deepEqual((await snapshot.load(oid))?.data, bytes("hello"));
  assert.equal(snapshot.at, tid);
  await client.close();
});

clusterTest(
  "connect() gives clients that conflict, and hear of each other's commits before they begin",
  async (_, uri) => {
    const [first, second] = [await connect(uri), await connect(uri)];
    const oid = toOid(7n);
    const [mine, theirs] = [await first.begin(), await second.begin()];
    mine.store(oid, bytes("1"));
    theirs.store(oid, bytes("2"));
    const tid = await mine.commit();
    const refusal = await theirs.commit().then(() => undefined, (error) => error);

    assert.ok(refusal instanceof ConflictError);
    assert.deepEqual(refusal.conflicts, [{ oid, base: 0n, saved: tid }]);
    const after = await second.begin();
    assert.deepEqual((await after.load(oid))?.data, bytes("1"));
    await Promise.all([first.close(), second.close()]);
  },
);

clusterTest(
  "connect() refuses a cluster of another name at once, and names both",
  async ({ masterAddress }) => {
    const refusal = await connect(`neo://bank@${masterAddress}`).then(() => undefined, (error) => error);
    assert.ok(refusal instanceof RefusedError);
    assert.equal(refusal.code, "wrongCluster");
    assert.match(refusal.message, /"test".*"bank"|"bank".*"test"/);
  },
);

clusterTest("Client.close() ends the client: what is called later fails", async (_, uri) => {
  const client = await connect(uri);
  await client.close();
  await assert.rejects(client.sync(), { name: "UnreachableError", code: "lost" });
});

test("connect() says where it couldn't connect when its time is over", async () => {
  const free = new TcpTransport();
  const address = await free.listen("127.0.0.1:0");
  await free.shutdown();
  await assert.rejects(connect(`neo://test@${address}`, { withinMs: 200 }), {
    name: "UnreachableError",
    code: "timedOut",
    message: /cluster "test" doesn't let this client in: .*/,
  });
});

test("connect() says what may be when masters neither let it in nor refuse it, and who tells", async () => {
  const silent = new TcpTransport();
  const address = await silent.listen("127.0.0.1:0");
  try {
    await assert.rejects(connect(`neo://test@${address}`, { withinMs: 200 }), {
      code: "timedOut",
      message: new RegExp(`no answer from ${address}: the cluster doesn't run yet, .*neo status`),
    });
  } finally {
    await silent.shutdown();
  }
});

test("connect() gives up when its signal says so, with the signal's reason", async () => {
  const silent = new TcpTransport();
  const address = await silent.listen("127.0.0.1:0");
  const accepted = new Promise<void>((resolve) => {
    silent.onEvent((event) => event.type === "accepted" && resolve());
  });
  const controller = new AbortController();
  const reason = new Error("the user has left");
  const connecting = connect(`neo://test@${address}`, { signal: controller.signal });
  await accepted;
  controller.abort(reason);

  await assert.rejects(connecting, (error) => error === reason);
  await assert.rejects(
    connect(`neo://test@${address}`, { signal: controller.signal }),
    (error) => error === reason,
  );
  await silent.shutdown();
});

test("connect() names the three forms of a target to who gives something else", async () => {
  const wrong: unknown[] = [undefined, null, 5, {}, { directory: "" }, { memory: false }];
  for (const target of [...wrong, { directory: "x", memory: true }]) {
    await assert.rejects(connect(target as never), {
      name: "TypeError",
      message: /: expected "neo:\/\/NAME@HOST:PORT", \{ directory: "PATH" \} or \{ memory: true \}$/,
    });
  }
});

test("connect() refuses a number of partitions that can't be", async () => {
  for (const partitions of [0, 1.5, 65_537, "4" as never]) {
    await assert.rejects(connect({ memory: true, partitions }), RangeError);
    await assert.rejects(connect({ directory: "never-made", partitions }), RangeError);
  }
  assert.equal(existsSync("never-made"), false);
});

test("connect({ memory: true }) gives an empty cluster of its own each time (X6)", async () => {
  const [one, two] = [await connect({ memory: true }), await connect({ memory: true, partitions: 3 })];
  const oid = toOid(1n);
  const tx = await one.begin();
  tx.store(oid, bytes("mine"));
  await tx.commit();
  assert.equal(await (await two.snapshot()).load(oid), undefined);
  assert.deepEqual((await (await one.snapshot()).load(oid))?.data, bytes("mine"));
  assert.equal((await two.view()).table.partitions, 3);
  await Promise.all([one.close(), two.close()]);
  await assert.rejects(one.sync(), { name: "UnreachableError", code: "lost" });

  const three = await connect({ memory: true });
  assert.equal(await three.sync(), 0n);
  await three.close();
  await three.close();
});

test("connect({ memory: true }) gives up when its signal has fired", async () => {
  const reason = new Error("enough");
  const signal = AbortSignal.abort(reason);
  await assert.rejects(connect({ memory: true }, { signal }), (error) => error === reason);
});

test("connect({ memory: true }) tells the program's log which node speaks", async () => {
  const nodes = new Set<unknown>();
  const log: ConnectOptions["log"] = (_level, _text, facts) => nodes.add(facts?.["node"]);
  const client = await connect({ memory: true }, { log });
  await client.close();
  assert.ok(nodes.has("m1"), `heard ${[...nodes].join(" ")}`);
});

test("mod.ts imports roles and words, and no adapter, before connect() is called (X6)", () => {
  const graph = moduleGraph("mod.ts", { dynamic: false });
  assert.ok(graph.has("roles/client/client.ts"));
  const folders = new Set([...graph.keys()].map((path) => path.split("/")[0]));
  assert.deepEqual([...folders].sort(), ["core", "mod.ts", "roles"]);
  const packages = new Set(
    [...graph.values()].flat().map(({ specifier }) => specifier).filter((name) => !name.startsWith(".")),
  );
  assert.deepEqual([...packages], ["cborg"]);
});

const node20 = findNode20();
test(
  "Node 20 runs the client, in a cluster of its own and in one on sockets (X6)",
  { skip: node20.met ? false : node20.reason },
  async () => {
    const cluster = await new TcpCluster().start();
    try {
      const printed = await runInNode20(
        node20.node,
        `import { connect } from "./mod.js";
        for (const target of [{ memory: true }, "neo://test@${cluster.masterAddress}"]) {
          const client = await connect(target);
          const { tid } = await client.transact((tx) => tx.store(1n, Uint8Array.of(7)));
          const found = await (await client.snapshot()).load(1n);
          for await (const change of client.changes({ since: 0n })) {
            console.log(change.tid === tid, change.oids, found.data);
            break;
          }
          await client.close();
        }`,
      );
      const said = "true [ 1n ] Uint8Array(1) [ 7 ]\n";
      assert.equal(printed, said + said);
    } finally {
      await cluster.stop();
    }
  },
);

test("connect() says where a URI is wrong before it connects", async () => {
  await assert.rejects(connect("http://test@127.0.0.1:1"), UriError);
  await assert.rejects(connect("http://test@127.0.0.1:1"), { code: "badUri", name: "UriError", position: 0 });
});

test("connect() says to who names a folder how that is written", async () => {
  await assert.rejects(connect("./notes"), {
    code: "badUri",
    message: /connect\(\{ directory: "\.\/notes" \}\)$/,
  });
});

test("mod.ts exports the library and nothing of its inside", () => {
  assert.deepEqual(Object.keys(neo).sort(), [
    "AbortedError",
    "Client",
    "ConflictError",
    "DatabaseError",
    "LockTimeoutError",
    "OutcomePendingError",
    "PackedError",
    "RefusedError",
    "Snapshot",
    "Transaction",
    "UndoError",
    "UnreachableError",
    "UriError",
    "connect",
    "dateOfTid",
    "tidOfDate",
    "toOid",
    "toTid",
  ]);
});
