/** The follower of a backup: an admin whose `upstream` names another cluster copies what is committed there (N5). */
import { later } from "../adapters/system.ts";
import { DatabaseError } from "../core/errors.ts";
import { hexOf } from "../core/ids.ts";
import type { Tid } from "../core/ids.ts";
import { CALL_TIMEOUT_MS_MAX, FOLLOW_AGAIN_MS, FOLLOW_SOURCE_MS } from "../core/limits.ts";
import { parseUri } from "../core/uri.ts";
import { connect } from "../mod.ts";
import type { CallOptions, PublishListener } from "../roles/client/caller.ts";
import type { CallName, Calls } from "../roles/client/calls.ts";
import { lowestOf } from "../roles/client/floors.ts";
import { follow } from "../roles/client/following.ts";
import type { FollowProgress, Source } from "../roles/client/following.ts";
import type { Client } from "../roles/client/library.ts";
import type { FollowedClusters, RunningFollower } from "./nodes.ts";

/** Follows until it is ended, whatever happens to the clusters. */
export function startFollower(clusters: FollowedClusters): RunningFollower {
  const stop = new AbortController();
  const done = run(clusters, stop.signal);
  return {
    end: async () => {
      stop.abort();
      await done;
    },
  };
}

async function run(clusters: FollowedClusters, signal: AbortSignal): Promise<void> {
  const { log } = clusters;
  while (!signal.aborted) {
    try {
      await followed(clusters, signal);
    } catch (error) {
      if (signal.aborted) break;
      log("error", "Cannot follow: begins anew", { reason: String(error) });
      await paused(signal);
    }
  }
}

async function followed(clusters: FollowedClusters, signal: AbortSignal): Promise<never> {
  const { name, own, upstream, log } = clusters;
  const { tls } = own;
  const options = { name: `follower ${name}`, signal, withinMs: CALL_TIMEOUT_MS_MAX, ...(tls && { tls }) };
  await using here = await connect(own.uri, options);
  await using there = new LateSource(upstream, `backup by ${name}`, signal);
  let before = "";
  const onProgress = ({ lastTid, problem }: FollowProgress): void => {
    if (problem === before) return;
    before = problem;
    if (problem === "") log("info", "Follows again", { upstream, lastTid: hexOf(lastTid) });
    else log("warning", problem, { upstream, lastTid: hexOf(lastTid) });
  };
  return await follow(here, there, { of: parseUri(upstream).cluster, signal, onProgress });
}

/** The source, connected to when it is asked something first: it may not be there yet. */
class LateSource implements Source, AsyncDisposable {
  readonly #uri: string;
  readonly #name: string;
  readonly #signal: AbortSignal;
  readonly openSnapshots: Set<() => Tid | null> = new Set();
  readonly #listeners = new Set<PublishListener>();
  #opening: Promise<Client> | undefined;

  constructor(uri: string, name: string, signal: AbortSignal) {
    this.#uri = uri;
    this.#name = name;
    this.#signal = signal;
  }

  async call<N extends CallName>(
    name: N,
    request: Calls[N]["request"],
    options: CallOptions = {},
  ): Promise<Calls[N]["result"]> {
    return await (await this.#opened()).call(name, request, options);
  }

  onPublish(listener: PublishListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const client = await this.#opening?.catch(() => undefined);
    await client?.close();
  }

  #opened(): Promise<Client> {
    this.#opening ??= this.#open();
    this.#opening.catch(() => this.#opening = undefined); // the next call tries again
    return this.#opening;
  }

  async #open(): Promise<Client> {
    try {
      const options = { withinMs: FOLLOW_SOURCE_MS, signal: this.#signal, name: this.#name };
      const client = await connect(this.#uri, options);
      client.openSnapshots.add(() => lowestOf(this.openSnapshots));
      client.onPublish((tid, oids) => this.#listeners.forEach((listener) => listener(tid, oids)));
      return client;
    } catch (error) {
      if (error instanceof DatabaseError || this.#signal.aborted) throw error;
      throw new DatabaseError("ioError", error instanceof Error ? error.message : String(error), {
        cause: error,
      });
    }
  }
}

function paused(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const cancel = later(FOLLOW_AGAIN_MS, resolve);
    signal.addEventListener("abort", () => {
      cancel();
      resolve();
    }, { once: true });
  });
}
