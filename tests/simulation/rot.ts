/**
 * Bits that turn on a disk (N8, X5). Only rows turn of which another storage has a whole copy, and each object's once: so it
 * must be possible to make all of them anew. Storages of such a cluster look for broken rows all the time.
 */
import type { Oid, Tid } from "../../core/ids.ts";
import { MAX_TID, toTid } from "../../core/ids.ts";
import type { StoredData } from "../../core/ports.ts";
import type { Cluster } from "./cluster.ts";
import { simDigest } from "./digest.ts";
import type { SimRandom } from "./random.ts";

/** Pauses between two bits. */
const PAUSE_MS_MIN = 200;
const PAUSE_MS_MAX = 4_000;

/** How often storages of such a cluster look at all their rows. */
export const ROT_PACE = { delayMs: 300, passMs: 3_000 } as const;

type Storage = Cluster["storages"][number];
/** A row that has turned. */
interface Rotten {
  readonly storage: Storage;
  readonly oid: Oid;
  readonly tid: Tid;
}

/** Lets bits turn until told to stop. */
export class Rot {
  readonly #cluster: Cluster;
  readonly #random: SimRandom;
  readonly #wasPacked: (oid: Oid, tid: Tid) => boolean;
  #rows: readonly Rotten[] = [];
  #isOn = false;

  constructor(cluster: Cluster, random: SimRandom, wasPacked: (oid: Oid, tid: Tid) => boolean) {
    this.#wasPacked = wasPacked;
    this.#cluster = cluster;
    this.#random = random;
  }

  /** Bits that have turned. */
  get count(): number {
    return this.#rows.length;
  }

  begin(): void {
    this.#isOn = true;
    this.#next();
  }

  end(): void {
    this.#isOn = false;
  }

  /** What is behind this tid is to be gone. */
  truncated(cut: Tid): void {
    this.#rows = this.#rows.filter(({ tid }) => tid <= cut);
  }

  /** Rows that are still broken, or gone. */
  remains(): string[] {
    return this.#rows
      .filter(({ storage, oid, tid }) => !this.#wasPacked(oid, tid) && !isWhole(rowOf(storage, oid, tid)))
      .map(({ storage, oid, tid }) => `${storage.name}: revision ${tid} of object ${oid} isn't whole`);
  }

  #next(): void {
    this.#cluster.world.after(this.#random.between(PAUSE_MS_MIN, PAUSE_MS_MAX), () => {
      if (!this.#isOn) return;
      this.#turn();
      this.#next();
    });
  }

  /** Turns a bit of a row that was acknowledged. */
  #turn(): void {
    const { history, storages, trace } = this.#cluster;
    const random = this.#random;
    if (history.acknowledged.length === 0) return;
    const { tid, writes } = random.pick(history.acknowledged);
    const [write] = writes.length === 0 ? [] : [random.pick(writes)];
    if (write === undefined || this.#rows.some(({ oid }) => oid === write.oid)) return;
    // a transaction that isn't final yet may share the data of what it undoes, and be on one copy only
    const whole = storages.filter((one) =>
      one.isUp && one.plan.disk?.temporary === 0 && isWhole(rowOf(one, write.oid, tid!))
    );
    if (whole.length < 2) return;
    const storage = random.pick(whole);
    // what undoes a change has the data of another revision: that one turns as well
    const tids = revisionsOf(storage, write.oid);
    const others = whole.filter((one) => one !== storage);
    if (!others.some((one) => tids.every((each) => isWhole(rowOf(one, write.oid, each))))) return;
    const { data } = rowOf(storage, write.oid, tid!)!;
    if (data.length === 0) return;
    data[random.int(0, data.length - 1)]! ^= 1 << random.int(0, 7);
    if (whole.some((one) => one !== storage && !isWhole(rowOf(one, write.oid, tid!)))) {
      throw new Error("the disks of two storages share memory");
    }
    trace.line("sim", `${storage.name} has a bit turned in revision ${tid} of object ${write.oid}`);
    this.#rows = [...this.#rows, { storage, oid: write.oid, tid: tid! }];
  }
}

/** The revisions of an object with data, as a storage has them. */
function revisionsOf({ plan: { disk } }: Storage, oid: Oid): Tid[] {
  const tids: Tid[] = [];
  for (let at: Tid = MAX_TID;;) {
    const answer = disk?.store?.read({ read: "load", oid, at });
    if (answer?.read !== "load" || answer.revision === null) return tids;
    const { tid, stored } = answer.revision;
    if (stored !== null) tids.push(tid);
    at = toTid(tid - 1n);
  }
}

/** The data of a row as it stands on the disk of a storage that is up. */
function rowOf({ plan: { disk } }: Storage, oid: Oid, tid: Tid): StoredData | undefined {
  const answer = disk?.store?.read({ read: "loadExact", oid, tid });
  return answer?.read === "loadExact" ? answer.revision?.stored ?? undefined : undefined;
}

function isWhole(stored: StoredData | undefined): boolean {
  return stored !== undefined && simDigest(stored.data).join() === stored.checksum.join();
}
