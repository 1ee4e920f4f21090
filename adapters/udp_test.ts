import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import type { MulticastEvent } from "../core/ports.ts";
import { parseGroup, UdpMulticast } from "./udp.ts";

const groups = [
  { text: "224.0.0.1:1", family: "udp4" },
  { text: "239.255.255.255:65535", family: "udp4" },
  { text: "[ff15::9:1]:9199", family: "udp6" },
] as const;
for (const { text, family } of groups) {
  test(`parseGroup() takes ${text}`, () => assert.equal(parseGroup(text).family, family));
}
for (
  const text of ["223.1.1.1:1", "240.0.0.1:1", "239.1.2.3:0", "239.1.2.3", "[fe80::1]:1", "localhost:1", ""]
) {
  test(`parseGroup() refuses "${text}"`, () => assert.throws(() => parseGroup(text), RangeError));
}

/** What comes to a group, one after the other. */
class Heard {
  readonly port = new UdpMulticast({ networkInterface: "127.0.0.1" });
  readonly events: MulticastEvent[] = [];
  #wake: () => void = () => {};

  constructor() {
    this.port.onEvent((event) => {
      this.events.push(event);
      this.#wake();
    });
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#wake = resolve);
  }

  texts(): string[] {
    return this.events.flatMap((event) =>
      event.type === "datagram" ? [new TextDecoder().decode(event.bytes)] : []
    );
  }
}

test("UdpMulticast brings a datagram to all who joined its group on this machine (T9)", async () => {
  const group = `239.77.${randomInt(256)}.${randomInt(256)}:${randomInt(20_000, 30_000)}`;
  const [one, other] = [new Heard(), new Heard()];
  const sender = new UdpMulticast({ networkInterface: "127.0.0.1" });
  for (const { port } of [one, other]) port.join(group);
  for (const heard of [one, other]) await heard.until(() => heard.events.length > 0);
  assert.deepEqual(one.events, [{ type: "joined", group }]);

  sender.send(group, new TextEncoder().encode("first"));
  for (const heard of [one, other]) await heard.until(() => heard.texts().includes("first"));
  other.port.close();
  sender.send(group, new TextEncoder().encode("second"));
  await one.until(() => one.texts().includes("second"));

  assert.deepEqual(other.texts(), ["first"]);
  one.port.close();
  sender.close();
  sender.send(group, new Uint8Array([1])); // nothing happens any more
});

test("UdpMulticast says once what the network refuses, and goes on", async () => {
  const said: string[] = [];
  let wake = (): void => {};
  const port = new UdpMulticast({
    networkInterface: "203.0.113.77", // an address that no machine here has
    log: (text) => {
      said.push(text);
      wake();
    },
  });
  const refused = new Promise<void>((resolve) => wake = resolve);
  port.join("239.77.0.1:29999");
  port.join("no group");
  await refused;
  assert.match(said.join("\n"), /^Cannot use multicast: .*; everything goes by TCP/);
  port.join("no group");
  assert.equal(said.filter((text) => text.includes("no group")).length, 1);
  port.close();
});
