/** Commands that we tell people to type. */
import type { CommonFlags } from "./context.ts";

/** A command for the same cluster; what the environment or the folder says needs no words. */
export function nextCommand(command: string, flags: Pick<CommonFlags, "cluster">): string {
  return `neo ${command}${flags.cluster === undefined ? "" : ` -C ${quoted(flags.cluster)}`}`;
}

/** A word as a shell takes it. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./~-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
