/**
 * Tells systemd how a service is (`Type=notify`), through its program `systemd-notify`. Without `NOTIFY_SOCKET` nobody wants to
 * know. What goes wrong is logged: the nodes serve all the same.
 */
import { spawn } from "node:child_process";
import type { LogLine } from "../adapters/log.ts";
import type { Env } from "./output.ts";

/** Tells it, and says when that is done; never rejects. */
export type Notify = (...words: readonly string[]) => Promise<void>;

/** What tells systemd of the process `pid`. */
export function sdNotify(env: Env, pid: number, log: LogLine): Notify {
  const socket = env["NOTIFY_SOCKET"];
  if (socket === undefined || socket === "") return () => Promise.resolve();
  return (...words) =>
    new Promise((resolve) => {
      const failed = (why: string): void => {
        log("warning", "Cannot tell systemd how the service is", { words, why });
        resolve();
      };
      try {
        const options = { env: { NOTIFY_SOCKET: socket, PATH: env["PATH"] ?? "" }, stdio: "ignore" } as const;
        const child = spawn("systemd-notify", [`--pid=${pid}`, ...words], options);
        child.once("error", ({ message }) => failed(message));
        child.once("exit", (code) => code === 0 ? resolve() : failed(`systemd-notify ended with ${code}`));
      } catch (error) {
        failed(error instanceof Error ? error.message : String(error));
      }
    });
}
