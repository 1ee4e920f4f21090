/** What peers may send wrongly, and the answer that each gets. */
import assert from "node:assert/strict";
import { seededRandom } from "../../adapters/system.ts";
import { encodeHello } from "../../core/codec.ts";
import { FRAME_BYTES_MAX, HELLO_BYTES_MAX } from "../../core/limits.ts";
import type { Hello, WireError } from "../../core/messages.ts";
import { askFrame, frameOf, helloFrame, helloWith, RawPeer } from "./raw_peer.ts";

/** One thing that a peer does wrongly, and what it is told. */
export interface Wrong {
  readonly name: string;
  /** Does it; gives the reason with which the connection ends, undefined when it ends without a word. */
  readonly make: (peer: RawPeer) => Promise<WireError | undefined>;
  readonly code: WireError["code"] | undefined;
  readonly says?: RegExp;
}

function saying(...parts: Uint8Array[]): Wrong["make"] {
  return (peer) => peer.send(...parts).refused();
}

/** What ends at the first frame. `role` is that of the node, `hello` one that it would accept. */
export function wrongHellos(role: "master" | "storage", hello: Partial<Hello>): Wrong[] {
  const whole = encodeHello(helloWith(hello));
  const stranger = {
    name: "a master that is no member",
    make: saying(helloFrame({ ...hello, role: "master" })),
    code: "unknownNode",
    says: /isn't in the roster of cluster "shop"/,
  } as const;
  const another = {
    name: "another role",
    make: saying(helloFrame({ ...hello, role: "admin" })),
    code: "wrongRole",
    says: new RegExp(`this is a ${role}, .*; the other is a admin`),
  } as const;
  return [
    {
      name: "another cluster",
      make: saying(helloFrame({ ...hello, cluster: "bank" })),
      code: "wrongCluster",
      says: /"shop".*"bank"/,
    },
    {
      name: "another cluster of the same name",
      make: saying(helloFrame({ ...hello, clusterId: "0".repeat(32) })),
      code: "wrongCluster",
      says: /has id [0-9a-f]{32} on this side, 0{32} on the other/,
    },
    role === "master" ? stranger : another, // a master serves every role
    {
      name: "no role",
      make: saying(helloFrame({ ...hello, role: "poet" })),
      code: "wrongRole",
      says: /the other is a poet/,
    },
    {
      name: "another version",
      make: saying(helloFrame({ ...hello, versionMin: 7, versionMax: 9 })),
      code: "wrongVersion",
      says: /versions 1 to 1, the other neo1 7 to 9/,
    },
    {
      name: "another protocol",
      make: saying(helloFrame({ ...hello, magic: "http" })),
      code: "wrongVersion",
      says: /the other http/,
    },
    ...noHellos(whole),
  ];
}

/** What is no hello at all; `whole` is one, to be cut. */
function noHellos(whole: Uint8Array): Wrong[] {
  return [
    {
      name: "an oversized hello",
      make: saying(frameOf(new Uint8Array(), HELLO_BYTES_MAX + 1)),
      code: "malformed",
      says: /4097 bytes: 4096 is the limit/,
    },
    {
      name: "a frame of 4 GB",
      make: saying(new Uint8Array(1024).fill(0xff)),
      code: "malformed",
      says: /4294967295 bytes/,
    },
    {
      name: "a request of the web",
      make: saying(new TextEncoder().encode("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")),
      code: "malformed",
    },
    {
      name: "half a hello in a whole frame",
      make: saying(frameOf(whole.subarray(0, 20))),
      code: "malformed",
    },
    {
      name: "half a frame, and the end",
      make: (peer) => peer.send(frameOf(whole.subarray(0, 20), whole.length)).end().refused(),
      code: undefined,
    },
    { name: "nothing, and the end", make: (peer) => peer.end().refused(), code: undefined },
    {
      name: "a request before the hello",
      make: saying(askFrame(1, "ping", {})),
      code: "malformed",
      says: /the first one must be a hello/,
    },
  ];
}

/** What ends a connection that the node has accepted. */
export function wrongFrames(hello: Partial<Hello>): Wrong[] {
  const first = helloFrame(hello);
  const ping = askFrame(7, "ping", {});
  return [
    {
      name: "an oversized frame",
      make: saying(first, frameOf(new Uint8Array(), FRAME_BYTES_MAX + 1)),
      code: "malformed",
      says: /1048576 is the limit/,
    },
    { name: "another hello", make: saying(first, first), code: "malformed" },
    {
      name: "a message that there isn't",
      make: saying(first, frameOf(cbor(1, 0, 0x7f, 1_000))),
      code: "malformed",
    },
    { name: "a request without an id", make: saying(first, askFrame(0, "ping", {})), code: "malformed" },
    { name: "a frame of nothing", make: saying(first, frameOf(new Uint8Array())), code: "malformed" },
    {
      name: "an array that promises more than there is",
      make: saying(first, frameOf(new Uint8Array([0x9a, 0xff, 0xff, 0xff, 0xff]))),
      code: "malformed",
    },
    {
      name: "nesting without end",
      make: saying(first, frameOf(new Uint8Array(50_000).fill(0x81))),
      code: "malformed",
    },
    {
      name: "half a frame after the hello, and the end",
      make: (peer) => peer.send(first, ping.subarray(0, 6)).end().refused(),
      code: undefined,
    },
  ];
}

/** A CBOR array of small whole numbers. */
function cbor(...numbers: number[]): Uint8Array {
  const items = numbers.flatMap((number) =>
    number < 24 ? [number] : number < 256 ? [0x18, number] : [0x19, number >> 8, number & 255]
  );
  return new Uint8Array([0x80 + numbers.length, ...items]);
}

/** Random frames behind a hello; nothing random is a message, for the first byte must be an array's. */
export function randomFrame(seed: number, hello: Partial<Hello>): Wrong {
  const random = seededRandom(seed);
  const payload = Uint8Array.from(
    { length: 1 + Math.floor(random.next() * 300) },
    () => Math.floor(random.next() * 256),
  );
  payload[0] = payload[0]! | 0xe0; // no array of CBOR
  return {
    name: `random frame ${seed}`,
    make: saying(helloFrame(hello), frameOf(payload)),
    code: "malformed",
  };
}

/** Does what is wrong on a connection of its own, and compares the answer. */
export async function meets(address: string, { name, make, code, says }: Wrong): Promise<void> {
  const error = await make(await RawPeer.connect(address));
  assert.equal(error?.code, code, `${name}: ${error?.message}`);
  if (says !== undefined) assert.match(error!.message, says, name);
}
