/** Certificates with real processes: who is let in, and that both sides say why when one isn't (N6). */
import assert from "node:assert/strict";
import { copyFileSync, readFileSync } from "node:fs";
import { type AddressInfo, connect as connectTcp, createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import { issueCertificate } from "../../cli/authority.ts";
import { credentialsOf, FIRST_CLIENT } from "../../cli/tls_folder.ts";
import type { Identity } from "../../core/identity.ts";
import { type Client, connect, type Credentials, RefusedError } from "../../mod.ts";
import { Authority, DAY_MS } from "../tls_kit.ts";
import { CliCluster, eventually } from "./kit.ts";

const SHAPE = { storages: 2, partitions: 6, tls: true } as const;

/** What a client shows to a cluster, made by the cluster's own authority. */
async function shownBy(
  cluster: CliCluster,
  who: Pick<Identity, "role" | "name"> & Partial<Identity>,
  fromDays = 0,
): Promise<Credentials> {
  const read = (name: string): string => readFileSync(join(cluster.config.tls!, name), "utf8");
  const [ca, key] = [read("ca.crt"), read("ca.key")];
  const nowMs = Date.now() + fromDays * DAY_MS;
  const identity = { cluster: cluster.config.cluster, ...who };
  return { ca, ...await issueCertificate({ cert: ca, key }, identity, { nowMs, days: 10 }) };
}

function bareUri(cluster: CliCluster): string {
  return `neo://${cluster.config.cluster}@${cluster.node("m1").address}`;
}

/** Texts of a node's log. */
function textsOf(cluster: CliCluster, name: string): string {
  return cluster.log(name).map(({ text, reason }) => `${text} ${reason ?? ""}`).join("\n");
}

/** A client that isn't let in: its error, and what it has logged. */
async function refused(uri: string, tls?: Credentials): Promise<{ error: RefusedError; log: string }> {
  const log: string[] = [];
  const options = { log: (_level: string, text: string) => void log.push(text), ...(tls && { tls }) };
  const error = await connect(uri, options).then(
    (client: Client) => client.close().then(() => assert.fail("it was let in")),
    (error: unknown) => error,
  );
  assert.ok(error instanceof RefusedError, String(error));
  assert.equal(error.code, "untrusted");
  return { error, log: log.join("\n") };
}

/** Waits until all nodes are there and all copies up to date: `neo status` ends with 0 then. */
async function healthy(cluster: CliCluster): Promise<void> {
  while ((await cluster.neo("status")).exitCode !== 0);
}

async function commitOne(client: Client, text: string): Promise<void> {
  const tx = await client.begin();
  tx.store(await client.newOid(), new TextEncoder().encode(text));
  await tx.commit();
}

test("clients are let in by what they show, and refused with the reason in both logs (N6)", async () => {
  await using cluster = await CliCluster.started(SHAPE);
  {
    await using client = await cluster.connect();
    await commitOne(client, "shown");
    await using other = await connect(bareUri(cluster), {
      tls: await shownBy(cluster, { role: "client", name: "other" }),
    });
    await commitOne(other, "other");
    await using operator = await connect(bareUri(cluster), {
      tls: await shownBy(cluster, { role: "admin", name: "ops" }),
    });
    await commitOne(operator, "operators may read and write");
  }
  const stranger = await Authority.of(cluster.config.cluster);
  const { ca } = await shownBy(cluster, FIRST_CLIENT);
  const cases: { readonly [what: string]: { tls?: Credentials; reason: RegExp } } = {
    "another authority's": {
      tls: { ...await stranger.material({ role: "client", name: "thief" }), ca },
      reason: /client thief\) isn't signed by this cluster's authority/,
    },
    expired: {
      tls: await shownBy(cluster, { role: "client", name: "late" }, -20),
      reason: /client late\) has expired/,
    },
    "a storage's": {
      tls: await shownBy(cluster, { role: "storage", name: "s1" }),
      reason: /its certificate is for role storage, and it says that it is a client/,
    },
    "another cluster's": {
      tls: await shownBy(cluster, { role: "client", name: "app", cluster: "bank" }),
      reason: /its certificate is for cluster "bank"/,
    },
    "no TLS at all": { reason: /it came without TLS/ },
  };
  for (const [what, { tls, reason }] of Object.entries(cases)) {
    const { error, log } = await refused(bareUri(cluster), tls);
    assert.match(error.message, reason, what);
    assert.match(log, reason, `${what}: the client's log`);
    assert.match(textsOf(cluster, "m1"), reason, `${what}: the master's log`);
  }

  const theirs = { ...await shownBy(cluster, { role: "client", name: "app" }), ca: stranger.own.cert };
  const { error } = await refused(bareUri(cluster), theirs);
  assert.match(error.message, /master m1\) isn't signed by this cluster's authority/, "clients judge, too");
});

