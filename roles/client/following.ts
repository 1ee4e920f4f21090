/**
 * One cluster follows another (N5): every transaction of a source is copied to a backup under its own tid, in
 * order, as long as somebody runs this.
 *
 * A round: ask the backup's primary to be the one that copies (`follow` gives its last tid), ask the source for its newest tid, copy
 * what is between, wait for news. Whatever goes wrong, in one of the clusters or on the way, ends a round and nothing
 * else: the next one begins with what the backup has. Invariants: the backup holds a prefix of the source's history,
 * for each page begins with the backup's last transaction, which must still be there: a source that was truncated, or another
 * one, doesn't have it, as tids are never given twice; and a page counts only if no truncation came while it was read. What is still
 * to be copied isn't packed in the source while this copies, and for a while when it isn't let; what is packed there all the same,
 * before it ran or while its source didn't hear it, counts as packed in the backup before what is left of it is committed.
 */
import { DatabaseError } from "../../core/errors.ts";
import { hexOf, ZERO_TID } from "../../core/ids.ts";
import type { Oid, Tid } from "../../core/ids.ts";
import {
  FOLLOW_AGAIN_MS,
  FOLLOW_COMMITS_MAX,
  FOLLOW_HOLDS_MS,
  FOLLOW_OBJECTS_MAX,
  FOLLOW_SOURCE_MS,
  FOLLOW_TRANSACTIONS_AHEAD,
  PAGE_TRANSACTIONS,
} from "../../core/limits.ts";
import type { TransactionInfo } from "../../core/messages.ts";
import type { Caller, Calling, PublishListener } from "./caller.ts";
import type { Calls, Write } from "./calls.ts";
import { revisionsMade } from "./made.ts";
import type { Made } from "./made.ts";
import { partsOf } from "./values.ts";

/** How far a backup has come. */
export interface FollowProgress {
  /** The newest transaction that the backup has. */
  readonly lastTid: Tid;
  /** The newest one of its source, as far as it is known. */
  readonly newest: Tid | null;
  /** What stands in the way; empty: nothing. */
  readonly problem: string;
}

/** How one cluster follows another. */
export interface FollowOptions {
  /** Name of the source: a backup of another cluster isn't followed for. */
  readonly of: string;
  /** Ends it, between two transactions. */
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: FollowProgress) => void;
}

/** A client of the source, which tells when something is published, and the source what mustn't be packed there. */
export type Source = Calling & Required<Pick<Calling, "openSnapshots">> & {
  onPublish(listener: PublishListener): () => void;
};

/** A client of the backup. */
export type Own = Calling & Pick<Caller, "draft" | "discard">;

/** A transaction of the source. A value in parts stays there until it is copied part by part. */
interface Copied {
  readonly info: TransactionInfo;
  readonly revisions: readonly Made[];
}

/**
 * Copies a source to a backup until `signal` ends it.
 *
 * @param own a client of the backup, which copies nothing while its cluster is none, or another one copies
 * @throws the signal's reason, and UnreachableError (`lost`) when one of the clients was closed
 */
export async function follow(own: Own, source: Source, options: FollowOptions): Promise<never> {
  return await new Follower(own, source, options).run();
}

class Follower {
  #own: Own;
  #source: Source;
  #options: FollowOptions;
  #last = ZERO_TID;
  #holds = false; // whether what isn't copied yet mustn't be packed in the source
  #packed = ZERO_TID; // up to here the backup counts its source as packed
  #newest: Tid | null = null;
  #problem = "";
  #failures = 0; // rounds that failed one after another
  #heard = ZERO_TID; // published since the source was asked
  #wake = (): void => {};

  constructor(own: Own, source: Source, options: FollowOptions) {
    this.#own = own;
    this.#source = source;
    this.#options = options;
  }

