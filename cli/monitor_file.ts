/**
 * What an admin watches, and whom it tells, from the file that its `watch` in `neo.toml` names:
 *
 * ```toml
 * [[cluster]]
 * uri = "neo://shop@db1:9100"
 *
 * [[notify]]
 * webhook = "https://chat.example/hooks/1"   # gets JSON
 *
 * [[notify]]
 * command = "/usr/local/bin/page-me"         # reads JSON from stdin; no shell, no arguments
 * ```
 */
import { readFileSync } from "node:fs";
import type { LogLine } from "../adapters/log.ts";
import { later } from "../adapters/system.ts";
import { MONITOR_LOOK_WITHIN_MS } from "../core/limits.ts";
import { parseUri } from "../core/uri.ts";
import { parseToml } from "./config.ts";
import { look } from "./look.ts";
import { Monitor } from "./monitor.ts";
import type { Receiver } from "./monitor.ts";
import { program, webhook } from "./receivers.ts";
import { Fields } from "./toml_fields.ts";

/** The content of such a file. */
export interface Watch {
  readonly uris: readonly string[];
  readonly receivers: readonly Receiver[];
}

/**
 * Reads the text of such a file.
 *
 * @throws CliError (`usage`) naming the key and what is wrong with it
 */
export function parseWatch(text: string, file: string): Watch {
  const top = new Fields(parseToml(text, file), { file, text });
  top.refuseOthers(["cluster", "notify"]);
  const uris = top.tables("cluster").map((fields) => {
    fields.refuseOthers(["uri"]);
    const uri = fields.text("uri", /^neo:\/\//, "neo://NAME@HOST:PORT");
    try {
      parseUri(uri);
    } catch (error) {
      throw fields.error("uri", error instanceof Error ? error.message : String(error));
    }
    return uri;
  });
  const receivers = top.tables("notify").map((fields) => {
    fields.refuseOthers(["webhook", "command"]);
    const url = fields.optionalText("webhook", /^https?:\/\/[^/\s]+/, "an http:// or https:// address");
    return url === undefined ? program([fields.text("command", /./, "a program")]) : webhook(url);
  });
  return { uris, receivers };
}

/** The monitor of what a file names; it watches from its first look on. */
export function monitorOf(file: string, log: LogLine): Monitor {
  const { uris, receivers } = parseWatch(readFileSync(file, "utf8"), file);
  const clusters = uris.map((uri) => {
    const parsed = parseUri(uri);
    const target = { kind: "uri", uri, parsed } as const;
    return { name: parsed.cluster, look: () => look(target, MONITOR_LOOK_WITHIN_MS) };
  });
  return new Monitor({ clusters, receivers, later, log });
}
