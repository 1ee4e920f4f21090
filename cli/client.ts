/** A client of a cluster, for one command. */
import process from "node:process";
import { connect } from "../mod.ts";
import type { CallName, Calls } from "../roles/client/calls.ts";
import type { Target } from "./target.ts";

/** How long a command waits until the cluster lets it in. */
const CONNECT_WITHIN_MS = 15_000;

/** What commands need of a client; tests have their own. */
export interface CallClient {
  /** @throws DatabaseError saying what stood in the way */
  call<N extends CallName>(name: N, request: Calls[N]["request"]): Promise<Calls[N]["result"]>;
}

/**
 * Runs `work` with a client that the cluster has let in, and closes it, whatever happens.
 *
 * @throws UnreachableError when it doesn't let us in in time, RefusedError when it never will
 */
export async function withClient<T>(target: Target, work: (client: CallClient) => Promise<T>): Promise<T> {
  const client = await connect(target.uri, { withinMs: CONNECT_WITHIN_MS, name: `neo-cli-${process.pid}` });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}
