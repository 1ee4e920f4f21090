/**
 * `Multicast` over UDP, on `node:dgram`. Groups are `address:port`, such as `239.1.2.3:9199` or `[ff15::9:1]:9199`.
 *
 * One socket listens a group, another sends; neither keeps the process alive. What the network refuses (no route, no such
 * interface, a port that is taken) is told to `log` once, and costs nothing but the datagrams: what they bring is asked
 * for, or said, on connections.
 *
 * @module
 */
import { createSocket, type Socket } from "node:dgram";
import { isIP } from "node:net";
import type { Multicast, MulticastEvent } from "../core/ports.ts";
import { parseAddress } from "./tcp.ts";

/** A group, and its family. */
export interface MulticastGroup {
  readonly host: string;
  readonly port: number;
  readonly family: "udp4" | "udp6";
}

/**
 * Reads `address:port` of a multicast group.
 *
 * @throws RangeError when it isn't one: 224.0.0.0 to 239.255.255.255, or IPv6 beginning with ff; port 1 to 65535
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { parseGroup } from "./udp.ts";
 * assert.deepEqual(parseGroup("239.1.2.3:9199"), { host: "239.1.2.3", port: 9199, family: "udp4" });
 * assert.throws(() => parseGroup("127.0.0.1:9199"), RangeError);
 * ```
 */
export function parseGroup(text: string): MulticastGroup {
  const { host, port } = parseAddress(text);
  const [first = 0] = host.split(".", 1).map(Number);
  if (port > 0) {
    if (isIP(host) === 4 && first >= 224 && first <= 239) return { host, port, family: "udp4" };
    if (isIP(host) === 6 && /^ff/i.test(host)) return { host, port, family: "udp6" };
  }
  throw new RangeError(
    `Cannot use "${text}" for multicast: it isn't the address and port of a group; use 239.x.y.z:port`,
  );
}

/** How to meet the network. */
export interface UdpOptions {
  /** The address of the network interface that listens and sends; the system chooses, unless told. */
  readonly networkInterface?: string;
  /** Hears what the network refuses. */
  readonly log?: (text: string, facts: { readonly [name: string]: unknown }) => void;
}

/** Datagrams to groups. */
export class UdpMulticast implements Multicast {
  readonly #options: UdpOptions;
  readonly #listeners = new Map<string, Socket>();
  readonly #senders = new Map<MulticastGroup["family"], Socket>();
  readonly #refused = new Set<string>();
  #sink: (event: MulticastEvent) => void = () => {};
  #isClosed = false;

  constructor(options: UdpOptions = {}) {
    this.#options = options;
  }

  onEvent(sink: (event: MulticastEvent) => void): void {
    this.#sink = sink;
  }

  join(text: string): void {
    const group = this.#groupOf(text);
    if (group === undefined || this.#isClosed) return;
    if (this.#listeners.has(text)) return queueMicrotask(() => this.#emit({ type: "joined", group: text }));
    const socket = createSocket({ type: group.family, reuseAddr: true });
    this.#listeners.set(text, socket);
    const refused = (error: Error): void => {
      this.#listeners.delete(text);
      this.#refuse(text, error);
      this.#end(socket);
    };
    socket.on("error", refused);
    socket.on("message", (data) => {
      // not node's Buffer, whose slice() shares memory
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      this.#emit({ type: "datagram", bytes });
    });
    socket.bind({ port: group.port, exclusive: false }, () => {
      if (this.#isClosed) return this.#end(socket);
      try {
        socket.addMembership(group.host, this.#options.networkInterface);
      } catch (error) {
        return refused(error as Error);
      }
      socket.unref();
      this.#emit({ type: "joined", group: text });
    });
  }

  send(text: string, bytes: Uint8Array): void {
    const group = this.#groupOf(text);
    if (group === undefined || this.#isClosed) return;
    const { family, host, port } = group;
    const socket = this.#senders.get(family);
    const send = (by: Socket): void =>
      by.send(bytes, port, host, (error) => error && this.#refuse(text, error));
    if (socket) return send(socket);
    const made = createSocket(family);
    this.#senders.set(family, made);
    made.on("error", (error) => this.#refuse(text, error));
    // bound before anything is sent, so that its options hold for the first datagram too
    made.bind(0, () => {
      if (this.#isClosed) return this.#end(made);
      this.#prepare(made, text);
      send(made);
    });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const socket of [...this.#listeners.values(), ...this.#senders.values()]) this.#end(socket);
  }

  /** Which way datagrams leave: this machine hears its own, and no router passes them on. */
  #prepare(socket: Socket, text: string): void {
    socket.unref();
    const { networkInterface } = this.#options;
    try {
      if (networkInterface !== undefined) socket.setMulticastInterface(networkInterface);
      socket.setMulticastLoopback(true);
      socket.setMulticastTTL(1);
    } catch (error) {
      this.#refuse(text, error as Error);
    }
  }

  #groupOf(text: string): MulticastGroup | undefined {
    try {
      return parseGroup(text);
    } catch (error) {
      this.#refuse(text, error as Error);
      return undefined;
    }
  }

  #emit(event: MulticastEvent): void {
    if (!this.#isClosed) this.#sink(event);
  }

  #refuse(group: string, error: Error): void {
    if (this.#isClosed || this.#refused.has(group)) return;
    this.#refused.add(group);
    this.#options.log?.(`Cannot use multicast: ${error.message}; everything goes by TCP`, { group });
  }

  /** A socket that isn't bound yet ends when it is; ending one twice isn't news. */
  #end(socket: Socket): void {
    socket.removeAllListeners("message");
    try {
      socket.close();
    } catch (error) {
      if (!(error instanceof Error) || (error as { code?: string }).code !== "ERR_SOCKET_DGRAM_NOT_RUNNING") {
        throw error;
      }
    }
  }
}
