/** Runs one machine of a process: on a transport that listens, and with a store if it keeps something. */
import { serveHttp } from "../adapters/http.ts";
import type { HttpServer } from "../adapters/http.ts";
import type { Log, LogLine } from "../adapters/log.ts";
import { SystemClock } from "../adapters/system.ts";
import type { WireError } from "../core/messages.ts";
import type { Store, Transport } from "../core/ports.ts";
import { Host } from "../roles/host.ts";
import type { HostedMachine } from "../roles/host.ts";
import { Meter } from "../roles/meter.ts";
import type { PeersOptions } from "../roles/peer.ts";
import { Recorder } from "../roles/recorder.ts";
import type { Trace } from "../roles/recorder.ts";
import type { SettingsOutput } from "../roles/settings.ts";
import type { NodeConfig } from "./config.ts";
import { pagesOf, tokenOf } from "./pages.ts";
import type { NodeFigures } from "./pages.ts";

/** A node that listens. */
export interface RunningNode {
  /** Where it listens. */
  readonly address: string;
  /** How it ended: in order without `error`. Never rejects. */
  readonly done: Promise<{ readonly error?: string }>;
  /** Asks it to end in order. */
  terminate(): void;
  /** Logs how it is, and what it has said and heard last. */
  dump(): void;
}

/** Where a node listens, and whom it tells what it does. */
export interface Listening {
  readonly address: string;
  readonly transport: Transport;
  readonly log: LogLine;
  /** Takes what a node's machine says to whoever runs it. */
  readonly output?: (output: SettingsOutput) => void;
  /** The node, if it shows pages. */
  readonly node?: NodeConfig;
}

/** A machine, and whom it serves. */
export interface Built<C, W, Q, R, A, O> {
  readonly machine: HostedMachine<C, W, Q, R, A, never, O>;
  readonly peers: PeersOptions;
  /** What the node shows of its role, if it has pages. */
  readonly figures?: () => NodeFigures;
}

/** Listens, then runs what `build` makes of the address. The store is closed whatever goes wrong. */
export async function hosted<C, W, Q, R, A, O extends SettingsOutput>(
  { address: wanted, transport, log, node, output = () => {} }: Listening,
  store: Store<W, Q, A> | undefined,
  build: (address: string) => Built<C, W, Q, R, A, O>,
): Promise<RunningNode> {
  try {
    const address = await transport.listen(wanted);
    const { machine, peers, figures } = build(address);
    const recorder = new Recorder(traceOf(log));
    const clock = new SystemClock();
    const meter = node?.http === undefined ? undefined : new Meter();
    const pages = await pagesFor(node, meter, figures);
    let ended: (result: { readonly error?: string }) => void;
    const done = new Promise<{ readonly error?: string }>((resolve) => ended = resolve);
    const stopped = (error?: WireError) => ended(error === undefined ? {} : { error: error.message });
    const ports = {
      clock,
      recorder,
      transport,
      log,
      output: (said: O) => output(said as SettingsOutput),
      stopped,
      ...(store && { store }),
      ...(meter && { meter }),
    };
    if (pages) log("info", "Pages are served over HTTP", { address: pages.address });
    const host = new Host(machine, ports, peers);
    void done.then(() => pages?.close());
    const dump = (): void => {
      const { ready, state, details } = figures?.() ?? { ready: true, state: "running", details: {} };
      log("info", "State", { ready, state, ...details });
      for (const said of recorder.report(clock.now().monoMs)) log("info", "Said last", { ...said });
    };
    return { address, done, terminate: () => host.terminate(), dump };
  } catch (error) {
    await transport.shutdown();
    await store?.close();
    throw error;
  }
}

/** What goes by, in the log, if that is wanted there. */
function traceOf(log: LogLine & Partial<Pick<Log, "wants">>): Trace {
  return {
    wants: (module) => log.wants?.("debug", module) ?? false,
    say: (module, text, facts) => log("debug", text, facts, module),
  };
}

/** Serves the pages of a node that has any. */
async function pagesFor(
  node: NodeConfig | undefined,
  meter: Meter | undefined,
  figures: (() => NodeFigures) | undefined,
): Promise<HttpServer | undefined> {
  if (node?.http === undefined || !meter || !figures) return undefined;
  const token = tokenOf(node);
  const pages = pagesOf(node, figures, () => meter.families());
  return await serveHttp({ address: node.http, pages, ...(token === undefined ? {} : { token }) });
}
