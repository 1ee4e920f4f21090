/** The configuration in the masters' log: what is set now, and how it came to that. */
import { revisionRow, settingRow } from "../../core/config_messages.ts";
import { CONFIG_REVISIONS_MAX } from "../../core/limits.ts";
import { integer, list, maybe, record, text } from "../../core/schema.ts";
import type { Value } from "../../core/schema.ts";

/** A change that is decided. */
export const configChange = record({
  number: integer,
  atMs: integer,
  author: text,
  reason: text,
  changes: list(record({ scope: text, key: text, value: maybe(text) })),
});
export type ConfigChange = Value<typeof configChange>;

/** All of it, as a snapshot has it. */
export const configImage = record({
  revision: integer,
  settings: list(settingRow),
  revisions: list(revisionRow),
});
export type ConfigImage = Value<typeof configImage>;

/** Nothing is set. */
export const NO_CONFIG: ConfigImage = { revision: 0, settings: [], revisions: [] };

/** What is set, and the latest revisions. */
export class SettingsLog {
  #revision: number;
  #settings: Map<string, ConfigImage["settings"][number]>;
  #revisions: ConfigImage["revisions"][number][];

  constructor({ revision, settings, revisions }: ConfigImage) {
    this.#revision = revision;
    this.#settings = new Map(settings.map((setting) => [keyOf(setting), setting]));
    this.#revisions = [...revisions];
  }

  get revision(): number {
    return this.#revision;
  }

  get settings(): ConfigImage["settings"] {
    return [...this.#settings.values()];
  }

  /** Oldest first. */
  get revisions(): ConfigImage["revisions"] {
    return this.#revisions;
  }

  apply({ number, atMs, author, reason, changes }: ConfigChange): void {
    const done = changes.map(({ scope, key, value }) => {
      const before = this.#settings.get(keyOf({ scope, key }))?.value ?? null;
      if (value === null) this.#settings.delete(keyOf({ scope, key }));
      else this.#settings.set(keyOf({ scope, key }), { scope, key, value });
      return { scope, key, before, after: value };
    });
    this.#revision = number;
    this.#revisions.push({ number, atMs, author, reason, changes: done });
    if (this.#revisions.length > CONFIG_REVISIONS_MAX) this.#revisions.shift();
  }

  toImage(): ConfigImage {
    return { revision: this.#revision, settings: this.settings, revisions: [...this.#revisions] };
  }
}

function keyOf({ scope, key }: { readonly scope: string; readonly key: string }): string {
  return `${scope} ${key}`;
}
