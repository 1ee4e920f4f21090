import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { memoryMetadata } from "../adapters/memory.ts";
import { seededRandom, sha256 } from "../adapters/system.ts";
import { errorCodes } from "../core/errors.ts";
import type { ErrorCode } from "../core/errors.ts";
import { evidenceDigest } from "../core/evidence.ts";
import type { Proof } from "../core/identity.ts";
import { MAX_TID, toOid, ttidOf, ZERO_TID } from "../core/ids.ts";
import type { ClientSession, Conn, Ttid } from "../core/ids.ts";
import { GUEST_MS, LOCK_WAIT_MS, OBJECT_BYTES_MAX, RESERVE_BYTES } from "../core/limits.ts";
import type { Body, Hello, WireError } from "../core/messages.ts";
import { parseUri, UriError } from "../core/uri.ts";
import { FakeClock, FakeTransport, helloBytes } from "../tests/fakes.ts";
import {
  adminBench,
  asksOf,
  asNode,
  asPartition,
  asTid,
  Bench,
  clientBench,
  errorsOf,
  follow,
  helloAs,
  masterBench,
  only,
  runBackup,
  runMaster,
  serveStorage,
  storageBench,
  storageHello,
  tableOf,
  welcomeOf,
} from "../tests/machines.ts";
import type { BenchOf } from "../tests/machines.ts";
import { Host } from "./host.ts";
import type { MasterMachine } from "./master/master.ts";
import { MemberMachine } from "./master/member.ts";
import { firstImage } from "./master/metadata.ts";
import { Peers } from "./peer.ts";
import { PRIMARY } from "./seeker.ts";
import type { StorageMachine } from "./storage/storage.ts";

const client = helloAs("client", { name: "web", session: 1, epoch: 1 });
const ttid = ttidOf(1 as ClientSession, 1);
const data = new TextEncoder().encode("hello");
const checksum = sha256(data);

/** What a storage's peers are told that begin with these bytes. */
function greeting(bytes: Uint8Array, proof?: Proof): WireError {
  const transport = new FakeTransport();
  const peers = new Peers(transport, { hello: helloAs("storage", { name: "s1" }), serves: ["client"] });
  const conn = transport.conn();
  peers.receive({ type: "accepted", conn, remote: "elsewhere", ...(proof && { proof }) }, 0);
  peers.receive({ type: "bytes", conn, bytes }, 0);
  peers.send(0);
  const [packet] = transport.takePackets(conn);
  assert.ok(packet?.kind === "error");
  return packet.error;
}

const greetingBy = (hello: Partial<Hello>): WireError => greeting(helloBytes({ ...client, ...hello }));

/** Storage s1 of two without replicas: it has the even partitions of four. A client of session 1 is connected. */
function storage(): { bench: BenchOf<StorageMachine>; primary: Conn; conn: Conn } {
  const bench = storageBench();
  const primary = serveStorage(bench, { table: tableOf({ replicas: 0 }), epoch: 5 });
  const { conn } = bench.comes({ ...client, epoch: 5 });
  return { bench, primary, conn };
}

function storeOf(oid: number, more: Partial<Body<"store">> = {}): Body<"store"> {
  const rest = { compression: 0, checksum, data, link: null, restore: false };
  return { ttid, version: 1, ageMs: 5, oid: toOid(oid), base: ZERO_TID, ...rest, ...more };
}

function voteOf(oids: readonly number[], of: Ttid = ttid): Body<"vote"> {
  const held = oids.map((oid) => ({ oid: toOid(oid), base: ZERO_TID, mode: "store", checksum } as const));
  const digest = evidenceDigest(held, sha256);
  return { ttid: of, version: 1, home: asPartition(0), count: oids.length, digest, note: null };
}

/** Object 4 with one revision, of tid 40. */
function storageWithObject() {
  const made = storage();
  const { bench, primary, conn } = made;
  bench.asked(conn, "store", storeOf(4));
  bench.asked(conn, "vote", voteOf([4]));
  bench.asked(primary, "lock", { epoch: 5, ttid, tid: asTid(40) });
  bench.told(primary, "unlock", { epoch: 5, ttid, tid: asTid(40) });
  return made;
}

/** A master that runs with s1 and s2, and a client of the session that is given. */
function master(): { bench: BenchOf<MasterMachine>; storages: Conn[]; conn: Conn } {
  const bench = masterBench();
  const storages = runMaster(bench);
  return { bench, storages, conn: bench.comes(client).conn };
}

function finishOf(more: Partial<Body<"finish">> = {}): Body<"finish"> {
  const lists = {
    stored: [toOid(4)],
    checked: [],
    evidence: [],
    sent: [asNode(2), asNode(3)],
    failed: [],
    behind: null,
  };
  return { ttid, home: asPartition(0), explicit: null, ...lists, ...more };
}

