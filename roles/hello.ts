/** What a node says of itself in the first frame of a connection. */
import { PATIENCE_MS } from "../core/limits.ts";
import { MAGIC, PROTOCOL_VERSION_MAX, PROTOCOL_VERSION_MIN } from "../core/messages.ts";
import type { Hello, Role } from "../core/messages.ts";

/** A hello of this version of the protocol. */
export function helloOf(self: { readonly role: Role } & Partial<Hello>): Hello {
  return {
    magic: MAGIC,
    versionMin: PROTOCOL_VERSION_MIN,
    versionMax: PROTOCOL_VERSION_MAX,
    clusterId: "",
    cluster: "",
    name: "",
    diskId: "",
    address: "",
    epoch: 0,
    session: 0,
    patienceMs: PATIENCE_MS,
    capabilities: [],
    ...self,
  };
}
