/** A cluster of real processes that tells many by multicast, and clients that hear it. */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { UdpMulticast } from "../../adapters/udp.ts";
import { NOTICE_BYTES_MAX, STREAM_BYTES } from "../../core/datagrams.ts";
import { connect, toOid } from "../../mod.ts";
import type { Client } from "../../mod.ts";
import { CliCluster, within } from "./kit.ts";

const COMMITS = 20;

/** A socket that hears what everybody on the network hears. */
class Tap {
  readonly port = new UdpMulticast({ networkInterface: "127.0.0.1" });
  /** Datagrams that carry something. */
  notices = 0;
  last: Uint8Array | undefined;
  #wake: () => void = () => {};

  async join(group: string): Promise<void> {
    const joined = new Promise<void>((resolve) =>
      this.port.onEvent((event) => {
        if (event.type === "joined") return resolve();
        this.last = event.bytes;
        if (event.bytes.length > STREAM_BYTES + 8 + 32) this.notices += 1;
        this.#wake();
      })
    );
    this.port.join(group);
    await within("the tap's membership", joined);
  }

  /** Fulfilled with the next datagram. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#wake = resolve);
  }
}

async function read(client: Client): Promise<number | undefined> {
  return (await (await client.snapshot()).load(toOid(1)))?.data[0];
}

test("T9 clients of a cluster with multicast see every commit at once, though strangers send datagrams too", async () => {
  await using cluster = await CliCluster.init({ single: true, partitions: 4 });
  const group = `239.78.${randomInt(256)}.${randomInt(1, 255)}:${randomInt(20_000, 30_000)}`;
  const file = join(cluster.folder, "neo.toml");
  const keys = `multicast = "${group}"\nmulticastInterface = "127.0.0.1"\n`;
  writeFileSync(file, keys + readFileSync(file, "utf8"));
  cluster.reload();
  await cluster.start();
  const tap = new Tap();
  await tap.join(group);
  const clients: Client[] = [];
  try {
    for (let count = 0; count < 4; count++) {
      const tried = tap.next(); // the way is tried for each who comes
      clients.push(await connect(cluster.uri, { multicast: "127.0.0.1" }));
      await within("a datagram that tries the way", tried);
    }
    const [writer] = clients;
    for (let value = 1; value <= COMMITS; value++) {
      await writer!.transact(async (tx) => {
        await tx.load(toOid(1));
        tx.store(toOid(1), new Uint8Array([value]));
      });
      if (tap.last) {
        const forged = tap.last.slice();
        forged[forged.length - 1]! ^= 1;
        tap.port.send(group, forged);
        tap.port.send(group, new Uint8Array(NOTICE_BYTES_MAX));
        tap.port.send(group, tap.last); // again
      }
      assert.deepEqual(await Promise.all(clients.map(read)), clients.map(() => value));
    }
    assert.ok(tap.notices >= COMMITS / 2, `${tap.notices} notices went by multicast`);
  } finally {
    for (const client of clients) await client.close();
    tap.port.close();
  }
});

test("T9 neo.toml refuses a group that isn't one, and datagrams that leave the machine without leave", async () => {
  await using cluster = await CliCluster.init({ single: true });
  const file = join(cluster.folder, "neo.toml");
  const text = readFileSync(file, "utf8");
  for (
    const { line, says } of [
      { line: 'multicast = "10.0.0.1:9199"', says: /multicast: Cannot use "10.0.0.1:9199" .*\(line 1/ },
      { line: 'multicast = "239.1.2.3:9199"', says: /datagrams can be read elsewhere; .*insecure = true/ },
      { line: 'multicastInterface = "127.0.0.1"', says: /there is no multicast/ },
    ]
  ) {
    writeFileSync(file, `${line}\n`);
    appendFileSync(file, text);
    const { exitCode, stderr } = await cluster.neo("status");
    assert.equal(exitCode, 2);
    assert.match(stderr, says);
  }
});
