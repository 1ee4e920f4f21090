/** What `demo` does with its cluster: a small wiki, written, changed, read as it was, and compared on both replicas. */
import { sha256 } from "../adapters/system.ts";
import { hexOf } from "../core/ids.ts";
import type { Oid, Tid } from "../core/ids.ts";
import type { Partition } from "../core/ids.ts";
import type { Client } from "../mod.ts";

/** One commit of the tour. */
export interface Commit {
  readonly tid: string;
  readonly description: string;
}

/** All copies that one storage holds, in short. */
export interface ReplicaDigest {
  readonly node: string;
  /** Transactions and revisions. */
  readonly rows: number;
  readonly digest: string;
}

/** What the tour has seen. */
export interface TourResult {
  readonly commits: readonly Commit[];
  /** The wiki's pages at the end, and as they were after the first commit. */
  readonly now: Pages;
  readonly past: Pages;
  readonly replicas: readonly ReplicaDigest[];
  readonly replicasEqual: boolean;
}

/** Texts by title. */
export type Pages = { readonly [title: string]: string };

const BEFORE: Pages = {
  FrontPage: "Welcome! This wiki is new.",
  Sandbox: "Try things here.",
};
const FRONT_PAGE = "Welcome! This wiki remembers everything: see RecentChanges.";
const RECENT_CHANGES = "FrontPage was rewritten, Sandbox was removed.";

/** Commits two transactions and looks at what they have made; `say` hears of each step. */
export async function tour(client: Client, say: (line: string) => void): Promise<TourResult> {
  const oids = new Map<string, Oid>();
  const commits: Commit[] = [];
  const first = await commit(client, "write the first pages", async (tx) => {
    for (const [title, text] of Object.entries(BEFORE)) {
      oids.set(title, await client.newOid());
      tx.store(oids.get(title)!, bytesOf(text));
    }
  });
  commits.push(first);
  say(`Committed ${first.tid}: ${first.description}`);
  const second = await commit(client, "rewrite FrontPage, add RecentChanges, remove Sandbox", async (tx) => {
    await tx.load(oids.get("FrontPage")!);
    tx.store(oids.get("FrontPage")!, bytesOf(FRONT_PAGE));
    oids.set("RecentChanges", await client.newOid());
    tx.store(oids.get("RecentChanges")!, bytesOf(RECENT_CHANGES));
    await tx.load(oids.get("Sandbox")!);
    tx.delete(oids.get("Sandbox")!);
  });
  commits.push(second);
  say(`Committed ${second.tid}: ${second.description}`);
  const now = await pagesAt(client, oids);
  const past = await pagesAt(client, oids, BigInt(`0x${first.tid}`) as Tid);
  const replicas = await digests(client);
  return {
    commits,
    now,
    past,
    replicas,
    replicasEqual: new Set(replicas.map(({ digest }) => digest)).size === 1,
  };
}

type Transaction = Awaited<ReturnType<Client["begin"]>>;

async function commit(
  client: Client,
  description: string,
  work: (tx: Transaction) => Promise<void>,
): Promise<Commit> {
  const tx = await client.begin();
  await work(tx);
  tx.note({ user: "neo demo", description });
  return { tid: hexOf(await tx.commit()), description };
}

async function pagesAt(client: Client, oids: ReadonlyMap<string, Oid>, at?: Tid): Promise<Pages> {
  const snapshot = await client.snapshot(at === undefined ? {} : { at });
  const pages: { [title: string]: string } = {};
  for (const [title, oid] of oids) {
    const found = await snapshot.load(oid);
    if (found !== undefined) pages[title] = new TextDecoder().decode(found.data);
  }
  return pages;
}

/** One digest for each storage, over the digests of all its partitions. */
async function digests(client: Client): Promise<ReplicaDigest[]> {
  const { table, lastTid: upTo } = await client.view();
  const parts = new Map<string, { rows: number; digests: Uint8Array[] }>();
  for (let partition = 0; partition < table.partitions; partition++) {
    for (
      const { node, count, digest } of await client.call("digests", {
        partition: partition as Partition,
        upTo,
      })
    ) {
      const part = parts.get(node) ?? { rows: 0, digests: [] };
      parts.set(node, { rows: part.rows + count, digests: [...part.digests, digest] });
    }
  }
  return [...parts].sort(([a], [b]) => a < b ? -1 : 1).map(([node, { rows, digests }]) => ({
    node,
    rows,
    digest: Array.from(sha256(...digests), (byte) => byte.toString(16).padStart(2, "0")).join(""),
  }));
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
