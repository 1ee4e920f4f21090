/**
 * Programs that follow the change feed (`changes()`), for as long as a client's process lives; the next one goes on behind
 * the last change that was seen. The feed is made of promises: who runs a seed lets them settle after each step that
 * touched one (`World.owes`), so that a run with feeds is one history too.
 */
import type { Tid } from "../../core/ids.ts";
import type { Listening, PublishListener } from "../../roles/client/caller.ts";
import type { CallName, Calls } from "../../roles/client/calls.ts";
import { changesOf } from "../../roles/client/changes.ts";
import type { Change, Feeding } from "../../roles/client/changes.ts";
import type { ChangeRecord, History } from "./history.ts";
import type { SimRandom } from "./random.ts";
import type { Outcome, Session } from "./sessions.ts";
import type { World } from "./world.ts";

/** How long one call of a feed may take before it is made again. */
const CALL_MS = 30_000;
/** How long a slow consumer looks at one change. */
const SLOW_MS_MAX = 3_000;

/** What a reader needs. */
export interface FeedPorts {
  readonly client: string;
  readonly world: World;
  readonly random: SimRandom;
  readonly history: History;
}

/** Follows the changes of a cluster over all processes of one client. */
export class FeedReader {
  readonly #ports: FeedPorts;
  #record: ChangeRecord | undefined;

  constructor(ports: FeedPorts) {
    this.#ports = ports;
  }

  /** The last tid that was seen; undefined: none yet. */
  get last(): Tid | undefined {
    return this.#record?.entries.at(-1)?.tid ?? this.#record?.since;
  }

  /** A process has begun: it reads what comes behind that which was seen; the first one begins with what is newest then. */
  follow(session: Session): void {
    if (this.#record !== undefined) return this.#begin(session, this.#record);
    session.ask("sync", {}, CALL_MS, (outcome) => {
      if (!outcome.ok) return this.follow(session);
      this.#record = { client: this.#ports.client, since: outcome.result.lastTid, entries: [] };
      this.#ports.history.changes.push(this.#record);
      this.#begin(session, this.#record);
    });
  }

  #begin(session: Session, record: ChangeRecord): void {
    this.#ports.world.owe();
    void this.#read(session, record);
  }

  async #read(session: Session, record: ChangeRecord): Promise<void> {
    const { world, random, history, client } = this.#ports;
    const feeding = feedingOf(session, world);
    const since = record.entries.at(-1)?.tid ?? record.since;
    try {
      for await (const { tid, oids } of changesOf(feeding, { since })) {
        if (session.isOver) return;
        record.entries.push({ tid, oids });
        if (random.chance(0.05)) await later(world, random.between(0, SLOW_MS_MAX));
      }
    } catch (error) {
      const isClosed = (error as Error).message.endsWith("this client is closed");
      if (!session.isOver && !isClosed) {
        history.breach(`${client}: its change feed ended: ${(error as Error).message}`);
      }
    }
  }
}

/** What a feed sees of a client's process. */
function feedingOf(session: Session, world: World): Feeding {
  const call = <N extends CallName>(name: N, request: Calls[N]["request"]): Promise<Calls[N]["result"]> =>
    new Promise((resolve, reject) => {
      session.ask(name, request, CALL_MS, (outcome: Outcome<N>) => {
        world.owe();
        if (outcome.ok) resolve(outcome.result);
        else reject(outcome.error);
      });
    });
  const listen = (listener: Listening): () => void => {
    const owing: Listening = {
      published: published(listener.published, world),
      ended: (error) => {
        world.owe();
        listener.ended?.(error);
      },
    };
    session.listeners.add(owing);
    return () => session.listeners.delete(owing);
  };
  return { call, listen };
}

function published(tell: PublishListener, world: World): PublishListener {
  return (tid: Tid, oids: Change["oids"] | null) => {
    world.owe();
    tell(tid, oids);
  };
}

function later(world: World, ms: number): Promise<void> {
  return new Promise((resolve) =>
    world.after(ms, () => {
      world.owe();
      resolve();
    })
  );
}
