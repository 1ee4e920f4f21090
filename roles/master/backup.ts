/**
 * A backup: a cluster that takes the transactions of another one, under their own tids, and nothing else (N5). Clients read
 * it, and hear of what comes, as of any cluster.
 *
 * Whether it is one, and of which cluster, is an entry of the log, and operation begins anew with it, as with a truncation:
 * no transaction of the one time reaches into the other, and no client keeps oids that the other cluster gives too.
 * Messages: `setBackup` from an operator; from clients `follow`, which waits until its asker may be the follower, and
 * `followed`. Invariants: while it is a backup no finish is judged but the follower's with given tids, and no oids are
 * granted; there is one follower, and a next one only when nothing is pending that the one before it was promised. Its
 * finishes are accepted in the order of their tids: each names the one `behind` which it comes (`transactions.ts`), and what waits for
 * one that didn't come is given up when the follower begins anew.
 */
import { hexOf } from "../../core/ids.ts";
import type { Conn } from "../../core/ids.ts";
import { answer } from "../../core/machine.ts";
import type { Answer, AskMessage, Body } from "../../core/messages.ts";
import type { Packing } from "./packing.ts";
import type { Asker, ClientPeer, Site } from "./site.ts";

/** A client that copies, and what it said last. */
interface Follower {
  readonly conn: Conn;
  readonly name: string;
  said: Body<"followed"> | undefined;
}

/** Whether the cluster is a backup, and who follows for it. */
export class Backup {
  #site: Site;
  #isImporting: () => boolean;
  #pending: () => number;
  #giveUp: (conn: Conn) => void;
  #recover: () => void;
  #follower: Follower | undefined;
  #packing: Pick<Packing, "bound" | "raise">;
  #waiting: { readonly asker: Asker; readonly name: string }[] = [];

  constructor(parts: {
    site: Site;
    isImporting: () => boolean;
    /** Transactions that are accepted and not published, and finishes that wait. */
    pending: () => number;
    /** What waits behind a transaction that this client didn't bring doesn't come. */
    giveUp: (conn: Conn) => void;
    packing: Pick<Packing, "bound" | "raise">;
    /** Operation ends, and a recovery begins. */
    recover: () => void;
  }) {
    this.#site = parts.site;
    this.#isImporting = parts.isImporting;
    this.#pending = parts.pending;
    this.#giveUp = parts.giveUp;
    this.#packing = parts.packing;
    this.#recover = parts.recover;
  }

  /** What operators see of it; null: the cluster is none. */
  get report(): Answer<"status">["backup"] {
    const { upstream } = this.#site.metadata;
    if (upstream === "") return null;
    const { newest = null, problem = "" } = this.#follower?.said ?? {};
    return { of: upstream, follower: this.#follower?.name ?? "", newest, problem };
  }

  /** Whether this client is the one that copies. */
  isFollower(conn: Conn): boolean {
    return this.#follower?.conn === conn;
  }

  /** An operator makes the cluster a backup, or no backup any more; false: something else is asked. */
  ask(asker: Asker, message: AskMessage): boolean {
    if (message.name !== "setBackup") return false;
    const { of } = message.body;
    const { phase, lastTid, metadata } = this.#site;
    const { bound: packBound } = this.#packing;
    const done = (): void => this.#site.emit(answer(asker, "setBackup", { lastTid }));
    const why = phase !== "running"
      ? `the cluster is ${phase}; wait until it runs`
      : this.#isImporting()
      ? "an import is under way; wait until it ends"
      : of !== "" && metadata.upstream !== "" && of !== metadata.upstream
      ? `it is a backup of ${metadata.upstream}; end that first with \`neo cluster promote\``
      : of === "" && lastTid < packBound
      ? `its source was packed up to ${hexOf(packBound)}, and it has come to ${
        hexOf(lastTid)
      } only: it isn't whole yet`
      : undefined;
    if (why !== undefined) {
      const what = of === "" ? "end being a backup" : `become a backup of ${of}`;
      this.#site.refuse(asker, { code: "denied", message: `Cannot ${what}: ${why}` });
    } else if (of === metadata.upstream) done();
    else {
      const text = of === ""
        ? "This cluster is no backup any more"
        : `This cluster becomes a backup of ${of}`;
      this.#site.log("recovery", "warning", text, { upstream: metadata.upstream });
      this.#site.propose({ type: "backup", of }, done);
      this.#recover();
    }
    return true;
  }

  /** Whether a client's request is refused because the cluster is a backup; it is told so. */
  refuses({ conn, id }: Asker, message: AskMessage): boolean {
    const { upstream, cluster } = this.#site.metadata;
    if (upstream === "") return false;
    const writes = message.name === "newOids" || message.name === "stage" || message.name === "finish";
    const follows = message.name === "finish" && message.body.explicit !== null && this.isFollower(conn);
    if (!writes || follows) return false;
    const hint = `write there, or end this with \`neo cluster promote\` if ${upstream} is lost`;
    const text = `Cannot write to ${cluster}: it is a backup of ${upstream}; ${hint}`;
    this.#site.refuse({ conn, id }, { code: "readOnly", message: text });
    return true;
  }

  /** A client offers to copy. Where there are certificates it must be an admin: others only read a backup. */
  follow(asker: Asker, { name, holder }: ClientPeer): void {
    if (holder === "" || holder.startsWith("admin ")) {
      this.#giveUp(asker.conn);
      // who asks again has given up waiting for the answer before
      this.#waiting = [...this.#waiting.filter(({ asker: { conn } }) => conn !== asker.conn), {
        asker,
        name,
      }];
      return;
    }
    const message =
      `Cannot have ${holder} copy to this cluster: only an admin's certificate lets one do that`;
    this.#site.refuse(asker, { code: "untrusted", message });
  }

  /** What the follower hasn't copied yet was packed in its source. */
  followPack(asker: Asker, { tid }: Body<"followPack">): void {
    if (this.isFollower(asker.conn)) {
      return this.#packing.raise(tid, () => this.#site.emit(answer(asker, "followPack", {})));
    }
    const message = `Cannot pack up to ${hexOf(tid)}: another client follows, or none`;
    this.#site.refuse(asker, { code: "denied", message });
  }

  /** What the follower says of its source. */
  followed(conn: Conn, said: Body<"followed">): void {
    if (this.#follower?.conn !== conn) return;
    this.#follower.said = said;
    // another one may be able to
    if (said.problem !== "" && this.#waiting.some(({ asker }) => asker.conn !== conn)) {
      this.#follower = undefined;
    }
  }

  /** A client's connection ended. */
  disconnected(conn: Conn): void {
    this.#waiting = this.#waiting.filter(({ asker }) => asker.conn !== conn);
    if (this.isFollower(conn)) this.#follower = undefined;
  }

  /** Operation ends, and all sessions with it. */
  clear(): void {
    this.#waiting = [];
    this.#follower = undefined;
  }

  /** Something may have changed: answers whoever may follow now. */
  look(): void {
    const { metadata, phase, lastTid } = this.#site;
    const { upstream } = metadata;
    if (upstream === "" || phase !== "running" || this.#pending() > 0) return;
    for (const waiting of [...this.#waiting]) {
      const { asker, name } = waiting;
      this.#follower ??= { conn: asker.conn, name, said: undefined };
      if (!this.isFollower(asker.conn)) continue;
      this.#waiting = this.#waiting.filter((one) => one !== waiting);
      this.#site.emit(answer(asker, "follow", { lastTid, of: upstream }));
    }
  }
}
