/** What a storage consists of, and who hears what of whom: the wiring between its parts. Decides nothing. */
import type { Hello } from "../../core/messages.ts";
import type { DatabaseState, Digest } from "../../core/ports.ts";
import { Seeker } from "../seeker.ts";
import type { Settings } from "../settings.ts";
import { Clients } from "./clients.ts";
import { Copiers } from "./copiers.ts";
import { Cuts } from "./cuts.ts";
import { Eraser } from "./eraser.ts";
import { Intake } from "./intake.ts";
import { Packer } from "./packer.ts";
import { Progress } from "./progress.ts";
import { Reads } from "./reads.ts";
import { Replicator } from "./replicator.ts";
import { Scrubber } from "./scrubber.ts";
import type { ScrubPace } from "./scrubber.ts";
import type { Site } from "./site.ts";
import { Space } from "./space.ts";
import { Tables } from "./tables.ts";
import { Transactions } from "./transactions.ts";
import { Use } from "./use.ts";

/** What a storage starts from. */
export interface StorageStart {
  /** What its database holds. */
  readonly state: DatabaseState;
  /** Addresses of the masters. */
  readonly masters: readonly string[];
  /** Where others reach it. */
  readonly address: string;
  readonly digest: Digest;
  /** How long a transaction may be here before the primary is asked what becomes of it; 120,000 unless told. */
  readonly transactionTimeoutMs?: number;
  /** How fast it copies what it lacks from others; unlimited unless told. */
  readonly replicationBytesPerS?: number;
  /** How fast and how often it looks at what it holds, where not as `core/limits.ts` says. */
  readonly scrub?: Partial<ScrubPace>;
  /** What is configured. */
  readonly settings?: Settings;
}

/** What parts ask of the storage itself. */
export interface StorageCalls {
  hello(): Hello;
  /** A newer table is here. */
  tableTaken(): void;
}

/** Makes the parts of a storage. */
export function partsOf(site: Site, start: StorageStart, { hello, tableTaken }: StorageCalls) {
  const { state, replicationBytesPerS: bytesPerS = Infinity, scrub: pace = {} } = start;
  const progress = new Progress(site, state);
  const transactions = new Transactions(site, state.held);
  const reads = new Reads(site, transactions);
  const clients = new Clients(site);
  const scrubber = new Scrubber({ site, pace });
  const packer = new Packer({ site, state, dropped: (rows) => scrubber.dropped(rows) });
  return {
    progress,
    transactions,
    reads,
    clients,
    intake: new Intake({ site, clients, transactions, reads }),
    seeker: new Seeker(start.masters, hello),
    replicator: new Replicator({ site, progress, hello, bytesPerS, packedTo: (bound) => packer.take(bound) }),
    eraser: new Eraser({ site, erased: (partition) => progress.erased(partition) }),
    use: new Use(site),
    space: new Space(site),
    scrubber,
    packer,
    copiers: new Copiers(site),
    cuts: new Cuts(site, state.truncations, { transactions, progress, scrubber }),
    tables: new Tables({ site, progress, transactions, taken: tableTaken }),
  };
}
