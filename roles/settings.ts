/**
 * What is configured for a node or a client, as it has it: from its cache at the start, then as the primary tells. Live keys
 * count at once, others when the node starts again. What is set on the node itself (an emergency) counts more than all else, and
 * the primary hears of it.
 */
import { configKey, TLS_REVOKED, wordsOf } from "../core/config_keys.ts";
import { invariant } from "../core/errors.ts";
import type { Conn } from "../core/ids.ts";
import { modulesIn } from "../core/log_modules.ts";
import type { LogFile, LogLevel, LogLevels } from "../core/log_modules.ts";
import { tell } from "../core/machine.ts";
import type { Effect, PeerTimes } from "../core/machine.ts";
import type { Body } from "../core/messages.ts";

/** A configuration as a node keeps it for its next start. */
export interface KeptSettings {
  readonly revision: number;
  readonly values: { readonly [key: string]: string };
}

/** What a node starts from. */
export interface SettingsStart {
  /** What it had last; undefined: nothing. */
  readonly kept?: KeptSettings;
  /** What is set on the node itself. */
  readonly overrides?: { readonly [key: string]: string };
}

/** What a node tells whoever runs it: a configuration that it has taken. */
export interface SettingsOutput {
  readonly settings: KeptSettings;
  readonly logLevels: LogLevels;
  readonly logFile: LogFile;
}

/** The values that count. */
export class Settings {
  readonly #overrides: ReadonlyMap<string, string>;
  /** Of keys that aren't live: what they were at the start. */
  readonly #first: ReadonlyMap<string, string>;
  #values: Map<string, string>;
  #revision: number;

  constructor({ kept, overrides = {} }: SettingsStart = {}) {
    this.#overrides = new Map(Object.entries(overrides));
    this.#values = new Map(Object.entries(kept?.values ?? {}));
    this.#first = new Map(this.#values);
    this.#revision = kept?.revision ?? 0;
  }

  get revision(): number {
    return this.#revision;
  }

  /** A value that counts now, undefined where none is set. */
  set(name: string): string | undefined {
    const { live } = keyOf(name);
    return this.#overrides.get(name) ?? (live ? this.#values : this.#first).get(name);
  }

  /** A value that counts now. */
  text(name: string): string {
    return this.set(name) ?? keyOf(name).default;
  }

  /** The same of a whole number. */
  number(name: string): number {
    return Number(this.text(name));
  }

  /** Takes what the primary tells; gives what to answer, and what whoever runs the node is to keep. */
  take(body: Body<"config">, primary: Conn): Effect<never, never, never, never, SettingsOutput>[] {
    if (body.isWhole) this.#values = new Map();
    for (const { key, value } of body.values) {
      if (value === null) this.#values.delete(key);
      else this.#values.set(key, value);
    }
    this.#revision = body.revision;
    const overrides = [...this.#overrides.keys()];
    const said = { revision: body.revision, pending: this.#pending(), overrides };
    return [...this.effects, tell(primary, "configured", said)];
  }

  /** What makes it count outside of the machine. */
  get effects(): Effect<never, never, never, never, SettingsOutput>[] {
    return [
      { do: "output", output: this.output },
      { do: "distrust", fingerprints: this.revoked },
      { do: "retime", times: this.times },
    ];
  }

  /** How long peers are waited for. */
  get times(): PeerTimes {
    return {
      keepaliveMs: this.number("peer.keepaliveMs"),
      primaryKeepaliveMs: this.number("peer.primaryKeepaliveMs"),
      writeTimeoutMs: this.number("peer.writeTimeoutMs"),
    };
  }

  /** Fingerprints of certificates that are revoked. */
  get revoked(): string[] {
    return wordsOf(this.text(TLS_REVOKED));
  }

  /** What whoever runs the node is to know. */
  get output(): SettingsOutput {
    const values = Object.fromEntries(this.#values);
    const level = this.text("log.level") as LogLevel;
    const logLevels = { level, modules: modulesIn(this.text("log.levels")) };
    const [bytesMax, ageMsMax] = [this.number("log.fileBytesMax"), this.number("log.fileAgeMsMax")];
    return {
      settings: { revision: this.#revision, values },
      logLevels,
      logFile: { bytesMax, ageMsMax },
    };
  }

  /** Keys whose values count when the node starts again. */
  #pending(): string[] {
    const all = new Set([...this.#values.keys(), ...this.#first.keys()]);
    return [...all].filter((name) => {
      const isLive = configKey(name)?.live ?? true; // a newer primary's key has no effect here
      return !isLive && !this.#overrides.has(name) && this.#values.get(name) !== this.#first.get(name);
    });
  }
}

function keyOf(name: string) {
  const key = configKey(name);
  invariant(key !== undefined, `there is a key ${name}`);
  return key;
}
