/** Runs one machine of a process: on a transport that listens, and with a store if it keeps something. */
import type { LogLine } from "../adapters/log.ts";
import { SystemClock } from "../adapters/system.ts";
import type { WireError } from "../core/messages.ts";
import type { Store, Transport } from "../core/ports.ts";
import { Host } from "../roles/host.ts";
import type { HostedMachine } from "../roles/host.ts";
import type { PeersOptions } from "../roles/peer.ts";
import type { SettingsOutput } from "../roles/settings.ts";

/** A node that listens. */
export interface RunningNode {
  /** Where it listens. */
  readonly address: string;
  /** How it ended: in order without `error`. Never rejects. */
  readonly done: Promise<{ readonly error?: string }>;
  /** Asks it to end in order. */
  terminate(): void;
}

/** Where a node listens, and whom it tells what it does. */
export interface Listening {
  readonly address: string;
  readonly transport: Transport;
  readonly log: LogLine;
  /** Takes what a node's machine says to whoever runs it. */
  readonly output?: (output: SettingsOutput) => void;
}

/** A machine, and whom it serves. */
export interface Built<C, W, Q, R, A, O> {
  readonly machine: HostedMachine<C, W, Q, R, A, never, O>;
  readonly peers: PeersOptions;
}

/** Listens, then runs what `build` makes of the address. The store is closed whatever goes wrong. */
export async function hosted<C, W, Q, R, A, O extends SettingsOutput>(
  { address: wanted, transport, log, output = () => {} }: Listening,
  store: Store<W, Q, A> | undefined,
  build: (address: string) => Built<C, W, Q, R, A, O>,
): Promise<RunningNode> {
  try {
    const address = await transport.listen(wanted);
    const { machine, peers } = build(address);
    let ended: (result: { readonly error?: string }) => void;
    const done = new Promise<{ readonly error?: string }>((resolve) => ended = resolve);
    const stopped = (error?: WireError) => ended(error === undefined ? {} : { error: error.message });
    const ports = {
      clock: new SystemClock(),
      transport,
      log,
      output: (said: O) => output(said as SettingsOutput),
      stopped,
      ...(store && { store }),
    };
    const host = new Host(machine, ports, peers);
    return { address, done, terminate: () => host.terminate() };
  } catch (error) {
    await transport.shutdown();
    await store?.close();
    throw error;
  }
}