test("who shows no certificate gets one frame with the reason, and the end (N6)", async () => {
  await using cluster = await CliCluster.started(SHAPE);
  const [host, port] = cluster.node("m1").address.split(":");
  const said = await new Promise<string>((resolve, reject) => {
    const pieces: Uint8Array[] = [];
    const socket = connectTls({
      host: host!,
      port: Number(port),
      rejectUnauthorized: false,
      minVersion: "TLSv1.3",
    });
    socket.on("data", (bytes) => pieces.push(bytes));
    socket.on("error", reject);
    socket.on("end", () => resolve(pieces.map((bytes) => new TextDecoder().decode(bytes)).join("")));
  });
  assert.match(said, /Cannot trust the other side: it shows no certificate/);
  assert.match(textsOf(cluster, "m1"), /it shows no certificate/);
});

test("a node shows what fits its role and name, or isn't taken; both logs say why (N6)", async () => {
  await using cluster = await CliCluster.started(SHAPE);
  const tls = cluster.config.tls!;
  const own = credentialsOf(tls, { role: "storage", name: "s2" });
  const cases = [
    {
      shown: { role: "storage", name: "s1" },
      reason: /its certificate is for s1, and it says that it is s2/,
    },
    {
      shown: { role: "client", name: "app" },
      reason: /its certificate is for role client, and it says that it is a storage/,
    },
  ] as const;
  for (const { shown, reason } of cases) {
    await cluster.stop("s2");
    const other = credentialsOf(tls, shown);
    copyFileSync(other.cert, own.cert);
    copyFileSync(other.key, own.key);
    await cluster.neo("start", "s2", "--wait", "0");
    await eventually("the storage's log", () => reason.test(textsOf(cluster, "s2")));
    await eventually("the master's log", () => reason.test(textsOf(cluster, "m1")));
  }
});

test("new certificates count without a restart, and revoked ones end what is connected (N6)", async () => {
  await using cluster = await CliCluster.started(SHAPE);
  const kept = await shownBy(cluster, FIRST_CLIENT); // a copy that somebody has made
  await using client = await cluster.connect();
  await commitOne(client, "before");
  const before = new Map(["m1", "s1", "s2", "a1"].map((name) => [name, cluster.pid(name)]));
  await cluster.ok("tls", "renew", "--all");
  for (const name of ["s1", "s2", "a1", "m1"]) {
    await cluster.ok("tls", "revoke", name, "--old");
    await healthy(cluster);
  }
  await commitOne(client, "after");
  assert.deepEqual(new Map(["m1", "s1", "s2", "a1"].map((name) => [name, cluster.pid(name)])), before);
  const { certificates } = (await cluster.ok("tls", "list", "--json")).json;
  const states = certificates.map(({ role, name, state }: Record<string, string>) =>
    `${role} ${name} ${state}`
  );
  assert.ok(states.includes("storage s1 valid") && states.includes("storage s1 revoked"), states.join(", "));

  // what isn't in the folder is revoked by its fingerprint
  const { fingerprintOf, certificatesIn } = await import("../../adapters/tls_judge.ts");
  await using copied = await connect(bareUri(cluster), { tls: kept });
  await commitOne(copied, "a copy is as good as the first");
  const print = fingerprintOf(certificatesIn(kept.cert)[0]!);
  const { certificates: known } = (await cluster.ok("tls", "list", "--json")).json;
  const value = [
    ...known.filter((one: Record<string, string>) => one["state"] === "revoked")
      .map((one: Record<string, string>) => one["fingerprint"]),
    print,
  ].join(" ");
  await cluster.ok("config", "set", `tls.revoked=${value}`);
  await assert.rejects(commitOne(copied, "revoked"), { code: "untrusted" });
  await commitOne(client, "others go on");
});

/** What a client says first. */
function firstFlight(): Promise<Uint8Array> {
  return new Promise((resolve) => {
    const server = createServer((socket) => {
      socket.on("error", () => {}); // its client may have gone first
      socket.once("data", (bytes) => {
        resolve(Uint8Array.from(bytes));
        socket.destroy();
        server.close();
      });
    });
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      const client = connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false });
      client.on("error", () => {}); // nobody answers it
    });
  });
}

test("a handshake with a wrong byte costs its own connection, no node ends by it (N6, T32)", async () => {
  await using cluster = await CliCluster.started(SHAPE);
  const flight = await firstFlight();
  for (const name of ["m1", "s1"]) {
    const [host, port] = cluster.node(name).address.split(":");
    // the record's version, the kind of its message, the length of the session id
    for (const [at, wrong] of [[1, 9], [5, 9], [43, 200]] as const) {
      const socket = connectTcp(Number(port), host);
      const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
      socket.on("error", () => {}); // a reset is as good an end
      socket.resume();
      socket.write(flight.map((byte, index) => (index === at ? wrong : byte)));
      await closed;
    }
    assert.match(textsOf(cluster, name), /Cannot trust the other side: Cannot agree on TLS/);
  }
  assert.equal((await cluster.neo("status")).exitCode, 0);
});

test("what comes with TLS to a cluster without it is told so (N6)", async () => {
  await using cluster = await CliCluster.started({ storages: 1, partitions: 6 });
  const stranger = await Authority.of(cluster.config.cluster);
  const { error } = await refused(bareUri(cluster), await stranger.material({ role: "client", name: "app" }));
  assert.match(error.message, /the other side doesn't speak TLS, as this one does/);
  assert.match(textsOf(cluster, "m1"), /one side speaks TLS, this one doesn't/);
});
