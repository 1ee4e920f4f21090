/** A cluster of real processes under load, while something is measured. */
import { monoMs, until } from "../../cli/wait.ts";
import { SimRandom } from "../simulation/random.ts";
import { checkCopies, problemsAfter } from "./checks.ts";
import { SoakCluster } from "./soak_cluster.ts";
import type { SoakShape } from "./soak_cluster.ts";
import { Writers } from "./writers.ts";

/** What takes longer than that, comes never. */
export const NEVER_MS = 120_000;
const WRITERS = 8;
const PARTITIONS = 24;
/** Load before and between losses. */
const LOAD_MS_MIN = 500;
const LOAD_MS_MAX = 2_000;

/** A cluster under load, while a part runs. */
export class Scene implements AsyncDisposable {
  readonly cluster: SoakCluster;
  readonly writers: Writers;
  readonly breaches: string[] = [];
  readonly facts: string[] = [];
  readonly #random: SimRandom;
  readonly #stack: AsyncDisposableStack;
  readonly #client: Awaited<ReturnType<SoakCluster["connect"]>>;

  private constructor(
    stack: AsyncDisposableStack,
    parts: {
      readonly cluster: SoakCluster;
      readonly client: Awaited<ReturnType<SoakCluster["connect"]>>;
      readonly writers: Writers;
      readonly random: SimRandom;
    },
  ) {
    this.#stack = stack;
    this.cluster = parts.cluster;
    this.#client = parts.client;
    this.writers = parts.writers;
    this.#random = parts.random;
  }

  static async set(shape: Pick<SoakShape, "masters" | "storages">, seed: number): Promise<Scene> {
    await using stack = new AsyncDisposableStack();
    const random = new SimRandom(seed, "bench");
    const whole = { ...shape, replicas: 1, partitions: PARTITIONS, smallDisk: false, clocks: false };
    const cluster = stack.use(await SoakCluster.started(whole, random.fork("network")));
    const client = stack.use(await cluster.connect({ name: "bench" }));
    const writers = await Writers.on(client, WRITERS);
    stack.defer(() => writers.abandon());
    return new Scene(stack.move(), { cluster, client, writers, random });
  }

  /** Lets writers work for a while. */
  async work(): Promise<void> {
    const ms = this.#random.between(LOAD_MS_MIN, LOAD_MS_MAX);
    const since = this.writers.acknowledged.length;
    const endMs = monoMs() + ms;
    await until(() => monoMs() >= endMs && this.writers.acknowledged.length > since, NEVER_MS);
  }

  /** The time from a moment, or from now on, until every writer has committed what it began after it. */
  resumed(sinceMs: number = monoMs()): Promise<number> {
    return this.writers.resumed(sinceMs, NEVER_MS);
  }

  /** Kills a node; gives the time until every writer commits again. */
  async killed(name: string): Promise<number> {
    const sinceMs = monoMs();
    await this.cluster.kill9(name);
    return await this.resumed(sinceMs);
  }

  /** Waits until nothing is wrong any more; gives how long that took. */
  async healthy(): Promise<number> {
    const beganMs = monoMs();
    this.breaches.push(...await problemsAfter(this.cluster, NEVER_MS));
    return monoMs() - beganMs;
  }

  /** Bytes that storages have sent each other. */
  copied(): number {
    const names = this.cluster.nodes("storage").map(({ name }) => name);
    const pairs = names.flatMap((from) => names.map((to) => [from, to] as const));
    return pairs.reduce((sum, [from, to]) => sum + this.cluster.network.bytes(from, to), 0);
  }

  /** Ends the load and compares what is there with what was promised. */
  async check(): Promise<void> {
    await this.writers.rest();
    await this.healthy();
    const lost = await this.writers.lost();
    if (lost.length > 0) {
      this.breaches.push(`${lost.length} acknowledged transactions are lost: ${lost.slice(0, 5)}`);
    }
    this.breaches.push(...await checkCopies(this.#client));
    this.facts.push(`${this.writers.acknowledged.length} acknowledged, ${lost.length} lost`);
  }

  /** What is to be told of it. */
  found(): { readonly facts: readonly string[]; readonly breaches: readonly string[] } {
    return { facts: this.facts, breaches: this.breaches };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}
