/** Where a monitor's notices go: a web address that takes JSON, or a command that reads it. */
import { spawn } from "node:child_process";
import { later } from "../adapters/system.ts";
import { NOTIFY_TIMEOUT_MS } from "../core/limits.ts";
import type { Notice, Receiver } from "./monitor.ts";

/** POSTs each notice as JSON; anything but a 2xx is a failure. */
export function webhook(url: string): Receiver {
  const { host } = new URL(url); // the rest may be secret
  return {
    name: host,
    async send(notice: Notice): Promise<void> {
      const late = new AbortController();
      const cancel = later(
        NOTIFY_TIMEOUT_MS,
        () => late.abort(new Error(`Cannot notify ${host}: it is silent`)),
      );
      try {
        const response = await fetch(url, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify(notice),
          redirect: "error",
          signal: late.signal,
        });
        await response.body?.cancel();
        if (!response.ok) throw new Error(`Cannot notify ${host}: it answered ${response.status}`);
      } finally {
        cancel();
      }
    },
  };
}

/** Runs a program without a shell; it reads the notice as JSON from stdin, and must end with 0. */
export function program(command: readonly string[]): Receiver {
  const [file = "", ...args] = command;
  return {
    name: file,
    send: (notice: Notice): Promise<void> =>
      new Promise((resolve, reject) => {
        const child = spawn(file, args, { stdio: ["pipe", "ignore", "ignore"], timeout: NOTIFY_TIMEOUT_MS });
        child.once("error", reject);
        child.once("close", (code, signal) => {
          if (code === 0) resolve();
          else reject(new Error(`Cannot notify by ${file}: it ended with ${code ?? signal}`));
        });
        child.stdin.on("error", () => {}); // a program may end without reading; its exit code counts
        child.stdin.end(`${JSON.stringify(notice)}\n`);
      }),
  };
}
