/** A whole cluster in this process, in a folder that goes away with it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LogLine } from "../adapters/log.ts";
import { systemRandom } from "../adapters/system.ts";
import { processesOf, uriOf } from "./config.ts";
import type { ClusterConfig } from "./config.ts";
import type { RunningNode } from "./hosting.ts";
import { newConfig } from "./new_config.ts";
import { openNode } from "./nodes.ts";
import type { Plan } from "./plan.ts";
import { findPorts } from "./ports.ts";
import { provision } from "./provision.ts";

/** A cluster that runs here. */
export class EmbeddedCluster {
  readonly config: ClusterConfig;
  /** Where clients find it, in this process and in others. */
  readonly uri: string;
  /** What stood in a node's way, once one couldn't go on. */
  readonly failure: Promise<string>;
  readonly #parent: string;
  readonly #nodes: readonly RunningNode[];

  private constructor(config: ClusterConfig, parent: string, nodes: readonly RunningNode[]) {
    this.config = config;
    this.uri = uriOf(config);
    this.#parent = parent;
    this.#nodes = nodes;
    this.failure = new Promise((resolve) => {
      for (const { done } of nodes) void done.then(({ error }) => error === undefined || resolve(error));
    });
  }

  /** Makes the folder with its databases and runs all nodes. */
  static async open(name: string, plan: Plan, log: LogLine): Promise<EmbeddedCluster> {
    const parent = mkdtempSync(join(tmpdir(), "neo-"));
    const nodes: RunningNode[] = [];
    try {
      const config = await configOf(name, plan, join(parent, name));
      await provision(config);
      for (const node of processesOf(config).flatMap(({ nodes }) => nodes)) {
        nodes.push(await openNode(node, config, { log }));
      }
      return new EmbeddedCluster(config, parent, nodes);
    } catch (error) {
      await endAll(nodes);
      rmSync(parent, { recursive: true, force: true });
      throw error;
    }
  }

  /** Ends all nodes in order and removes the folder. */
  async close(): Promise<void> {
    await endAll(this.#nodes);
    this.remove();
  }

  /** Removes the folder, whatever still runs. */
  remove(): void {
    rmSync(this.#parent, { recursive: true, force: true });
  }
}

async function configOf(name: string, plan: Plan, folder: string): Promise<ClusterConfig> {
  const ports = await findPorts(plan.nodes.length, undefined, systemRandom());
  return newConfig(plan, { folder, cluster: name, ports });
}

async function endAll(nodes: readonly RunningNode[]): Promise<void> {
  for (const node of nodes) node.terminate();
  await Promise.all(nodes.map(({ done }) => done));
}
