/**
 * An admin's watch over clusters: it looks at each now and then, judges what it sees, and sends a notice when a cluster's
 * severity or the kinds of its findings have changed (T54, T57). Changing numbers are no news; that all is well again is.
 * A notice that can't be delivered is tried again a few times, ever later, then given up and logged.
 */
import type { LogLine } from "../adapters/log.ts";
import type { Later } from "../adapters/system.ts";
import { NOTIFY_RETRY_MS } from "../core/limits.ts";
import { judge, worstOf } from "./judge.ts";
import type { Finding, Look, Severity } from "./judge.ts";

/** What a receiver gets. Fields are only ever added. */
export interface Notice {
  readonly cluster: string;
  readonly severity: Severity;
  /** What it was before. */
  readonly before: Severity;
  readonly at: string;
  readonly findings: readonly Finding[];
}

/** Delivers a notice somewhere, or rejects. */
export interface Receiver {
  /** As the log tells of it. */
  readonly name: string;
  /** As the configuration names it, if it can. */
  readonly label?: string;
  /** The same way to other people, where it leads to people. */
  readonly to?: (people: readonly string[]) => Receiver;
  send(notice: Notice): Promise<void>;
}

/** Remembers what was said of each cluster, so that nothing is said twice. */
export class Newsdesk {
  #last = new Map<string, { readonly severity: Severity; readonly kinds: string }>();

  /** What is to be said after a look. A cluster that is well from the beginning is no news. */
  notice(cluster: string, findings: readonly Finding[], wallMs: number): Notice | undefined {
    const severity = worstOf(findings);
    const kinds = [...new Set(findings.map(({ check, severity }) => `${check} ${severity}`))].sort().join();
    const last = this.#last.get(cluster) ?? { severity: "ok", kinds: "" };
    this.#last.set(cluster, { severity, kinds });
    if (last.kinds === kinds) return undefined;
    return { cluster, severity, before: last.severity, at: new Date(wallMs).toISOString(), findings };
  }
}

/** What is watched, and who is told. */
export interface WatchParts {
  readonly clusters: readonly { readonly name: string; readonly look: () => Promise<Look> }[];
  readonly receivers: readonly Receiver[];
  /** The pause until the next look. */
  readonly lookMs: number;
  /** How often a notice is sent that can't be delivered. */
  readonly triesMax: number;
}

/** What a monitor works with. */
export interface MonitorParts {
  /** What counts now; asked at each look. */
  readonly current: () => WatchParts;
  readonly later: Later;
  readonly log: LogLine;
}

/** Looks until it is ended. */
export class Monitor {
  readonly #parts: MonitorParts;
  readonly #desk = new Newsdesk();
  readonly #cancels = new Set<() => void>();
  #ended = false;

  constructor(parts: MonitorParts) {
    this.#parts = parts;
  }

  /** Looks at all clusters once, and again and again from then on. Resolves when the first look is judged. Never rejects. */
  async look(): Promise<void> {
    const { clusters, receivers, lookMs, triesMax } = this.#parts.current();
    await Promise.all(clusters.map(async ({ name, look }) => {
      const found = await look().catch((error): Look => ({
        status: undefined,
        problem: error instanceof Error ? error.message : String(error),
        wallMs: Date.now(),
        disks: [],
      }));
      const notice = this.#ended ? undefined : this.#desk.notice(name, judge(found), found.wallMs);
      if (notice === undefined) return;
      const facts = { cluster: name, findings: notice.findings.map(({ text }) => text) };
      const level = notice.severity === "ok" ? "info" : "warning";
      this.#parts.log(level, `${name} is ${notice.severity}`, facts, "watch");
      for (const receiver of receivers) void this.#send(receiver, notice, { tries: 1, triesMax });
    }));
    this.#after(lookMs, () => void this.look());
  }

  end(): void {
    this.#ended = true;
    for (const cancel of this.#cancels) cancel();
  }

  async #send(
    receiver: Receiver,
    notice: Notice,
    { tries, triesMax }: { readonly tries: number; readonly triesMax: number },
  ): Promise<void> {
    try {
      await receiver.send(notice);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const isOver = tries >= triesMax;
      const text = isOver ? "Giving up a notice" : "A notice will be sent again";
      const facts = { receiver: receiver.name, reason, tries };
      this.#parts.log(isOver ? "error" : "warning", text, facts, "watch");
      if (!isOver) {
        const again = { tries: tries + 1, triesMax };
        this.#after(NOTIFY_RETRY_MS * 2 ** (tries - 1), () => void this.#send(receiver, notice, again));
      }
    }
  }

  #after(ms: number, task: () => void): void {
    if (this.#ended) return;
    const cancel = this.#parts.later(ms, () => {
      this.#cancels.delete(cancel);
      task();
    });
    this.#cancels.add(cancel);
  }
}
