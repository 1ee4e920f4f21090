/**
 * The configuration that a node has had last, in its data folder: with it the node starts when no master answers. Written by
 * rename, with a checksum: one that is torn or broken is as if there were none.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import type { Log, LogLine } from "../adapters/log.ts";
import { Settings } from "../roles/settings.ts";
import type { KeptSettings, SettingsOutput } from "../roles/settings.ts";
import type { NodeConfig } from "./config.ts";
import { systemCodeOf } from "./exit.ts";

const FILE = "settings.json";

/** What a node has had last; undefined: nothing, or nothing whole, which `broken` hears of. */
export function keptSettings(
  { data }: Pick<NodeConfig, "data">,
  broken: (path: string, why: string) => void = () => {},
): KeptSettings | undefined {
  const path = join(data, FILE);
  try {
    const { crc, settings } = JSON.parse(readFileSync(path, "utf8"));
    if (crc === crc32(JSON.stringify(settings))) return settings;
    broken(path, "its checksum doesn't fit");
  } catch (error) {
    if (systemCodeOf(error) !== "ENOENT") {
      broken(path, error instanceof Error ? error.message : String(error));
    }
  }
  return undefined;
}

/** Keeps a configuration for the next start. */
export function keepSettings({ data }: Pick<NodeConfig, "data">, settings: KeptSettings): void {
  const path = join(data, FILE);
  writeFileSync(`${path}.new`, JSON.stringify({ crc: crc32(JSON.stringify(settings)), settings }));
  renameSync(`${path}.new`, path);
}

/** What a node starts from, and says so. */
export function settingsOf(node: NodeConfig, log: LogLine = () => {}): Settings {
  const kept = keptSettings(node, (path, why) => {
    const text = `Cannot use ${path}: ${why}; starts with the defaults, until a primary tells what is set`;
    log("warning", text, {}, "configuration");
  });
  const { overrides = {} } = node;
  if (kept !== undefined && kept.revision > 0) {
    log(
      "info",
      `Starts with configuration revision ${kept.revision}, as it was last`,
      { ...kept.values },
      "configuration",
    );
  }
  const names = Object.keys(overrides);
  if (names.length > 0) {
    const text = `${names.join(", ")} is set in neo.toml: it counts more than the cluster's configuration`;
    log("warning", text, {}, "configuration");
  }
  return new Settings({ ...(kept && { kept }), overrides });
}

/** Keeps what a node has taken, and logs at the level that it says. */
export function taking(node: NodeConfig, log: LogLine): (output: SettingsOutput) => void {
  const levelled = log as Partial<Log>;
  return ({ settings, logLevels, logFile }) => {
    levelled.setLevels?.(logLevels);
    levelled.setFile?.(logFile);
    const before = keptSettings(node);
    if (JSON.stringify(before) === JSON.stringify(settings)) return;
    try {
      keepSettings(node, settings);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const text = `Cannot keep configuration revision ${settings.revision} for the next start`;
      log("warning", text, { reason }, "configuration");
    }
    log("info", `Configuration revision ${settings.revision}`, { ...settings.values }, "configuration");
  };
}
