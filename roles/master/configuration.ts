/**
 * The configuration service (T51, X3): what is set stands in the masters' log, as revisions, and reaches every node and client from
 * here: all that is set for it when it comes, then what each revision changes. Each says which revision it has taken.
 *
 * Messages: to peers `config`; from them `configured`; from operators `getConfig changeConfig configHistory configStatus`. A
 * change is all or nothing, and answered when it is held; one with a `base` is refused if another came before it.
 */
import { effectiveSettings, settingProblem } from "../../core/config_keys.ts";
import type { ConfigRole, Setting } from "../../core/config_keys.ts";
import type { Conn } from "../../core/ids.ts";
import { CONFIG_CHANGES_MAX, CONFIG_PAGE, CONFIG_TEXT_LENGTH_MAX } from "../../core/limits.ts";
import { answer, tell } from "../../core/machine.ts";
import type { AskMessage, Body } from "../../core/messages.ts";
import type { Asker, Site } from "./site.ts";

/** A peer that is told what is set for it. */
interface Peer {
  readonly name: string;
  readonly role: ConfigRole;
  told: ReadonlyMap<string, string>;
  /** What it has taken. */
  has: Body<"configured"> | undefined;
}

/** Serves operators, and tells peers. */
export class Configuration {
  #site: Site;
  #peers = new Map<Conn, Peer>();
  #waiting: { readonly asker: Asker; readonly after: number }[] = [];
  /** The revision that is proposed, and whether it is held. */
  #proposed: number | undefined;

  constructor(site: Site) {
    this.#site = site;
  }

  /** A peer is let in. An operator at a terminal has no name, and nothing to take. */
  came(conn: Conn, peer: { readonly name: string; readonly role: ConfigRole }): void {
    if (peer.role === "admin" && peer.name === "") return;
    const told = this.#for(peer);
    this.#peers.set(conn, { ...peer, told, has: undefined });
    const values = [...told].map(([key, value]) => ({ key, value }));
    this.#site.emit(tell(conn, "config", { revision: this.#log.revision, isWhole: true, values }));
  }

  /** It has taken what it was told. */
  configured(conn: Conn, body: Body<"configured">): void {
    const peer = this.#peers.get(conn);
    if (peer) peer.has = body;
  }

  /** A connection ended. */
  disconnected(conn: Conn): void {
    this.#peers.delete(conn);
    this.#waiting = this.#waiting.filter(({ asker }) => asker.conn !== conn);
  }

  /** Serves a question; false: it is none of ours. */
  ask(asker: Asker, message: AskMessage): boolean {
    switch (message.name) {
      case "getConfig": {
        const { after } = message.body;
        if (after !== null && after >= this.#log.revision) this.#waiting.push({ asker, after });
        else this.#answer(asker);
        return true;
      }
      case "changeConfig":
        this.#change(asker, message.body);
        return true;
      case "configHistory": {
        const { before, count } = message.body;
        const all = this.#log.revisions.filter(({ number }) => before === null || number < before);
        const revisions = all.slice(-Math.max(1, Math.min(count, CONFIG_PAGE))).reverse();
        this.#site.emit(answer(asker, "configHistory", { revisions }));
        return true;
      }
      case "configStatus":
        this.#site.emit(
          answer(asker, "configStatus", { revision: this.#log.revision, nodes: this.#status() }),
        );
        return true;
      default:
        return false;
    }
  }

  get #log() {
    return this.#site.metadata.settings;
  }

  #for(peer: { readonly name: string; readonly role: ConfigRole }): Map<string, string> {
    return effectiveSettings(this.#log.settings, peer);
  }

  #answer(asker: Asker): void {
    const { revision, settings } = this.#log;
    this.#site.emit(answer(asker, "getConfig", { revision, settings: [...settings] }));
  }

  #change(asker: Asker, { base, author, reason, changes }: Body<"changeConfig">): void {
    const problem = this.#problemOf({ base, author, reason, changes });
    if (problem !== undefined) {
      return this.#site.refuse(asker, {
        code: "denied",
        message: `Cannot change the configuration: ${problem}`,
      });
    }
    const number = (this.#proposed ?? this.#log.revision) + 1;
    this.#proposed = number;
    const atMs = this.#site.now.wallMs;
    this.#site.propose(
      { type: "config", change: { number, atMs, author, reason, changes: [...changes] } },
      () => {
        if (this.#proposed === number) this.#proposed = undefined;
        this.#site.emit(answer(asker, "changeConfig", { revision: number }));
        const names = changes.map(({ scope, key }) => `${key} (${scope})`).join(", ");
        this.#site.log("configuration", "info", `Configuration revision ${number}: ${names}`, {
          author,
          reason,
        });
        this.#push();
      },
    );
  }

  #problemOf({ base, author, reason, changes }: Body<"changeConfig">): string | undefined {
    const newest = this.#proposed ?? this.#log.revision;
    if (base !== null && base !== newest) {
      return `it is at revision ${newest}, not ${base}; look at what has changed, and do it again`;
    }
    if (changes.length === 0 || changes.length > CONFIG_CHANGES_MAX) {
      return `expected 1 to ${CONFIG_CHANGES_MAX} changes, found ${changes.length}`;
    }
    if (Math.max(author.length, reason.length) > CONFIG_TEXT_LENGTH_MAX) {
      return `author and reason have ${CONFIG_TEXT_LENGTH_MAX} characters at most`;
    }
    const seen = new Set<string>();
    for (const { scope, key, value } of changes) {
      if (seen.has(`${scope} ${key}`)) return `${key}: it stands there twice for ${scope}`;
      seen.add(`${scope} ${key}`);
      const isSet = this.#log.settings.some((setting) => setting.scope === scope && setting.key === key);
      const found = value === null
        ? isSet ? undefined : `${key}: nothing is set for ${scope}`
        : settingProblem({ scope, key, value } satisfies Setting);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Tells each peer what is other for it than before, also those for which nothing is: they run the revision too. */
  #push(): void {
    const { revision } = this.#log;
    for (const [conn, peer] of this.#peers) {
      const now = this.#for(peer);
      const keys = [...new Set([...peer.told.keys(), ...now.keys()])];
      const values = keys.flatMap((key) => {
        const value = now.get(key) ?? null;
        return value === (peer.told.get(key) ?? null) ? [] : [{ key, value }];
      });
      peer.told = now;
      this.#site.emit(tell(conn, "config", { revision, isWhole: false, values }));
    }
    const ready = this.#waiting.filter(({ after }) => after < revision);
    this.#waiting = this.#waiting.filter(({ after }) => after >= revision);
    for (const { asker } of ready) this.#answer(asker);
  }

  #status(): { name: string; role: string; revision: number; pending: string[]; overrides: string[] }[] {
    const own = {
      name: this.#site.name,
      role: "master",
      revision: this.#log.revision,
      pending: [],
      overrides: Object.keys(this.#site.overrides),
    };
    const others = [...this.#peers.values()].map(({ name, role, has }) => ({
      name,
      role,
      revision: has?.revision ?? 0,
      pending: [...has?.pending ?? []],
      overrides: [...has?.overrides ?? []],
    }));
    return [own, ...others];
  }
}
