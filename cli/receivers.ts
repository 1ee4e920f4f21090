/** Where a monitor's notices go: a web address that takes JSON, a command that reads it, or people's mailboxes. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
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

/** How mail leaves. */
export interface MailRoute {
  /** `smtp://USER@HOST:PORT`, where STARTTLS is used if the server has it, or `smtps://...`. */
  readonly server: string;
  readonly from: string;
  readonly to: readonly string[];
  /** A file with the password of the user. */
  readonly passwordFile?: string;
}

/** Mails each notice, in words. The password is read each time, so that it can be changed; it stands nowhere else. */
export function mail(route: MailRoute): Receiver {
  const { server, from, to, passwordFile } = route;
  const { protocol, hostname, port, username } = new URL(server);
  const host = hostname.replace(/^\[|\]$/g, "");
  return {
    name: hostname,
    to: (people) => mail({ ...route, to: people }),
    async send(notice: Notice): Promise<void> {
      const { createTransport } = await import("nodemailer");
      const user = decodeURIComponent(username);
      const pass = passwordFile === undefined ? "" : readFileSync(passwordFile, "utf8").trim();
      const transport = createTransport({
        host,
        port: Number(port || (protocol === "smtps:" ? 465 : 587)),
        secure: protocol === "smtps:",
        ...(user === "" ? {} : { auth: { user, pass }, requireTLS: protocol === "smtp:" && !isOwn(host) }),
        connectionTimeout: NOTIFY_TIMEOUT_MS,
        greetingTimeout: NOTIFY_TIMEOUT_MS,
        socketTimeout: NOTIFY_TIMEOUT_MS,
      });
      try {
        const { cluster, severity } = notice;
        await transport.sendMail({
          from,
          to: [...to],
          subject: `neo: ${cluster} is ${severity}`,
          text: wordsOf(notice),
        });
      } finally {
        transport.close();
      }
    },
  };
}

/** A password goes to this machine only without TLS. */
function isOwn(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

/** A notice for people. */
export function wordsOf({ cluster, severity, before, at, findings }: Notice): string {
  const lines = findings.map(({ severity, text }) => `- ${severity}: ${text}`);
  const all = lines.length === 0 ? ["All is well again."] : lines;
  return [`Cluster ${cluster} is ${severity}; it was ${before} before.`, `Seen at ${at}.`, "", ...all, ""]
    .join("\n");
}
