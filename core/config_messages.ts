/** Messages of the configuration service, part of the table in `messages.ts`. */
import { ask, tell } from "./message_rows.ts";
import { flag, integer, list, maybe, record, text } from "./schema.ts";

/** A value that is set in a scope: `cluster`, `role:ROLE` or `node:NAME`. */
export const settingRow = record({ scope: text, key: text, value: text });
/** A value before and after a revision; null: it isn't set. */
export const changeRow = record({ scope: text, key: text, before: maybe(text), after: maybe(text) });
/** One change of the configuration. */
export const revisionRow = record({
  number: integer,
  atMs: integer,
  author: text,
  reason: text,
  changes: list(changeRow),
});

/** What a primary tells its nodes and clients, and what operators ask. */
export const configMessages = {
  /** What is set for this peer: all of it, or what a revision has changed; null: as by default. */
  config: tell(0x78, "M>*", "commit", {
    revision: integer,
    isWhole: flag,
    values: list(record({ key: text, value: maybe(text) })),
  }),
  /** It is taken. `pending` keys count when the node starts again, `overrides` are set on the node itself. */
  configured: tell(0x79, "S>M, C>M, A>M", "commit", {
    revision: integer,
    pending: list(text),
    overrides: list(text),
  }),
  /** All that is set. With `after` it is answered once a later revision is there. */
  getConfig: ask(0x7a, "A>M, A>A", "commit", { after: maybe(integer) }, {
    revision: integer,
    settings: list(settingRow),
  }),
  /** Changes values, all or none; null: it is set no more. With `base` only if that is the newest revision. */
  changeConfig: ask(0x7b, "A>M, A>A", "commit", {
    base: maybe(integer),
    author: text,
    reason: text,
    changes: list(record({ scope: text, key: text, value: maybe(text) })),
  }, { revision: integer }),
  /** The latest revisions before one, newest first. */
  configHistory: ask(0x7c, "A>M, A>A", "commit", { before: maybe(integer), count: integer }, {
    revisions: list(revisionRow),
  }),
  /** Who runs which revision. */
  configStatus: ask(0x7d, "A>M, A>A", "commit", {}, {
    revision: integer,
    nodes: list(
      record({ name: text, role: text, revision: integer, pending: list(text), overrides: list(text) }),
    ),
  }),
} as const;
