/** Multicast of notices, if `neo.toml` asks for it: its keys, and what a node does with them. */
import { randomBytes } from "node:crypto";
import type { LogLine } from "../adapters/log.ts";
import { sha256 } from "../adapters/system.ts";
import { parseGroup, UdpMulticast } from "../adapters/udp.ts";
import { STREAM_BYTES, STREAM_KEY_BYTES } from "../core/datagrams.ts";
import type { MulticastOptions } from "../roles/multicast.ts";
import type { Fields } from "./toml_fields.ts";

/** Where notices to many go. */
export interface MulticastConfig {
  /** `address:port` of a group. */
  readonly group: string;
  /** The address of this machine's network interface. */
  readonly networkInterface?: string;
}

/**
 * Reads the keys `multicast` and `multicastInterface`.
 *
 * @throws CliError (`usage`) when there is no such group, or datagrams would leave this machine though nothing may
 */
export function multicastFields(top: Fields, insecure: boolean): { readonly multicast?: MulticastConfig } {
  const group = top.optionalText("multicast", /./, "239.x.y.z:port");
  const networkInterface = top.optionalText(
    "multicastInterface",
    /^[\w.:%-]+$/,
    "an address of this machine",
  );
  if (group === undefined) {
    if (networkInterface === undefined) return {};
    throw top.error("multicastInterface", "there is no multicast that it could be for");
  }
  try {
    parseGroup(group);
  } catch (error) {
    throw top.error("multicast", error instanceof Error ? error.message : String(error));
  }
  const stays = networkInterface !== undefined
    && (networkInterface === "::1" || /^127\./.test(networkInterface));
  if (!insecure && !stays) {
    const rule = 'without TLS it stays on this machine, by multicastInterface = "127.0.0.1", '
      + "unless the file says insecure = true";
    throw top.error("multicast", `datagrams can be read elsewhere; ${rule}`);
  }
  return { multicast: { group, ...(networkInterface === undefined ? {} : { networkInterface }) } };
}

/** What the peers of a node need; `speaks`: it sends notices to many, as masters do. Drawn anew at each start. */
export function multicastOf(
  config: MulticastConfig | undefined,
  node: { readonly speaks: boolean; readonly log: LogLine },
): { readonly multicast?: MulticastOptions } {
  if (config === undefined) return {};
  const { group, networkInterface } = config;
  const port = new UdpMulticast({
    ...(networkInterface === undefined ? {} : { networkInterface }),
    log: (text, facts) => node.log("warning", text, facts, "connections"),
  });
  if (!node.speaks) return { multicast: { port, digest: sha256 } };
  const stream = new Uint8Array(randomBytes(STREAM_BYTES));
  const key = new Uint8Array(randomBytes(STREAM_KEY_BYTES));
  return { multicast: { port, digest: sha256, speaks: { group, stream, key } } };
}