  async run(): Promise<never> {
    const unlisten = this.#source.onPublish((tid) => {
      if (tid > this.#heard) this.#heard = tid;
      this.#wake();
    });
    const floor = (): Tid | null => this.#holds ? this.#last : null;
    this.#source.openSnapshots.add(floor);
    try {
      for (;;) {
        this.#problem = await this.#tried();
        await this.#tell();
        await this.#wait();
      }
    } finally {
      unlisten();
      this.#source.openSnapshots.delete(floor);
    }
  }

  /** Does a round; gives what went wrong. */
  async #tried(): Promise<string> {
    try {
      await this.#round();
      this.#failures = 0;
      return "";
    } catch (error) {
      this.#options.signal.throwIfAborted();
      if (!(error instanceof DatabaseError) || error.code === "lost") throw error;
      this.#failures += 1;
      // packs needn't wait for somebody to see to it
      if (this.#failures * FOLLOW_AGAIN_MS >= FOLLOW_HOLDS_MS) this.#holds = false;
      return error.message;
    }
  }

  async #round(): Promise<void> {
    const { signal } = this.#options;
    const { lastTid, of } = await this.#admitted();
    this.#last = lastTid;
    this.#holds = true;
    if (of !== this.#options.of) {
      const text =
        `Cannot follow ${this.#options.of}: this cluster is a backup of ${of}; set the right upstream`;
      throw new DatabaseError("wrongCluster", text);
    }
    const newest = await this.#newestThere();
    const { clusterId } = await this.#own.call("view", {}, { signal });
    if (clusterId === (await this.#source.call("view", {}, { signal })).clusterId) {
      throw new DatabaseError("wrongCluster", "Cannot follow this cluster: it is the backup itself");
    }
    this.#newest = newest;
    this.#heard = newest;
    if (newest < this.#last) return await this.#forked();
    while (this.#last < newest) {
      await this.#copyPage(newest);
      if (this.#last < newest) await this.#tell();
    }
  }

  async #newestThere(): Promise<Tid> {
    const { signal } = this.#options;
    try {
      return (await this.#source.call("sync", {}, { signal, withinMs: FOLLOW_SOURCE_MS })).lastTid;
    } catch (error) {
      if (!(error instanceof DatabaseError) || error.code === "lost") throw error;
      throw new DatabaseError(error.code, `Cannot follow: the source doesn't answer (${error.message})`);
    }
  }

  /** Waits until this client may copy. If that takes long another one does, or nobody can: packs don't wait for it any more. */
  async #admitted(): Promise<Calls["follow"]["result"]> {
    for (;;) {
      try {
        const options = { signal: this.#options.signal, withinMs: FOLLOW_HOLDS_MS };
        return await this.#own.call("follow", {}, options);
      } catch (error) {
        if (!(error instanceof DatabaseError) || error.code !== "timedOut") throw error;
        this.#holds = false;
      }
    }
  }

  async #copyPage(upTo: Tid): Promise<void> {
    const { signal } = this.#options;
    const last = this.#last;
    const { truncations } = await this.#source.call("view", {}, { signal });
    const after = last === ZERO_TID ? last : last - 1n as Tid;
    const range = { after, upTo, count: PAGE_TRANSACTIONS };
    const page = await this.#source.call("transactions", range, { signal });
    const now = await this.#source.call("view", {}, { signal });
    if (now.truncations !== truncations) return; // the page may be of two histories
    const infos = [...page.transactions];
    if (last !== ZERO_TID && infos.shift()?.tid !== last) return await this.#forked();
    const { packBound } = now;
    if (packBound > last) await this.#followPack(packBound);
    await this.#commitAll(this.#read(infos));
    this.#last = page.upTo;
  }

  /**
   * Commits several at once, each of which waits at the primary for the one before it. If one fails, those behind it don't come.
   * Two that write the same object aren't on their way together: the later one might hold what the earlier one needs.
   */
  async #commitAll(transactions: AsyncIterable<Copied>): Promise<void> {
    const failed = new AbortController();
    const signal = AbortSignal.any([this.#options.signal, failed.signal]);
    const committing: { readonly done: Promise<Tid>; readonly oids: readonly Oid[] }[] = [];
    const held = new Set<Oid>();
    const first = async (): Promise<void> => {
      const { done, oids } = committing.shift()!;
      this.#last = await done;
      for (const oid of oids) held.delete(oid);
    };
    let behind = this.#last;
    try {
      for await (const transaction of transactions) {
        const oids = transaction.revisions.map(({ oid }) => oid);
        const isLarge = transaction.revisions.some(({ parts }) => parts !== undefined);
        while (committing.length > 0 && (isLarge || oids.some((oid) => held.has(oid)))) await first();
        const draft = isLarge ? await this.#partsOf(transaction, signal) : undefined;
        const done = this.#commit(transaction, { behind, signal, draft });
        done.catch(() => undefined); // whoever awaits it hears of it
        committing.push({ done, oids });
        for (const oid of oids) held.add(oid);
        behind = transaction.info.tid;
        while (
          committing.length >= FOLLOW_COMMITS_MAX || (held.size > FOLLOW_OBJECTS_MAX && committing.length > 0)
        ) {
          await first();
        }
      }
      while (committing.length > 0) await first();
    } catch (error) {
      failed.abort(error);
      throw error;
    }
  }

  /** Transactions with their revisions; some are read while others are committed. */
  async *#read(infos: readonly TransactionInfo[]): AsyncGenerator<Copied> {
    const reading: Promise<Copied>[] = [];
    let objects = 0;
    for (const info of infos) {
      const one = this.#revisionsOf(info);
      one.catch(() => undefined); // whoever awaits it hears of it
      reading.push(one);
      objects += info.oids.length;
      while (
        reading.length > FOLLOW_TRANSACTIONS_AHEAD || (objects > FOLLOW_OBJECTS_MAX && reading.length > 0)
      ) {
        const next = await reading.shift()!;
        objects -= next.info.oids.length;
        yield next;
      }
    }
    for (const one of reading) yield await one;
  }

  /** What was packed in the source isn't missed: the backup counts it as packed as well. */
  async #revisionsOf(info: TransactionInfo): Promise<Copied> {
    let bound = ZERO_TID;
    const onPacked = (one: Tid): void => {
      if (one > bound) bound = one;
    };
    const revisions = await revisionsMade(this.#source, info, { signal: this.#options.signal, onPacked });
    await this.#followPack(bound);
    return { info, revisions };
  }

  async #followPack(tid: Tid): Promise<void> {
    if (tid <= this.#packed) return;
    await this.#own.call("followPack", { tid }, { signal: this.#options.signal });
    if (tid > this.#packed) this.#packed = tid;
  }

  /** Brings the parts of a transaction's large values; gives the number under which its commit finds them. */
  async #partsOf({ info: { tid }, revisions }: Copied, signal: AbortSignal): Promise<number> {
    const draft = this.#own.draft();
    try {
      for (const { oid, parts } of revisions) {
        if (parts === undefined) continue;
        for await (const data of partsOf(this.#source, { oid, tid, parts }, { signal })) {
          await this.#own.call("part", { draft, oid, data, ageMs: undefined }, { signal });
        }
      }
      return draft;
    } catch (error) {
      this.#own.discard(draft);
      throw error;
    }
  }

  /** Calls at once: who is called first is first. */
  async #commit(
    { info, revisions }: Copied,
    { behind, signal, draft }: {
      readonly behind: Tid;
      readonly signal: AbortSignal;
      readonly draft: number | undefined;
    },
  ): Promise<Tid> {
    const { tid, user, description, extension } = info;
    const writes = revisions.map(({ oid, data, link, parts }): Write => ({
      oid,
      base: ZERO_TID,
      data,
      ...(link === null ? {} : { link }),
      ...(parts === undefined ? {} : { streamed: true }),
    }));
    const status = info.status === "p" ? "p" : " ";
    const note = { user, description, extension, status, restoreTid: tid, behind };
    try {
      const parts = draft === undefined ? {} : { draft };
      await this.#own.call("commit", { writes, checks: [], ...note, ...parts }, { signal });
      return tid;
    } catch (error) {
      if (!(error instanceof DatabaseError) || error.code !== "tidTaken") throw error;
      const why = `transaction ${hexOf(tid)} is below tids that were given here before a truncation`;
      throw new DatabaseError("tidTaken", `Cannot follow: ${why}; begin the backup anew`, { cause: error });
    }
  }

  /** The backup has transactions that the source hasn't. Which is right, only an operator knows. */
  async #forked(): Promise<never> {
    const common = await this.#lastCommon();
    const hint = common === ZERO_TID
      ? "they have nothing in common: begin the backup anew"
      : `they part behind ${hexOf(common)}: to follow, \`neo cluster truncate --to ${
        hexOf(common)
      }\` here; to keep what is here, \`neo cluster promote\``;
    throw new DatabaseError(
      "tidTaken",
      `Cannot follow: transaction ${hexOf(this.#last)} isn't in the source; ${hint}`,
    );
  }

  /** The newest transaction that both have, by halving: what they have in common is a prefix of both. */
  async #lastCommon(): Promise<Tid> {
    const first = async (of: Calling, after: bigint, upTo: bigint): Promise<Tid | undefined> => {
      const range = { after: after as Tid, upTo: upTo as Tid, count: 1 };
      return (await of.call("transactions", range, { signal: this.#options.signal })).transactions[0]?.tid;
    };
    let common: bigint = ZERO_TID;
    for (let differs: bigint = this.#last; differs - common > 1n;) {
      const middle = common + (differs - common) / 2n;
      const ours = await first(this.#own, middle - 1n, differs - 1n);
      if (ours === undefined) differs = middle;
      else if (await first(this.#source, ours - 1n, ours) === ours) common = ours;
      else differs = ours;
    }
    return common as Tid;
  }

  async #tell(): Promise<void> {
    const said = { newest: this.#newest, problem: this.#problem };
    this.#options.onProgress?.({ lastTid: this.#last, ...said });
    await this.#own.call("followed", said, { signal: this.#options.signal }).catch((error) => {
      this.#options.signal.throwIfAborted();
      if (!(error instanceof DatabaseError) || error.code === "lost") throw error; // no primary: there is nobody to tell
    });
  }

  /** Until there is news, or something may be other than it was. */
  async #wait(): Promise<void> {
    const { signal } = this.#options;
    const news = new AbortController();
    this.#wake = () => {
      if (this.#heard > this.#last && this.#problem === "") news.abort();
    };
    this.#wake();
    try {
      const either = AbortSignal.any([signal, news.signal]);
      await this.#own.call("elapse", {}, { withinMs: FOLLOW_AGAIN_MS, signal: either });
    } catch (error) {
      signal.throwIfAborted();
      if (!news.signal.aborted) throw error;
    } finally {
      this.#wake = () => {};
    }
  }
}
