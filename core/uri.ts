/**
 * The URI that names a cluster: `neo://NAME@HOST:PORT,[IPV6]:PORT?OPTION=VALUE&FLAG`; a zone follows as `[fe80::1%25eth0]`. Characters with a meaning (`@`,
 * `?`, `%` ...), spaces and what ASCII lacks are written as UTF-8 in `%XX` escapes; `+` is a plus.
 */
import { DatabaseError } from "./errors.ts";
import { DEFAULT_PORT } from "./limits.ts";

/** A cluster and where its masters are. */
export interface ClusterUri {
  readonly cluster: string;
  /** `host:port` or `[ipv6]:port`, at least one; hosts in lower case, IPv6 addresses in their short form. */
  readonly masters: readonly string[];
  /** By name, with `-` where `_` was given; a flag without value is "true". */
  readonly options: { readonly [name: string]: string };
}

/** A text that isn't a cluster's URI. */
export class UriError extends DatabaseError {
  override name = "UriError";
  /** Offset of the first character that can't stand there; the text's length if something is missing. */
  readonly position: number;

  constructor(text: string, position: number, expected: string, hint: string = "") {
    const found = position < text.length ? JSON.stringify(text.slice(position, position + 20)) : "the end";
    super(
      "badUri",
      `Cannot read cluster URI: expected ${expected} at offset ${position}, found ${found}; `
        + `write neo://NAME@HOST:PORT,HOST:PORT?OPTION=VALUE${hint}`,
    );
    this.position = position;
  }
}

