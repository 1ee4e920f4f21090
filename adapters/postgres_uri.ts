/** Where a node's database is: `postgres://user@host:port/database?schema=NAME`. */
import { MalformedError } from "../core/errors.ts";

/** A place for one node's tables. */
export interface PostgresPlace {
  /** As the client takes it, without our own parameters. */
  readonly url: string;
  readonly schema: string;
  /** As people see it: never with a password. */
  readonly shown: string;
}

/** What a schema may be called: it stands in statements, where nothing can be bound. */
const SCHEMA_PATTERN = /^[a-z_][a-z0-9_]{0,62}$/;

/** Parameters that would be a password. */
const SECRET_PATTERN = /pass/i;

/**
 * Takes a URI apart.
 *
 * @throws MalformedError with the rule, when it isn't one of PostgreSQL or has no usable schema
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { postgresPlace } from "./postgres_uri.ts";
 * const place = postgresPlace("postgres://neo:secret@db1/shop?schema=s1");
 * assert.equal(place.schema, "s1");
 * assert.equal(place.shown, "postgres://neo@db1/shop?schema=s1");
 * assert.throws(() => postgresPlace("postgres://db1/shop?schema=S-1"), /schema/);
 * ```
 */
export function postgresPlace(uri: string): PostgresPlace {
  const parsed = URL.canParse(uri) ? new URL(uri) : undefined;
  if (parsed === undefined || !/^postgres(ql)?:\/\//.test(uri)) {
    // what can't be read may hold a password anywhere
    throw new MalformedError(
      `Cannot use ${shownOf(uri)}: expected postgres://user@host:port/database?schema=NAME`,
    );
  }
  const secret = [...parsed.searchParams.keys()].find((name) => SECRET_PATTERN.test(name));
  if (secret !== undefined) {
    throw new MalformedError(
      `Cannot use a database with ${secret}=...: it would stand in files and lists; name a file with the password`,
    );
  }
  const schema = parsed.searchParams.get("schema") ?? "";
  if (!SCHEMA_PATTERN.test(schema) || schema.startsWith("pg_")) {
    const rule = "1 to 63 small letters, digits and _, no digit first, and not pg_...";
    throw new MalformedError(`Cannot use ${hidden(parsed)}: expected ?schema=NAME with ${rule}`);
  }
  const shown = hidden(parsed);
  parsed.searchParams.delete("schema");
  return { url: parsed.href, schema, shown };
}

/** No more of it than its beginning where that could be more than user and host. */
function shownOf(uri: string): string {
  return JSON.stringify(uri.includes("@") ? `...${uri.slice(uri.lastIndexOf("@"))}` : uri);
}

function hidden(parsed: URL): string {
  const shown = new URL(parsed.href);
  shown.password = "";
  return shown.href;
}
