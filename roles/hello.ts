/** The first frame of a connection: what a node says of itself, and whether two nodes may talk. */
import { PATIENCE_MS } from "../core/limits.ts";
import { MAGIC, PROTOCOL_VERSION_MAX, PROTOCOL_VERSION_MIN } from "../core/messages.ts";
import type { Hello, Role, WireError } from "../core/messages.ts";

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
    tableDigest: new Uint8Array(),
    ...self,
  };
}

/** What an operator's hello says of the person behind it: one of its capabilities. */
const AUTHOR = "author=";

/** A hello's part that names the person who gives orders. */
export function saidBy(author: string): Pick<Hello, "capabilities"> {
  return { capabilities: [`${AUTHOR}${author}`] };
}

/** Who gives orders by this hello; empty: it doesn't say. Certificates say more than that. */
export function authorIn({ capabilities }: Hello): string {
  return capabilities.find((one) => one.startsWith(AUTHOR))?.slice(AUTHOR.length) ?? "";
}

/**
 * Why a peer can't be talked to, with both sides' values.
 *
 * @param serves roles that may come to us; undefined when we went to the peer
 */
export function mismatchOf(
  ours: Hello,
  theirs: Hello,
  serves: readonly Role[] | undefined,
): WireError | undefined {
  if (theirs.magic !== MAGIC || theirs.versionMax < ours.versionMin || ours.versionMax < theirs.versionMin) {
    const mine = `${MAGIC} versions ${ours.versionMin} to ${ours.versionMax}`;
    const other = `${theirs.magic} ${theirs.versionMin} to ${theirs.versionMax}`;
    return { code: "wrongVersion", message: `Cannot talk: this side speaks ${mine}, the other ${other}` };
  }
  if (ours.cluster !== "" && theirs.cluster !== "" && ours.cluster !== theirs.cluster) {
    const message =
      `Cannot talk: this side is of cluster "${ours.cluster}", the other of "${theirs.cluster}"`;
    return { code: "wrongCluster", message };
  }
  if (ours.clusterId !== "" && theirs.clusterId !== "" && ours.clusterId !== theirs.clusterId) {
    const ids = `${ours.clusterId} on this side, ${theirs.clusterId} on the other`;
    return { code: "wrongCluster", message: `Cannot talk: cluster "${ours.cluster}" has id ${ids}` };
  }
  if (serves && !serves.includes(theirs.role as Role)) {
    const takes = `which takes ${serves.join(", ")}`;
    return {
      code: "wrongRole",
      message: `Cannot serve: this is a ${ours.role}, ${takes}; the other is a ${theirs.role}`,
    };
  }
  return undefined;
}
