/** Parts of a node that can be told how much to log, each for itself. */

/** All of them; `node` is what isn't another. */
export const logModules = [
  "client",
  "cluster",
  "configuration",
  "connections",
  "copies",
  "elections",
  "messages",
  "node",
  "recovery",
  "scrub",
  "storage",
  "watch",
] as const;
/** One of them. */
export type LogModule = (typeof logModules)[number];

/** How much somebody should care, the least first. */
export const logLevels = ["debug", "info", "warning", "error"] as const;
/** One of them. */
export type LogLevel = (typeof logLevels)[number];

/** From which level on a node logs: in general, and modules that differ. */
export interface LogLevels {
  readonly level: LogLevel;
  readonly modules: { readonly [M in LogModule]?: LogLevel };
}

/** When a log's file is turned over: as it has more bytes, or is older. */
export interface LogFile {
  readonly bytesMax: number;
  readonly ageMsMax: number;
}

/** The modules of a list such as `elections=debug connections=warning`; what is wrong in it is left out. */
export function modulesIn(list: string): LogLevels["modules"] {
  const modules: { [M in LogModule]?: LogLevel } = {};
  for (const word of list.split(" ")) {
    const [name, level] = word.split("=", 2);
    if (isOne(logModules, name) && isOne(logLevels, level)) modules[name] = level;
  }
  return modules;
}

function isOne<T extends string>(all: readonly T[], word: string | undefined): word is T {
  return (all as readonly (string | undefined)[]).includes(word);
}
