/** Nodes that live in a program's process, for the program alone: what `connect({ directory })` and `{ memory }` run. */
import type { LogLine } from "../adapters/log.ts";
import { MemoryNetwork } from "../adapters/memory_transport.ts";
import { SystemClock } from "../adapters/system.ts";
import { DatabaseError } from "../core/errors.ts";
import type { Transport } from "../core/ports.ts";
import type { RunningNode } from "./hosting.ts";

/** Nodes of one cluster on a network of their own; no port is opened. They begin and end together. */
export class EmbeddedNodes {
  readonly cluster: string;
  /** Addresses of the masters, for clients on this network. */
  readonly masters: readonly string[];
  /** Resolves when all have ended: with what stood in the way of one, unless they were asked to. Never rejects. */
  readonly ended: Promise<DatabaseError | undefined>;
  readonly #network: MemoryNetwork;
  readonly #nodes: RunningNode[] = [];
  #resolve: (error: DatabaseError | undefined) => void = () => {};
  #failure: DatabaseError | undefined;
  #ending: Promise<void> | undefined;

  constructor(cluster: string, masters: readonly string[]) {
    const clock = new SystemClock();
    this.cluster = cluster;
    this.masters = masters;
    this.#network = new MemoryNetwork({ soon: (task) => clock.soon(task) });
    this.ended = new Promise((resolve) => this.#resolve = resolve);
  }

  /** The transport of a node, or of the client. */
  transport(): Transport {
    return this.#network.transport();
  }

  /** Takes a node that runs: masters first, since they end first. */
  add(name: string, node: RunningNode): void {
    this.#nodes.push(node);
    void node.done.then(({ error }) => {
      if (error === undefined) return;
      const message = `Cannot go on: ${name} has failed: ${error}; connect again once that is repaired, `
        + "and look whether a commit without an answer is there";
      this.#failure ??= new DatabaseError("ioError", message);
      this.terminate();
    });
  }

  /** Asks all to end in order. */
  terminate(): void {
    this.#ending ??= this.#end();
  }

  /** A node that ends first leaves the others to do what it has told them. */
  async #end(): Promise<void> {
    for (const node of this.#nodes) {
      node.terminate();
      await node.done;
    }
    this.#resolve(this.#failure);
  }
}

/** The program's log, which hears which node speaks. */
export function logOf(name: string, log: LogLine): LogLine {
  return (level, text, facts, module) => log(level, text, { ...facts, node: name }, module);
}
