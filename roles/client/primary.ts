/** What a commit asks its primary: for the newest table, to finish, and what became of it. */
import type { HeldObject } from "../../core/evidence.ts";
import type { Conn, Oid } from "../../core/ids.ts";
import { tell } from "../../core/machine.ts";
import type { Body, WireError } from "../../core/messages.ts";
import type { Running } from "./plan.ts";
import type { Site } from "./site.ts";

/** Asks for a word of the primary, behind which the newest table is here. */
export function askForTable(site: Site, { id: call, ttid, untilMs }: Running): void {
  const { primary, now } = site;
  const context = { of: "catchUp", call, ttid } as const;
  if (primary !== undefined) {
    site.ask(primary, "sync", {}, { context, withinMs: Math.max(untilMs - now.monoMs, 1) });
  }
}

/** Asks to commit. The question outlasts its caller: its answer is the only word on what becomes of it. */
export function askToFinish(site: Site, running: Running): void {
  const { primary, now } = site;
  const { id: call, ttid, untilMs } = running;
  const withinMs = Math.max(untilMs - now.monoMs, 1) + site.outcomeWaitMs;
  const context = { of: "finish", call, ttid } as const;
  if (primary !== undefined) site.ask(primary, "finish", finishOf(running), { context, withinMs });
}

/** Asks what became of a commit whose answer was lost; without a primary, the next one is asked. */
export function askForOutcome(site: Site, { id: call, ttid, home, untilMs }: Running): void {
  const { primary, now } = site;
  const context = { of: "outcome", call, ttid } as const;
  const withinMs = Math.max(untilMs - now.monoMs, 1);
  if (primary !== undefined) site.ask(primary, "outcome", { ttid, home }, { context, withinMs });
}

/** What the primary is told of a commit. */
function finishOf({ ttid, home, commit, items, voters, sent }: Running): Body<"finish"> {
  const all = [...voters.values()];
  const oids = (mode: HeldObject["mode"]): Oid[] =>
    [...items.values()].flatMap((item) => (item.mode === mode ? [item.oid] : []));
  return {
    ttid,
    home,
    explicit: commit.restoreTid ?? null,
    behind: commit.behind ?? null,
    stored: oids("store"),
    checked: oids("check"),
    evidence: all.flatMap(({ evidence, state }) => (evidence && state === "voted" ? [evidence] : [])),
    sent: [...sent],
    failed: all.flatMap(({ node, state, failedSession }) =>
      state === "failed" ? [{ node, session: failedSession }] : []
    ),
  };
}

/** Tells the storages on these connections that nothing of a transaction is wanted, and the primary, which tells the others. */
export function tellAborted(site: Site, { ttid, sent }: Running, conns: readonly Conn[]): void {
  if (conns.length > 0) site.emit(tell(conns, "abort", { ttid, epoch: 0, nodes: [] }));
  if (site.primary === undefined || sent.size === 0) return;
  site.emit(tell(site.primary, "abort", { ttid, epoch: 0, nodes: [...sent] }));
}

/** Begins a new session: the present one ends with its connection. */
export function endSession(site: Site, why: string): void {
  if (site.primary === undefined) return;
  const message = `${why}: a new session is begun`;
  const error: WireError = { code: "sessionEnded", message, detail: { session: site.view.session } };
  site.emit({ do: "close", conn: site.primary, error });
}
