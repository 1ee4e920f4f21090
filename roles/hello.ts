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

/** What nodes may be called (`neo.toml` allows no other), and clients: names stand in lists, in logs and in hints that are typed. */
const NODE_NAME = /^[A-Za-z0-9._-]{0,63}$/;
const CLIENT_NAME = /^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]{0,200}$/u;
/** Addresses and disk ids. */
const WORD = /^[ -~]{0,255}$/;

/** What a peer calls itself, if it can't be called that. */
function misnamed({ role, name, address, diskId }: Hello): string | undefined {
  if (!(role === "client" ? CLIENT_NAME : NODE_NAME).test(name)) return name;
  return [address, diskId].find((word) => !WORD.test(word));
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
  const wrongName = misnamed(theirs);
  if (wrongName !== undefined) {
    const shown = JSON.stringify(wrongName.slice(0, 100));
    return { code: "malformed", message: `Cannot talk: the other side calls itself ${shown}` };
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
