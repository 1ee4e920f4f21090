/**
 * Storages that come to a primary: known by their disk, not by their name (B7). A second connection of a node ends its first;
 * one whose loss isn't held yet waits until it is.
 */
import type { Conn, NodeIndex } from "../../core/ids.ts";
import { STRANGERS_MAX } from "../../core/limits.ts";
import type { Hello } from "../../core/messages.ts";
import { substituteOf } from "../trust.ts";
import type { Site } from "./site.ts";
import type { StorageNode, Storages } from "./storages.ts";

/** Lets storages in. */
export class Admission {
  #site: Site;
  #storages: Storages;
  #lost: (node: StorageNode, why: string) => void;
  #admitted: (node: StorageNode) => void;
  #noted: (name: string, address: string) => void;

  constructor(parts: {
    site: Site;
    storages: Storages;
    /** Its earlier connection is over. */
    lost: (node: StorageNode, why: string) => void;
    /** It is connected, in a new session. */
    admitted: (node: StorageNode) => void;
    /** One that isn't a member has come for the first time. */
    noted: (name: string, address: string) => void;
  }) {
    this.#site = parts.site;
    this.#storages = parts.storages;
    this.#lost = parts.lost;
    this.#admitted = parts.admitted;
    this.#noted = parts.noted;
  }

  /** A storage has said who it is. */
  came(conn: Conn, hello: Hello, holder: string | undefined): void {
    const registered = this.#site.metadata.storageOf(hello.diskId);
    const node = registered && this.#storages.node(registered.index as NodeIndex);
    if (!node) return this.#strange(conn, hello);
    const error = substituteOf(holder, registered);
    if (error) {
      this.#site.log("cluster", "error", error.message);
      return this.#site.emit({ do: "reject", conn, error });
    }
    if (node.early !== undefined) this.#turnAway(node.early);
    node.early = conn;
    if (hello.address !== "") node.address = hello.address;
    node.tableDigest = hello.tableDigest;
    if (node.conn !== undefined) {
      const old = node.conn;
      this.#site.emit({
        do: "close",
        conn: old,
        error: { code: "lost", message: "Replaced by a newer connection of the same node" },
      });
      this.#lost(node, "it connected again");
    }
    this.admit(node);
  }

  /** Lets a storage in, once what it may lack is held. */
  admit(node: StorageNode): void {
    if (node.early === undefined || node.conn !== undefined || node.leaving > 0) return;
    const conn = node.early;
    node.early = undefined;
    node.conn = conn;
    node.session = this.#storages.nextSession();
    node.become("pending");
    this.#storages.strangers.delete(node.name);
    this.#site.emit({ do: "accept", conn });
    this.#admitted(node);
  }

  #strange(conn: Conn, hello: Hello): void {
    const { strangers } = this.#storages;
    if (strangers.size < STRANGERS_MAX || strangers.has(hello.name)) {
      const seenMs = this.#site.now.monoMs;
      const isNew = strangers.get(hello.name)?.diskId !== hello.diskId;
      strangers.set(hello.name, { diskId: hello.diskId, address: hello.address, seenMs });
      if (isNew) this.#noted(hello.name, hello.address);
    }
    const message =
      `Cannot admit storage "${hello.name}": disk ${hello.diskId} isn't in the registry of cluster "${this.#site.metadata.cluster}"`;
    this.#site.log("cluster", "error", message);
    this.#site.emit({ do: "reject", conn, error: { code: "unknownNode", message } });
  }

  #turnAway(conn: Conn): void {
    const message = "Cannot admit this connection: the same node has made a newer one";
    this.#site.emit({ do: "reject", conn, error: { code: "lost", message } });
  }
}