const SCHEME = "neo://";
const PORT_MAX = 65_535;
/** What the URI says before the "?" is no option. */
const NO_OPTIONS: ReadonlySet<string> = new Set(["cluster", "master-nodes", "masters", "name"]);
/** What stands for itself in a name and in a value. */
const PLAIN_NAME = /[\w\-.~!$'()*+,;:=&]+/y;
const PLAIN_VALUE = /[\w\-.~!$'()*+,;:=@/?]+/y;

/**
 * Reads a cluster's URI.
 *
 * @throws UriError naming the offset of what is wrong
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { parseUri } from "./uri.ts";
 * assert.deepEqual(parseUri("neo://my%20wiki@db1,[::1]:9200?cache_size=20MB&read-only"), {
 *   cluster: "my wiki",
 *   masters: ["db1:9100", "[::1]:9200"],
 *   options: { "cache-size": "20MB", "read-only": "true" },
 * });
 * assert.throws(() => parseUri("neo://wiki@db1:0"), { name: "UriError", position: 15 });
 * ```
 */
export function parseUri(text: string): ClusterUri {
  return new Reader(text).uri();
}

/**
 * Writes what `parseUri()` reads.
 *
 * @throws UriError when a master or an option's name couldn't be read back; RangeError when a text isn't Unicode
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { formatUri } from "./uri.ts";
 * const uri = formatUri({ cluster: "my wiki", masters: ["db1:9100"], options: { "read-only": "true" } });
 * assert.equal(uri, "neo://my%20wiki@db1:9100?read-only=true");
 * ```
 */
export function formatUri(uri: ClusterUri): string {
  const options = Object.entries(uri.options).map(([name, value]) =>
    `${name}=${escaped(value).replaceAll("%2F", "/")}`
  );
  const query = options.length > 0 ? `?${options.join("&")}` : "";
  const text = `${SCHEME}${escaped(uri.cluster)}@${uri.masters.map(escapedZone).join(",")}${query}`;
  parseUri(text);
  return text;
}

/** A key, its certificate and the cluster's authorities: texts in PEM, or paths of files with them. */
export interface Credentials {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/**
 * What a URI says of certificates: `?ca=FILE&cert=FILE&key=FILE`, all of them or none.
 *
 * @throws RangeError when it names some of them
 */
export function credentialsIn({ cluster, options }: ClusterUri): Credentials | undefined {
  const { ca, cert, key } = options;
  if (ca === undefined && cert === undefined && key === undefined) return undefined;
  if (ca !== undefined && cert !== undefined && key !== undefined) return { ca, cert, key };
  const missing = ["ca", "cert", "key"].filter((name) => options[name] === undefined).join(" and ");
  throw new RangeError(
    `Cannot connect to ${cluster}: its URI says nothing of ${missing}; name all of ca, cert and key, or none`,
  );
}

/** A master as it stands in a URI: the zone of a link-local address, `[fe80::1%eth0]:9100`, is written `%25eth0` (RFC 6874). */
export function escapedZone(master: string): string {
  return master.replace("%", "%25");
}

function escaped(text: string): string {
  if (text.isWellFormed()) return encodeURIComponent(text);
  throw new RangeError(`Cannot write ${JSON.stringify(text)} into a URI: half a character stands alone`);
}

/** Reads from left to right; each method takes what it names. */
class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  uri(): ClusterUri {
    if (this.#text.slice(0, SCHEME.length).toLowerCase() !== SCHEME) this.#fail(`"${SCHEME}"`);
    this.#at = SCHEME.length;
    const cluster = this.#unescaped(PLAIN_NAME);
    if (cluster === "") this.#fail("the cluster's name");
    if (!this.#take("@")) this.#fail('"@" after the cluster\'s name (escape other characters as %XX)');
    const masters = [this.#master()];
    while (this.#take(",")) masters.push(this.#master());
    const options = this.#take("?") ? this.#options() : {};
    if (this.#at < this.#text.length) this.#fail("no more than masters and options");
    return { cluster, masters, options };
  }

  #master(): string {
    const host = this.#take("[") ? this.#ipv6() : this.#host();
    return `${host}:${this.#take(":") ? this.#port() : DEFAULT_PORT}`;
  }

  #host(): string {
    const start = this.#at;
    const host = this.#match(/[\w-]+(\.[\w-]+)*\.?/y)?.toLowerCase();
    if (host === undefined) return this.#fail("a host's name or address");
    const looksIpv4 = /(^|\.)\d+$/.test(host);
    if (looksIpv4 && !/^((25[0-5]|(2[0-4]|1\d|[1-9]?)\d)(\.|$)){4}$/.test(host)) {
      this.#fail("four numbers from 0 to 255", start);
    }
    return host;
  }

  #ipv6(): string {
    const start = this.#at;
    const address = this.#match(/[\da-f:.]+/iy) ?? "";
    const url = `http://[${address}]`;
    if (!URL.canParse(url)) this.#fail("an IPv6 address", start);
    const zone = this.#match(/%(25)?[\w.-]+/y)?.replace(/^%(25(?=.))?/, "%") ?? "";
    if (!this.#take("]")) this.#fail('"]" after the IPv6 address');
    return new URL(url).hostname.replace("]", `${zone}]`);
  }

  #port(): number {
    const start = this.#at;
    const port = Number(this.#match(/\d{1,5}(?!\d)/y) ?? 0);
    return 1 <= port && port <= PORT_MAX ? port : this.#fail(`a port from 1 to ${PORT_MAX}`, start);
  }

  #options(): { [name: string]: string } {
    const options: { [name: string]: string } = {};
    do {
      const start = this.#at;
      const name = this.#match(/[a-z][\w-]*/iy)?.replaceAll("_", "-");
      if (name === undefined) return this.#fail("an option's name");
      if (NO_OPTIONS.has(name)) this.#fail("an option (the cluster's name and masters stand before)", start);
      if (Object.hasOwn(options, name)) this.#fail("each option once", start);
      options[name] = this.#take("=") ? this.#unescaped(PLAIN_VALUE) : "true";
    } while (this.#take("&"));
    return options;
  }

  /** Plain characters and escapes, as far as they go. */
  #unescaped(plain: RegExp): string {
    let value = "";
    for (;;) {
      const start = this.#at;
      const run = this.#match(plain) ?? this.#match(/(%[\da-f]{2})+/iy);
      if (run === undefined) break;
      value += run.startsWith("%") ? this.#decoded(run, start) : run;
    }
    if (this.#text[this.#at] === "%") this.#fail('two hexadecimal digits after "%"');
    return value;
  }

  #decoded(run: string, start: number): string {
    try {
      return decodeURIComponent(run);
    } catch (error) {
      if (error instanceof URIError) return this.#fail("escapes that are UTF-8", start);
      throw error;
    }
  }

  #take(sign: string): boolean {
    if (this.#text[this.#at] !== sign) return false;
    this.#at += 1;
    return true;
  }

  /** What a sticky expression finds here. */
  #match(expression: RegExp): string | undefined {
    expression.lastIndex = this.#at;
    const found = expression.exec(this.#text)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }

  #fail(expected: string, at = this.#at): never {
    throw new UriError(this.#text, at, expected);
  }
}
