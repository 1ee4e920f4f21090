/**
 * Which clients a storage serves: those that the primary has announced and not ended. One that comes before its
 * announcement is kept waiting (T11); one whose session is over is told so.
 */
import type { ClientSession, Conn } from "../../core/ids.ts";
import type { Hello, WireError } from "../../core/messages.ts";
import type { Site } from "./site.ts";

/** Clients by session. */
export class Clients {
  #site: Site;
  #live = new Set<ClientSession>();
  #mark = 0 as ClientSession; // the newest announced session
  #accepted = new Map<Conn, ClientSession>();
  #early = new Map<Conn, Hello>();
  #serving = false;

  constructor(site: Site) {
    this.#site = site;
  }

  /** The session of an accepted connection. */
  sessionOf(conn: Conn): ClientSession | undefined {
    return this.#accepted.get(conn);
  }

  /** A client has said who it is. */
  identified(conn: Conn, hello: Hello): void {
    const session = hello.session as ClientSession;
    if (this.#serving && this.#live.has(session)) {
      this.#accepted.set(conn, session);
      return this.#site.emit({ do: "accept", conn });
    }
    if (this.#serving && (session <= this.#mark || hello.epoch < this.#site.epoch)) {
      return this.#reject(conn, session);
    }
    this.#early.set(conn, hello);
  }

  /** It has waited for too long. */
  impatient(conn: Conn): void {
    this.#early.delete(conn);
    const waits = this.#serving
      ? "the primary's announcement of this client"
      : "the primary to start this storage";
    this.#site.emit({
      do: "reject",
      conn,
      error: { code: "timedOut", message: `Cannot serve yet: this storage waits for ${waits}` },
    });
  }

  /** A connection ended. */
  disconnected(conn: Conn): void {
    this.#accepted.delete(conn);
    this.#early.delete(conn);
  }

  /** Operation begins with these sessions. */
  start(live: readonly number[], mark: number): void {
    this.#serving = true;
    this.#live = new Set(live as readonly ClientSession[]);
    this.#mark = mark as ClientSession;
    this.#retry();
  }

  /** Operation ends, and all sessions with it. */
  halt(): void {
    this.#serving = false;
    this.#live.clear();
    for (const [conn, session] of [...this.#accepted]) this.#reject(conn, session);
  }

  opened(session: number): void {
    this.#live.add(session as ClientSession);
    this.#mark = Math.max(this.#mark, session) as ClientSession;
    this.#retry();
  }

  ended(session: number): void {
    this.#live.delete(session as ClientSession);
    this.#mark = Math.max(this.#mark, session) as ClientSession;
    for (const [conn, of] of [...this.#accepted]) if (of === session) this.#reject(conn, of);
    this.#retry();
  }

  #retry(): void {
    const early = [...this.#early];
    this.#early.clear();
    for (const [conn, hello] of early) this.identified(conn, hello);
  }

  #reject(conn: Conn, session: ClientSession): void {
    this.#accepted.delete(conn);
    const error: WireError = {
      code: "sessionEnded",
      message: `Cannot serve client session ${session}: it is over; identify at the primary again`,
      detail: { session },
    };
    this.#site.emit({ do: "reject", conn, error });
  }
}
