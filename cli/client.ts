/** A client of a cluster, for one command. */
import process from "node:process";
import { CLI_CONNECT_MS } from "../core/limits.ts";
import { connect } from "../mod.ts";
import type { CallName, Calls } from "../roles/client/calls.ts";
import { operatorsOf } from "./ask.ts";
import { processesOf } from "./config.ts";
import type { World } from "./context.ts";
import { runningPidOf } from "./daemons.ts";
import { CliError } from "./exit.ts";
import { Interrupt } from "./interrupt.ts";
import { quoted } from "./next.ts";
import type { Target } from "./target.ts";

/** What commands need of a client; tests have their own. */
export interface CallClient {
  /** @throws DatabaseError saying what stood in the way */
  call<N extends CallName>(name: N, request: Calls[N]["request"]): Promise<Calls[N]["result"]>;
}

/** There is no use in waiting for a cluster of this machine of which no process runs. */
function checkRuns(target: Target): void {
  if (
    target.kind !== "folder" || processesOf(target.config).some((group) => runningPidOf(group) !== undefined)
  ) return;
  const hint = `start it: neo start -C ${quoted(target.config.folder)}`;
  throw new CliError("notRunning", `Cannot reach cluster ${target.config.cluster}: it isn't running`, {
    hint,
  });
}

/**
 * Runs `work` with a client that the cluster has let in, and closes it, whatever happens. Ctrl-C closes it too, so that
 * what `work` waits for fails and it can clean up.
 *
 * @throws CliError (`notRunning`) when it is a cluster of this machine that doesn't run, (`interrupted`) after Ctrl-C
 * @throws UnreachableError when the cluster doesn't let us in in time, RefusedError when it never will
 */
export async function withClient<T>(
  target: Target,
  world: World,
  work: (client: CallClient) => Promise<T>,
): Promise<T> {
  checkRuns(target);
  const interrupt = new Interrupt(world);
  const atOnce = interrupt.second.then(() => Promise.reject(interrupted()));
  try {
    return await Promise.race([connected(target, interrupt, work), atOnce]);
  } catch (error) {
    throw interrupt.came ? interrupted() : error;
  } finally {
    interrupt.off();
  }
}

async function connected<T>(
  target: Target,
  interrupt: Interrupt,
  work: (client: CallClient) => Promise<T>,
): Promise<T> {
  const tls = operatorsOf(target);
  const options = { withinMs: CLI_CONNECT_MS, name: `neo-cli-${process.pid}`, ...(tls && { tls }) };
  const stopped = interrupt.first.then(() => Promise.reject(interrupted()));
  const client = await Promise.race([connect(target.uri, options), stopped]);
  void interrupt.first.then(() => client.close());
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

function interrupted(): CliError {
  return new CliError("interrupted", "the command was ended before it was done");
}
