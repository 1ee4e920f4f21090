/** Multicast of the simulated network: datagrams get lost, come twice, and overtake each other and all connections. */
import type { Multicast, MulticastEvent } from "../../core/ports.ts";
import type { MulticastOptions } from "../../roles/multicast.ts";
import { simDigest } from "./digest.ts";
import type { SimNetwork } from "./network.ts";
import type { SimRandom } from "./random.ts";
import type { Owner } from "./world.ts";

const GROUP = "239.9.9.9:9999";
const STREAM_BYTES = 16;
const KEY_BYTES = 32;
/** How many datagrams don't arrive: none, some, or hardly any does. */
const LOSS_RATES = [0, 0.05, 0.3, 0.9];
/** How many come twice. */
const DOUBLE_RATE = 0.1;
const DELAY_MS_MIN = 0.05;
const DELAY_MS_MAX = 12;
/** How long it takes to join. */
const JOIN_MS_MAX = 20;

/** One process that hears the group. */
interface Ear {
  readonly node: string;
  readonly owner: Owner;
  readonly sink: (event: MulticastEvent) => void;
}

/** What is in the air between all nodes. */
export class Air {
  readonly #network: SimNetwork;
  readonly #random: SimRandom;
  readonly #lossRate: number;
  readonly #ears = new Set<Ear>();

  constructor(network: SimNetwork, random: SimRandom) {
    this.#network = network;
    this.#random = random;
    this.#lossRate = random.pick(LOSS_RATES);
  }

  /** What a process of a node is told: masters speak, all others only listen. */
  optionsFor(node: { readonly name: string; readonly role: string }, owner: Owner): MulticastOptions {
    const port = this.#port(node.name, owner);
    if (node.role !== "master") return { port, digest: simDigest };
    const [stream, key] = [this.#bytes(STREAM_BYTES), this.#bytes(KEY_BYTES)];
    return { port, digest: simDigest, speaks: { group: GROUP, stream, key } };
  }

  #bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.#random.int(0, 255));
  }

  #port(node: string, owner: Owner): Multicast {
    const { world } = this.#network;
    let ear: Ear | undefined;
    return {
      onEvent: (sink) => {
        ear = { node, owner, sink };
      },
      join: (group) => {
        const joined = ear!;
        world.after(this.#random.between(0, JOIN_MS_MAX), () => {
          this.#ears.add(joined);
          joined.sink({ type: "joined", group });
        }, owner);
      },
      send: (_group, bytes) => this.#send(node, bytes),
      close: () => void this.#ears.delete(ear!),
    };
  }

  #send(from: string, bytes: Uint8Array): void {
    for (const ear of this.#ears) {
      if (ear.owner.gone) this.#ears.delete(ear);
      else if (!this.#network.isHeld(from, ear.node)) this.#fly(ear, bytes);
    }
  }

  #fly(ear: Ear, bytes: Uint8Array): void {
    const { world } = this.#network;
    const times = this.#random.chance(this.#lossRate) ? 0 : this.#random.chance(DOUBLE_RATE) ? 2 : 1;
    for (let time = 0; time < times; time++) {
      world.after(this.#random.between(DELAY_MS_MIN, DELAY_MS_MAX), () => {
        world.noteBytes(bytes);
        ear.sink({ type: "datagram", bytes });
      }, ear.owner);
    }
  }
}
