/**
 * Clients and admins of a primary. A client is let in when the cluster runs, and gets a session number from a held
 * block; the storages hear of it first. Its end is told to them behind everything that was accepted from it.
 */
import type { ClientSession, Conn, NodeIndex, Tid } from "../../core/ids.ts";
import { SESSION_BLOCK } from "../../core/limits.ts";
import { tell } from "../../core/machine.ts";
import type { Hello, NodeInfo, WireError } from "../../core/messages.ts";
import type { Configuration } from "./configuration.ts";
import type { ClientPeer, Site } from "./site.ts";
import type { Storages } from "./storages.ts";

/** Who is let in, who waits. */
export class Clients {
  #site: Site;
  #storages: Storages;
  #configuration: Pick<Configuration, "came">;
  #entered: (client: ClientPeer) => void; // somebody is let in
  #early = new Map<Conn, { readonly hello: Hello; readonly holder: string }>();
  #live = new Map<Conn, ClientPeer>();
  #admins = new Map<Conn, string>(); // by name
  #next: number; // session to give
  #blockAsked = false;
  /** The client that imports. */
  importer: Conn | undefined;

  constructor(
    site: Site,
    storages: Storages,
    configuration: Pick<Configuration, "came">,
    entered: (client: ClientPeer) => void = () => {},
  ) {
    this.#entered = entered;
    this.#site = site;
    this.#storages = storages;
    this.#configuration = configuration;
    this.#next = site.metadata.sessionMark + 1;
  }

