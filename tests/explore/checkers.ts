/**
 * What must hold. In every state: a transaction that was acknowledged, or that anybody can read, is whole on every copy that may be
 * read while the cluster runs, and stands on the revision right before it. At a quiet end: copies are equal, nothing is held,
 * every call has ended, and what failed is nowhere.
 */
import { ofValue } from "./commit.ts";
import type { HeldFact, MasterFacts, RevisionFact, StorageFacts } from "./facts.ts";
import type { WorldSpec } from "./spec.ts";
import type { Draft, World } from "./world.ts";

/** A copy that may be read. */
interface Copy {
  readonly name: string;
  readonly partition: number;
  readonly facts: StorageFacts;
}

/** What is wrong with a state, if anything. */
export function breachOf(world: World, spec: WorldSpec, draft: Draft): string | undefined {
  if (draft.breach !== undefined) return draft.breach;
  const copies = copiesOf(world, draft);
  return wholeness(spec, draft, copies) ?? bases(spec, copies);
}

/** What is wrong with an end, at which nothing more happens. */
export function endBreachOf(world: World, spec: WorldSpec, draft: Draft): string | undefined {
  const waiting = draft.told.calls.findIndex(({ is }) => is === "running");
  if (waiting >= 0 && !spec.mayWait) return `T${waiting + 1} waits for ever`;
  const copies = copiesOf(world, draft);
  if (copies.length === 0) return "nothing can be read for ever";
  return leftovers(world, spec, draft) ?? differences(spec, copies) ?? ghosts(spec, draft, copies);
}

/** Readable by the held table of the primary that runs, on storages that serve in its epoch. */
function copiesOf(world: World, draft: Draft): Copy[] {
  const primary = primaryOf(world, draft);
  if (!primary) return [];
  const storages = world.nodes.flatMap((node, at) => {
    const facts = node.facts(draft.nodes[at]!);
    return facts.is === "storage" && facts.phase === "serving" && facts.epoch === primary.epoch
      ? [{ name: node.name, facts }]
      : [];
  });
  return primary.rows.flatMap((row, partition) =>
    row.flatMap(({ node, state }) => {
      const storage = storages.find(({ facts }) => facts.index === node);
      return storage && (state === "upToDate" || state === "feeding") ? [{ ...storage, partition }] : [];
    })
  );
}

/** A deposed one may not have heard of it. */
function primaryOf(world: World, draft: Draft): MasterFacts | undefined {
  const running = world.nodes.map((node, at) => node.facts(draft.nodes[at]!)).filter((
    facts,
  ): facts is MasterFacts => facts.is === "master" && facts.phase === "running");
  return running.sort((a, b) => b.epoch - a.epoch)[0];
}

/** What a call writes, with the partition of each object. */
function writesOf({ calls, partitions }: WorldSpec, call: number): { oid: bigint; partition: number }[] {
  return calls[call]!.writes.map((oid) => ({ oid: BigInt(oid), partition: oid % partitions }));
}

/** Transactions by call that were acknowledged, or that some copy has as final. */
function visible(spec: WorldSpec, draft: Draft, copies: readonly Copy[]): Map<number, bigint> {
  const found = new Map<number, bigint>();
  draft.told.calls.forEach(({ is, tid }, call) => {
    if (is === "committed") found.set(call, BigInt(tid!));
  });
  spec.calls.forEach((_, call) => {
    for (const { oid, partition } of writesOf(spec, call)) {
      for (const { facts, partition: of } of copies) {
        const revision = of === partition ? facts.final.get(oid)?.find((one) => isOf(one, call)) : undefined;
        if (revision && !found.has(call)) found.set(call, revision.tid);
      }
    }
  });
  return found;
}

function isOf({ text }: RevisionFact, call: number): boolean {
  return ofValue(text).call === `T${call + 1}`;
}

function wholeness(spec: WorldSpec, draft: Draft, copies: readonly Copy[]): string | undefined {
  for (const [call, tid] of visible(spec, draft, copies)) {
    for (const { oid, partition } of writesOf(spec, call)) {
      for (const { name, partition: of, facts } of copies) {
        if (of !== partition || hasOf(facts, oid, tid)) continue;
        const { is } = draft.told.calls[call]!;
        const seen = is === "committed" ? "was acknowledged" : "can be read elsewhere";
        return `T${call + 1} ${seen} with tid ${tid}, and its object ${oid} isn't at ${name}`;
      }
    }
  }
  return undefined;
}

/** Final, or locked under this tid. */
function hasOf({ final, held }: StorageFacts, oid: bigint, tid: bigint): boolean {
  const isHeld = ({ tid: own, oids }: HeldFact): boolean => own === tid && oids.includes(oid);
  return final.get(oid)!.some((one) => one.tid === tid) || held.some(isHeld);
}

function bases(spec: WorldSpec, copies: readonly Copy[]): string | undefined {
  for (const { name, partition, facts } of copies) {
    for (const [oid, revisions] of facts.final) {
      if (Number(oid) % spec.partitions !== partition) continue;
      let before = 0n;
      for (const { tid, text } of revisions) {
        const { call, base } = ofValue(text);
        if (base !== before) {
          return `lost update: ${call}, tid ${tid}, stands on ${base} and follows ${before} at ${name}`;
        }
        before = tid;
      }
    }
  }
  return undefined;
}

function leftovers(world: World, spec: WorldSpec, draft: Draft): string | undefined {
  if (spec.mayWait) return undefined;
  for (const [at, node] of world.nodes.entries()) {
    const facts = node.facts(draft.nodes[at]!);
    if (facts.is === "storage" && facts.held.length > 0) {
      return `${node.name} holds transaction ${facts.held[0]!.ttid} for ever`;
    }
    if (facts.is === "storage" && facts.waiting > 0) return `requests wait at ${node.name} for ever`;
    if (facts.is === "master" && facts.pending > 0) return `${node.name} publishes something never`;
    if (facts.is === "client" && facts.commits > 0) return `${node.name} commits something for ever`;
  }
  return undefined;
}

function differences(spec: WorldSpec, copies: readonly Copy[]): string | undefined {
  const first = new Map<number, { name: string; rows: string }>();
  for (const { name, partition, facts } of copies) {
    const rows = [...facts.final].filter(([oid]) => Number(oid) % spec.partitions === partition)
      .map(([oid, revisions]) => `${oid}: ${revisions.map(({ tid, text }) => `${tid} (${text})`).join(", ")}`)
      .join("; ");
    const other = first.get(partition);
    if (other && other.rows !== rows) {
      return `copies differ: ${other.name} has ${other.rows}, ${name} has ${rows}`;
    }
    if (!other) first.set(partition, { name, rows });
  }
  return undefined;
}

/** What failed isn't there. A client that died may have committed or not. */
function ghosts(spec: WorldSpec, draft: Draft, copies: readonly Copy[]): string | undefined {
  for (const [call, tid] of visible(spec, draft, copies)) {
    const { is, error } = draft.told.calls[call]!;
    if (is === "failed" && error !== "OutcomePendingError") {
      return `T${call + 1} failed (${error}), and is there with tid ${tid}`;
    }
  }
  return undefined;
}
