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
 *
 * [[notify]]
 * name = "mail"                              # for the key notify.to of the configuration, which says who is told
 * smtp = "smtps://neo@mail.example"          # or smtp://HOST:PORT
 * from = "neo@example.org"
 * to = ["ops@example.org"]
 * passwordFile = "mail.password"
 * ```
 */
import { readFileSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { LogLine } from "../adapters/log.ts";
import { later } from "../adapters/system.ts";
import { NOTIFY_TO, wordsOf } from "../core/config_keys.ts";
import { MONITOR_LOOK_WITHIN_MS } from "../core/limits.ts";
import { credentialsIn, parseUri } from "../core/uri.ts";
import { Settings } from "../roles/settings.ts";
import { parseToml } from "./config.ts";
import { CliError, systemCodeOf } from "./exit.ts";
import { look } from "./look.ts";
import { Monitor } from "./monitor.ts";
import type { Receiver, WatchParts } from "./monitor.ts";
import { receiversFor } from "./notify_targets.ts";
import { mail, program, webhook } from "./receivers.ts";
import type { MailRoute } from "./receivers.ts";
import { Fields } from "./toml_fields.ts";

/** The content of such a file. */
export interface Watch {
  readonly uris: readonly string[];
  readonly receivers: readonly Receiver[];
  /** Other files that they need: certificates, passwords. */
  readonly files: readonly string[];
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
  const files: string[] = uris.flatMap((uri) => Object.values(credentialsIn(parseUri(uri)) ?? {}));
  const labels = new Set<string>();
  const receivers = top.tables("notify").map((fields) => {
    fields.refuseOthers(["name", "webhook", "command", "smtp", "from", "to", "passwordFile"]);
    const label = fields.optionalText("name", /^[A-Za-z][A-Za-z0-9_-]{0,31}$/, "a name, such as pager");
    if (label !== undefined && labels.has(label)) throw fields.error("name", "another target has this name");
    if (label !== undefined) labels.add(label);
    const receiver = receiverOf(fields, { folder: dirname(file), files });
    return label === undefined ? receiver : { ...receiver, label };
  });
  return { uris, receivers, files };
}

function receiverOf(
  fields: Fields,
  { folder, files }: { readonly folder: string; readonly files: string[] },
): Receiver {
  const url = fields.optionalText("webhook", /^https?:\/\/[^/\s]+/, "an http:// or https:// address");
  if (url !== undefined) return webhook(url);
  const server = fields.optionalText(
    "smtp",
    /^smtps?:\/\/[^/\s:]+(:\d+)?$/,
    "smtp://USER@HOST:PORT or smtps://..., without a password",
  );
  if (server === undefined) return program([fields.text("command", /./, "a program")]);
  const route = mailRoute(fields, server, folder);
  if (route.passwordFile !== undefined) files.push(route.passwordFile);
  return mail(route);
}

function mailRoute(fields: Fields, server: string, folder: string): MailRoute {
  const secret = fields.optionalText("passwordFile", /./, "a file");
  const to = fields.list("to", /^[^\s@]+@[^\s@]+$/, "an address, such as ops@example.org");
  return {
    server,
    from: fields.text("from", /^[^\s@]+@[^\s@]+$/, "an address, such as neo@example.org"),
    to,
    ...(secret === undefined ? {} : { passwordFile: resolve(folder, secret) }),
  };
}

/** Files that a process needs to read which watches what a file names; none if it can't be read now. */
export function filesOfWatch(file: string): readonly string[] {
  try {
    return parseWatch(readFileSync(file, "utf8"), file).files;
  } catch (error) {
    if (error instanceof CliError || systemCodeOf(error) === "ENOENT") return [];
    throw error;
  }
}

/**
 * The monitor of what a file names; it watches from its first look on. What the file says later counts from the next look on, and so
 * does what the configuration says of who is told, and how often.
 */
export function monitorOf(
  file: string,
  log: LogLine,
  settings: Pick<Settings, "text" | "number"> = new Settings(),
): Monitor {
  return new Monitor({ current: watchOf(file, log, settings), later, log });
}

/** What such a file says, each time it is asked, and what is configured. */
export function watchOf(
  file: string,
  log: LogLine,
  settings: Pick<Settings, "text" | "number">,
): () => WatchParts {
  let seen = stateOf(file);
  let watch = partsOf(parseWatch(readFileSync(file, "utf8"), file));
  let told: string | undefined; // what `notify.to` was when those who are told were chosen
  let chosen = watch.receivers;
  const reread = (): void => {
    const state = stateOf(file);
    if (state === seen) return;
    seen = state;
    told = undefined;
    try {
      watch = partsOf(parseWatch(readFileSync(file, "utf8"), file));
      log("info", `Read ${file} again`, {}, "watch");
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      log("warning", `Goes on with what ${file} said before: ${why}`, {}, "watch");
    }
  };
  return (): WatchParts => {
    reread();
    const to = settings.text(NOTIFY_TO);
    if (to !== told) {
      chosen = receiversFor(watch.receivers, wordsOf(to), (text) => log("warning", text, {}, "watch"));
    }
    told = to;
    const [lookMs, triesMax] = [settings.number("watch.lookMs"), settings.number("notify.triesMax")];
    return { clusters: watch.clusters, receivers: chosen, lookMs, triesMax };
  };
}

function partsOf({ uris, receivers }: Watch): Pick<WatchParts, "clusters" | "receivers"> {
  const clusters = uris.map((uri) => {
    const parsed = parseUri(uri);
    const target = { kind: "uri", uri, parsed } as const;
    return { name: parsed.cluster, look: () => look(target, MONITOR_LOOK_WITHIN_MS) };
  });
  return { clusters, receivers };
}

/** Differs when the file has been written or replaced. */
function stateOf(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false });
  return found === undefined ? "" : `${found.ino} ${found.size} ${found.mtimeMs}`;
}
