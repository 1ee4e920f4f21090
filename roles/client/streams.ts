/**
 * Values that a program streams into a transaction before it commits. Their parts go to the storages as they come, under
 * the transaction's ttid, and are kept nowhere else; so a storage or a session that is lost meanwhile takes them with it, and
 * the transaction is given up: its program runs it again.
 */
import { AbortedError, type DatabaseError, UnreachableError } from "../../core/errors.ts";
import { PART_WINDOW_BYTES } from "../../core/limits.ts";
import type { Calls } from "./calls.ts";
import { storedOf } from "./plan.ts";
import type { Running } from "./plan.ts";
import { errorOf } from "./site.ts";
import type { Site } from "./site.ts";
import type { Votes } from "./votes.ts";

/** Why a transaction with streamed values can't go on. */
export function partsLost(why: string): AbortedError {
  return new AbortedError(`Cannot commit: parts of its streamed values are lost, ${why}; run it again`);
}

/** The streamed values of transactions that aren't committed yet. */
export class Streams {
  #site: Site;
  #votes: Votes;

  constructor(site: Site, votes: Votes) {
    this.#site = site;
    this.#votes = votes;
  }

  /** Takes the next part of a value; its call is settled when more may come. */
  take(running: Running, call: number, { oid, data }: Calls["part"]["request"], untilMs: number): void {
    if (running.refusal) return this.#site.fail(call, running.refusal);
    let stream = running.streams.get(oid);
    if (!stream) running.streams.set(oid, stream = { size: 0, checksums: [] });
    const part = storedOf(data, this.#site.ports);
    const seq = stream.checksums.push(part.checksum) - 1;
    stream.size += data.length;
    running.flowing.push(call);
    running.untilMs = untilMs;
    if (this.#votes.spreadPart(running, oid, seq, part)) return this.flow(running);
    this.end(running, nowhere(running));
  }

  /** Storages have answered, or failed: the program may give more, or hears that it is in vain. */
  flow(running: Running): void {
    if (running.refusal) return this.end(running, running.refusal);
    const isFull = [...running.voters.values()].some(({ state, unanswered }) =>
      state !== "failed" && unanswered > PART_WINDOW_BYTES
    );
    if (isFull) return;
    for (const call of running.flowing.splice(0)) this.#site.settle(call, {});
    running.untilMs = Infinity; // nobody waits for it
  }

  /** Nobody waits for a part any more: what the storages have isn't what was read from its source. False: it is none. */
  cancel(call: number, all: Iterable<Running>): boolean {
    for (const running of all) {
      if (!running.flowing.includes(call)) continue;
      this.end(running, new AbortedError("Cannot store a part of a value: its caller has given it up"));
      return true;
    }
    return false;
  }

  /** It can't be committed any more; whoever waits for it hears of it now, whoever comes later then. */
  end(running: Running, error: DatabaseError): void {
    running.refusal = error;
    for (const call of running.flowing.splice(0)) this.#site.fail(call, error);
    running.untilMs = Infinity;
  }
}

/** Why no storage takes a part: a full disk is the program's affair, what can't be reached may come back. */
function nowhere({ voters }: Running): DatabaseError {
  const problems = [...voters.values()].flatMap(({ problem }) => (problem ? [problem] : []));
  const full = problems.find(({ code }) => code === "noSpace");
  if (full) return errorOf(full);
  const why = problems[0] ? `: ${problems[0].message}` : "";
  return new UnreachableError(`Cannot store a part of a value: no readable copy of it is there${why}`);
}