  /** Clients that are let in. */
  get live(): readonly ClientPeer[] {
    return [...this.#live.values()];
  }

  /** The newest session that was given. */
  get mark(): number {
    return this.#next - 1;
  }

  /** A storage knows a transaction of this session, which may be beyond what our log has: an old disk. */
  seen(session: number): void {
    this.#next = Math.max(this.#next, session + 1);
  }

  /** Connections that follow the cluster's table and nodes. */
  get followers(): Conn[] {
    return [...this.#live.keys(), ...this.#admins.keys()];
  }

  /** Names of the admins that are connected. */
  get admins(): readonly string[] {
    return [...this.#admins.values()];
  }

  at(conn: Conn): ClientPeer | undefined {
    return this.#live.get(conn);
  }

  /** A client says which of its open snapshots is the oldest. */
  floorTold(conn: Conn, at: Tid | null): void {
    const client = this.#live.get(conn);
    if (client) client.floor = at === null ? null : { at, sinceMs: this.#site.now.wallMs };
  }

  /** The oldest snapshot that any client has open for a while. */
  get oldestSnapshot(): { readonly client: string; readonly at: Tid; readonly sinceMs: number } | null {
    const open = this.live.flatMap(({ name, floor }) => floor ? [{ client: name, ...floor }] : []);
    return open.sort((a, b) => (a.at < b.at ? -1 : 1))[0] ?? null;
  }

  /** An admin is let in in any phase: it watches. */
  admit(conn: Conn, hello: Hello): void {
    this.#admins.set(conn, hello.name);
    this.#site.emit({ do: "accept", conn }, this.#welcome(conn, 0, hello));
    this.#configuration.came(conn, { name: hello.name, role: "admin" });
  }

  /** A client has said who it is. */
  identified(conn: Conn, hello: Hello, holder = ""): void {
    if (this.#site.phase === "stopping" || this.#site.phase === "ended") {
      const error: WireError = { code: "stopping", message: "Cannot let a client in: the cluster stops" };
      return this.#site.emit({ do: "reject", conn, error });
    }
    this.#early.set(conn, { hello, holder });
    this.letIn();
  }

  /** It has waited for too long: says for what. */
  impatient(conn: Conn, waitingFor: string): void {
    this.#early.delete(conn);
    const why = this.importer !== undefined
      ? "the import to end"
      : `the cluster, which is ${this.#site.phase} (${waitingFor})`;
    this.#site.emit({
      do: "reject",
      conn,
      error: { code: "timedOut", message: `Cannot let a client in yet: it waited for ${why}` },
    });
  }

  /** Lets in those that wait, as far as sessions are held and the cluster runs. */
  letIn(): void {
    if (this.#site.phase !== "running" || this.importer !== undefined || this.#early.size === 0) return;
    const early = [...this.#early];
    this.#site.confirm(() => this.#enter(early)); // the last tid that they are told mustn't be an old one
  }

  #enter(early: readonly (readonly [Conn, { readonly hello: Hello; readonly holder: string }])[]): void {
    if (this.#site.phase !== "running" || this.importer !== undefined) return;
    for (const [conn, guest] of early) {
      if (this.#early.get(conn) !== guest) continue;
      const { hello, holder } = guest;
      if (this.#next > this.#site.metadata.sessionMark) return this.#askBlock();
      this.#early.delete(conn);
      const session = this.#next++ as ClientSession;
      const client = { conn, session, name: hello.name, holder, sinceMs: this.#site.now.wallMs };
      this.#live.set(conn, client);
      const { epoch } = this.#site;
      this.#site.emit(tell(this.#storages.conns("running", "pending"), "sessionOpened", { epoch, session }));
      this.#site.emit({ do: "accept", conn }, this.#welcome(conn, session, hello));
      this.#configuration.came(conn, { name: hello.name, role: "client" });
      this.#entered(client);
    }
  }

  /** A connection ended; gives the session that ended with it. */
  disconnected(conn: Conn): ClientSession | undefined {
    this.#early.delete(conn);
    this.#admins.delete(conn);
    const client = this.#live.get(conn);
    if (!client) return undefined;
    this.#live.delete(conn);
    const { epoch } = this.#site;
    const { session } = client;
    this.#site.emit(tell(this.#storages.conns("running", "pending"), "sessionEnded", { epoch, session }));
    return session;
  }

  /** Operation ends, and every session with it. */
  endAll(): void {
    for (const { conn, session } of this.#live.values()) {
      const error: WireError = {
        code: "sessionEnded",
        message: `Cannot go on with client session ${session}: the cluster recovers`,
        detail: { session },
      };
      this.#site.emit({ do: "reject", conn, error });
    }
    this.#live.clear();
    this.importer = undefined;
  }

  /** Tells everybody about nodes that changed: clients read from them, storages copy from them. */
  tellNodes(nodes: readonly NodeInfo[]): void {
    const conns = [...this.followers, ...this.#storages.conns("pending", "running")];
    if (conns.length > 0) this.#site.emit(tell(conns, "nodes", { nodes }));
  }

  /** Tells admins of a storage that isn't a member: who waits for it asks again. */
  tellStranger(name: string, address: string): void {
    const conns = [...this.#admins.keys()];
    const info = { index: 0 as NodeIndex, name, role: "storage", address, state: "unknown", session: 0 };
    if (conns.length > 0) this.#site.emit(tell(conns, "nodes", { nodes: [info] }));
  }

  #askBlock(): void {
    if (this.#blockAsked) return;
    this.#blockAsked = true;
    const session = Math.max(this.#site.metadata.sessionMark, this.mark) + SESSION_BLOCK;
    this.#site.propose({ type: "sessionMark", session }, () => {
      this.#blockAsked = false;
      this.letIn();
    });
  }

  #welcome(conn: Conn, session: number, { tableDigest }: Hello): ReturnType<typeof tell> {
    const { metadata, epoch, lastTid, phase, now } = this.#site;
    const { clusterId, cluster, truncations } = metadata;
    const image = this.#site.imageFor(tableDigest);
    const nodes = this.#storages.all.map((node) => node.info());
    const body = {
      clusterId,
      cluster,
      epoch,
      index: 0,
      session,
      lastTid,
      truncations,
      phase,
      wallMs: now.wallMs,
      image,
      nodes,
    };
    return tell(conn, "welcome", body);
  }
}