function evidenceOf(node: number, locked: boolean): Body<"finish">["evidence"][number] {
  return { node: asNode(node), session: node - 1, cells: [{ partition: asPartition(0), since: 1, locked }] };
}

interface Provocation {
  /** Makes real machines say it. */
  readonly provoke: () => readonly WireError[] | Promise<readonly WireError[]>;
  /** What its text must name: the two sides, or what stood in the way. */
  readonly names: RegExp;
}

/** A master of three that hears of no other. */
function lonelyMaster(): Bench<never, never, never, never, never, never, never> {
  const nodes = ["m1", "m2", "m3"].map((name) => {
    return { name, role: "master", address: `${name}:1`, diskId: `disk ${name}` } as const;
  });
  const storage = { name: "s1", role: "storage", address: "s1:1", diskId: "disk s1" } as const;
  const shape = { clusterId: "c-1", cluster: "test", partitions: 1, replicas: 0 };
  const store = memoryMetadata(firstImage({ ...shape, nodes: [...nodes, storage] }), "disk m1").open();
  const { state } = store;
  const machine = new MemberMachine({ state, name: "m1", digest: sha256, random: seededRandom(1) });
  return new Bench(machine as never, store as never);
}

const provocations: { readonly [C in ErrorCode]: Provocation } = {
  notPrimary: {
    provoke: () => {
      const bench = lonelyMaster();
      bench.give({ type: "opened" });
      bench.comes(client);
      return errorsOf(bench.pass(GUEST_MS));
    },
    names: /no primary/i,
  },
  untrusted: {
    provoke: () => {
      const identity = { cluster: "test", role: "client", name: "web" };
      return [
        greeting(helloBytes(client), { identity: { ...identity, role: "storage" }, fingerprint: "ab" }),
      ];
    },
    names: /storage web: its certificate is for role storage, and it says that it is a client/,
  },
  badUri: {
    provoke: () => {
      try {
        parseUri("neo://shop");
      } catch (error) {
        if (error instanceof UriError) return [{ code: error.code, message: error.message } as WireError];
      }
      return [];
    },
    names: /expected "@".* at offset 10, found the end; write neo:/,
  },
  malformed: {
    provoke: () => [greeting(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"))],
    names: /frame of \d+ bytes: \d+ is the limit/,
  },
  wrongVersion: {
    provoke: () => [greetingBy({ versionMin: 8, versionMax: 9 })],
    names: /this side speaks neo1 versions 1 to 1, the other neo1 8 to 9/,
  },
  wrongCluster: {
    provoke: () => [greetingBy({ cluster: "bank" })],
    names: /this side is of cluster "test", the other of "bank"/,
  },
  wrongRole: {
    provoke: () => [greetingBy({ role: "admin" })],
    names: /this is a storage, which takes client; the other is a admin/,
  },
  wrongNode: {
    provoke: () => {
      const bench = clientBench();
      follow(bench);
      const request = { oid: toOid(4), at: ZERO_TID };
      const effects = bench.give({ type: "call", call: 1, name: "load", request, withinMs: 9_000 });
      return errorsOf(bench.reached(only(effects, "connect")[0]!.target, storageHello(2)).effects);
    },
    names: /expected storage "s1", found storage "s2"/,
  },
  unknownNode: {
    provoke: () => errorsOf(master().bench.comes(storageHello(9)).effects),
    names: /storage "s9": disk disk-s9 isn't in the registry of cluster "test"/,
  },
  staleEpoch: {
    provoke: () => {
      const { bench, primary } = storage();
      const image = tableOf({ replicas: 0 }).toImage();
      return errorsOf(bench.asked(primary, "fence", { epoch: 4, session: 2, node: asNode(2), image }));
    },
    names: /epoch 4: this storage has seen epoch 5/,
  },
  staleTable: {
    provoke: () => {
      const bench = storageBench();
      const newer = tableOf();
      newer.apply(7, []);
      const primary = serveStorage(bench, { table: newer });
      const image = tableOf().toImage();
      return errorsOf(bench.asked(primary, "fence", { epoch: 6, session: 2, node: asNode(2), image }));
    },
    names: /table 1\.1, this storage has 1\.7/,
  },
  sessionEnded: {
    provoke: () => {
      const { bench, primary } = storage();
      return errorsOf(bench.told(primary, "sessionEnded", { epoch: 5, session: 1 }));
    },
    names: /session 1: it is over; identify at the primary again/,
  },
  notReadable: {
    provoke: () => {
      const { bench, conn } = storage();
      return errorsOf(bench.asked(conn, "load", { oid: toOid(3), at: ZERO_TID, version: 1 }));
    },
    names: /partition 3: this storage has no readable copy of it in table version 1/,
  },
  notAssigned: {
    provoke: () => {
      const { bench, conn } = storage();
      return errorsOf(bench.asked(conn, "store", storeOf(3)));
    },
    names: /object 3: this storage has no cell of partition 3 in table version 1/,
  },
  wrongPartition: {
    provoke: () => {
      const { bench, conn } = storage();
      return errorsOf(bench.asked(conn, "digest", { partition: asPartition(4), upTo: ZERO_TID, version: 1 }));
    },
    names: /partition 4: the cluster has 4/,
  },
  badChecksum: {
    provoke: () => {
      const { bench, conn } = storage();
      return errorsOf(bench.asked(conn, "store", storeOf(4, { data: Uint8Array.of(1) })));
    },
    names: /object 4: its data doesn't match its checksum/,
  },
  oidUnknown: {
    provoke: () => {
      const { bench, conn } = storageWithObject();
      return errorsOf(bench.asked(conn, "load", { oid: toOid(2), at: asTid(50), version: 1 }));
    },
    names: /object 2: no object has this id/,
  },
  noSuchRevision: {
    provoke: () => {
      const { bench, conn } = storageWithObject();
      return errorsOf(bench.asked(conn, "load", { oid: toOid(4), at: asTid(39), version: 1 }));
    },
    names: /object 4: it has no revision there/,
  },
  packed: {
    provoke: () => {
      const { bench, primary, conn } = storageWithObject();
      bench.told(primary, "packTo", { epoch: 5, tid: asTid(50) });
      return errorsOf(bench.asked(conn, "load", { oid: toOid(4), at: asTid(39), version: 1 }));
    },
    names: /object 4: that part of the past was packed, up to \w+/,
  },
  conflict: {
    provoke: () => {
      const { bench, conn } = storageWithObject();
      return errorsOf(bench.asked(conn, "store", storeOf(4, { ttid: ttidOf(1 as ClientSession, 2) })));
    },
    names: /object 4: it changed at tid \w+, after \w+/,
  },
  lockTimeout: {
    provoke: () => {
      const { bench, conn } = storage();
      bench.asked(conn, "store", storeOf(4));
      bench.asked(conn, "store", storeOf(4, { ttid: ttidOf(1 as ClientSession, 2) }));
      return errorsOf(bench.pass(LOCK_WAIT_MS));
    },
    names: new RegExp(`object 4: transaction ${ttid} holds it`),
  },
  noSpace: {
    provoke: () => {
      const { bench, conn } = storage();
      bench.give({ type: "room", freeBytes: 7 });
      return errorsOf(bench.asked(conn, "store", storeOf(4)));
    },
    names: new RegExp(`object 4: 7 bytes are free, ${RESERVE_BYTES} are kept in reserve`),
  },
  tooLarge: {
    provoke: () => {
      const { bench, conn } = storage();
      return errorsOf(bench.asked(conn, "store", storeOf(4, { data: new Uint8Array(OBJECT_BYTES_MAX + 1) })));
    },
    names: new RegExp(`object 4: ${OBJECT_BYTES_MAX + 1} bytes are more than ${OBJECT_BYTES_MAX}`),
  },
  lacks: {
    provoke: () => {
      const { bench, conn } = storage();
      bench.asked(conn, "store", storeOf(4));
      return errorsOf(bench.asked(conn, "vote", voteOf([0, 4])));
    },
    names: new RegExp(`transaction ${ttid} has 1 of 2 objects here`),
  },
  missing: {
    provoke: () => {
      const { bench, conn } = master();
      return errorsOf(bench.asked(conn, "finish", finishOf({ evidence: [evidenceOf(2, true)] })));
    },
    names: new RegExp(`transaction ${ttid}: 1 cells of table version 1`),
  },
  incomplete: {
    provoke: () => {
      const { bench, conn } = master();
      const evidence = [evidenceOf(2, false), evidenceOf(3, false)];
      return errorsOf(bench.asked(conn, "finish", finishOf({ evidence })));
    },
    names: new RegExp(`transaction ${ttid}: a partition of it isn't fully locked`),
  },
  aborted: {
    provoke: () => {
      const { bench, storages, conn } = master();
      bench.asked(storages[0]!, "settle", { asks: false, ttid });
      return errorsOf(
        bench.asked(conn, "finish", finishOf({ evidence: [2, 3].map((n) => evidenceOf(n, true)) })),
      );
    },
    names: new RegExp(`transaction ${ttid}: it was given up after its time`),
  },
  tidTaken: {
    provoke: () => {
      const { bench, conn } = master();
      bench.asked(conn, "stage", { importing: true, origin: "Data.fs" });
      const evidence = [2, 3].map((node) => evidenceOf(node, true));
      const locks = bench.asked(conn, "finish", finishOf({ evidence, explicit: asTid(400) }));
      for (const question of asksOf(locks, "lock")) bench.answered(question, {});
      const next = { ttid: ttidOf(1 as ClientSession, 2), explicit: asTid(396), evidence };
      return errorsOf(bench.asked(conn, "finish", finishOf(next)));
    },
    names: /tid \w+: the last one is \w+/,
  },
  outcomePending: {
    provoke: () => {
      const { bench, conn } = master();
      const asked = bench.asked(conn, "outcome", {
        ttid: ttidOf(9 as ClientSession, 1),
        home: asPartition(0),
      });
      const late: WireError = { code: "timedOut", message: "Cannot wait longer for the answer to fate" };
      const [first] = asksOf(asked, "fate");
      const [second] = asksOf(bench.failed(first!, late), "fate");
      return errorsOf(bench.failed(second!, late)).filter(({ code }) => code === "outcomePending");
    },
    names: /outcome of transaction \d+ yet: no storage with partition 0 is there/,
  },
  unknownTransaction: {
    provoke: () => {
      const { bench, primary } = storage();
      return errorsOf(bench.asked(primary, "lock", { epoch: 5, ttid, tid: asTid(40) }));
    },
    names: new RegExp(`transaction ${ttid}: its whole vote isn't here`),
  },
  denied: {
    provoke: () => {
      const { bench, conn } = storage();
      return errorsOf(bench.asked(conn, "lock", { epoch: 5, ttid, tid: MAX_TID }));
    },
    names: /lock: a storage doesn't take it from this peer/,
  },
  readOnly: {
    provoke: () => {
      const bench = masterBench();
      runBackup(bench);
      return errorsOf(bench.asked(bench.comes(client).conn, "newOids", { count: 1 }));
    },
    names: /backup of shop/,
  },
  stopping: {
    provoke: () => {
      const { bench } = master();
      bench.give({ type: "terminate" });
      return errorsOf(bench.comes(client).effects);
    },
    names: /a client in: the cluster stops/,
  },
  timedOut: {
    provoke: () => {
      const bench = storageBench();
      bench.give({ type: "opened" });
      const { conn } = bench.comes(client);
      return errorsOf(bench.give({ type: "impatient", conn }));
    },
    names: /this storage waits for the primary to start this storage/,
  },
  lost: {
    provoke: () => {
      const bench = adminBench();
      const primary = follow(bench, welcomeOf());
      bench.lost(primary, { target: PRIMARY });
      return errorsOf(bench.asked(bench.comes(helloAs("admin")).conn, "stop", {}));
    },
    names: /ask the primary: Lost the connection: the test ended it/,
  },
  ioError: {
    provoke: async () => {
      const { machine } = storageBench();
      const clock = new FakeClock();
      const ends: (WireError | undefined)[] = [];
      const step: typeof machine.step = (event, now) =>
        event.type === "opened"
          ? [{ do: "save", write: { op: "epoch", epoch: 1 }, durable: true }]
          : machine.step(event, now);
      const store = {
        apply: () => {
          throw new Error("Cannot save: EIO, the disk is gone");
        },
        read: () => assert.fail("nothing is read"),
        freeBytes: () => undefined,
        close: () => {},
      };
      const world = { clock, transport: new FakeTransport(), store, log: () => {}, output: () => {} };
      const ports = { ...world, stopped: (error?: WireError) => void ends.push(error) };
      new Host({ step, due: () => undefined }, ports, { hello: machine.hello(), serves: [] });
      clock.run();
      await setImmediate();
      return ends.flatMap((error) => error ?? []);
    },
    names: /EIO, the disk is gone/,
  },
};

for (const [code, { provoke, names }] of Object.entries(provocations)) {
  test(`Real machines say ${code} for its one cause, and name what stood in the way (T2)`, async () => {
    const errors = await provoke();
    assert.deepEqual(errors.map((error) => error.code), [code]);
    const [error] = errors;
    assert.match(error!.message, /^Cannot [a-z].*: ./);
    assert.match(error!.message, names);
    assert.doesNotMatch(error!.message, /\.$/, "no full stop");
  });
}

test("docs/errors.md says of every code what to do (T2)", () => {
  const docs = readFileSync(new URL("../docs/errors.md", import.meta.url), "utf8");
  for (const [code, { remedy }] of Object.entries(errorCodes)) {
    const row = docs.split("\n").find((line) => line.startsWith(`| \`${code}\` `));
    assert.ok(row?.toLowerCase().includes(remedy.toLowerCase()), code);
  }
});
