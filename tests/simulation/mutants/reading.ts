/** Mutants of what is read, of caches, and of what is compared before it is stored. */
import type { Oid, Tid } from "../../../core/ids.ts";
import { toTid } from "../../../core/ids.ts";
import type { DatabaseAnswer, DatabaseQuery } from "../../../core/ports.ts";
import type { Commit, LoadedRevision } from "../../../roles/client/calls.ts";
import type { ClientEffect } from "../../../roles/client/site.ts";
import type { MemberEffect } from "../../../roles/master/member.ts";
import type { StorageEffect } from "../../../roles/storage/site.ts";
import type { Cluster } from "../cluster.ts";
import type { Happened } from "../sometimes/view.ts";
import type { AnyEffect, MutantCase, Wrapped } from "./kit.ts";
import { answering, bendAll, withBody, without, wrapAll } from "./kit.ts";

/** An object's newest tid is read without what was just committed. */
const forgetLatest = ({ storages }: Cluster) =>
  storages.forEach(({ plan }) => (plan.disk!.bendAnswer = staleLatest()));
/** Some reads of a client are of an older snapshot than others. */
const readApart = ({ clients }: Cluster) => clients.forEach(({ node }) => (node.bend = olderReads(20)));

/** Reads that give what isn't there, and writes that start from it. */
export const readingMutants: readonly MutantCase[] = [
  {
    breaks: "an object's newest tid is read without what was just committed (A17)",
    mutate: forgetLatest,
    noticed: /lost update/,
    seed: 5,
  },
  {
    breaks: "an append is stored over another (N1)",
    mutate: forgetLatest,
    noticed: /lists: lostUpdate/,
    seed: 55,
  },
  {
    breaks: "an increment is stored over another (N1)",
    mutate: forgetLatest,
    noticed: /counter: object/,
    seed: 13,
  },
  {
    breaks: "a transfer is stored over another (N1)",
    mutate: forgetLatest,
    noticed: /bank: .* (hold|read accounts)/,
    seed: 8,
  },
  {
    breaks: "accounts are read in different snapshots (N1)",
    mutate: readApart,
    noticed: /bank: .* read accounts/,
    seed: 1,
  },
  {
    breaks: "lists are read in different snapshots (N1)",
    mutate: readApart,
    noticed: /lists: G-single:/,
    seed: 58,
  },
  {
    breaks: "a snapshot is older than what had ended before it (N1)",
    mutate: readApart,
    noticed: /lists: G-single-order/,
    seed: 45,
  },
  {
    breaks: "a storage doesn't say that a revision has ended (T43)",
    mutate: ({ storages }) => storages.forEach((storage) => (storage.bend = endless)),
    noticed: /read object .* as revision/,
    seed: 9,
  },
  {
    breaks: "a sync is answered with an older tid",
    mutate: ({ master }) => (master.bend = olderSyncs),
    noticed: /sync gave tid/,
    seed: 1,
  },
  {
    breaks: "a client doesn't tell the end of a call",
    mutate: ({ clients }) => clients.forEach(({ node }) => (node.bend = withoutEnds(50))),
    noticed: /workers wait for ever/,
    seed: 1,
  },
  {
    breaks: "an invalidation isn't sent",
    mutate: ({ master }) => (master.bend = without("tell invalidate", 10)),
    noticed: /heard of tid/,
    seed: 1,
  },
  {
    breaks: "a client's own commit doesn't invalidate its cache (trap 20)",
    mutate: ({ clients }) => caching(clients, { forgetsOwn: false, forgetsOthers: true, minds: true }),
    noticed: /read object .* as revision/,
    seed: 2,
  },
  {
    breaks: "what is published while an object is loaded doesn't end what the load brings (trap 19)",
    mutate: ({ clients }) => caching(clients, { forgetsOwn: true, forgetsOthers: true, minds: false }),
    noticed: /read object .* as revision/,
    seed: 12,
  },
  {
    breaks: "a cache survives a new session (trap 19)",
    mutate: ({ clients }) =>
      caching(clients, { forgetsOwn: true, forgetsOthers: true, minds: true, keeps: true }),
    noticed: /read object .* as revision/,
    seed: 1,
  },
  {
    breaks: "objects that are checked aren't (trap 17)",
    mutate: ({ clients }) =>
      wrapAll(clients.map(({ node }) => node), () => (event, step) => {
        const call = event as unknown as { type: string; name: string; request: Commit };
        if (call.type !== "call" || call.name !== "commit") return step(event);
        return step({ ...call, request: { ...call.request, checks: [] } });
      }),
    noticed: /lost update|guards:/,
    seed: 2,
  },
  {
    breaks: "the guard of a pair isn't checked (trap 17)",
    mutate: ({ clients }) =>
      wrapAll(clients.map(({ node }) => node), () => (event, step) => {
        const call = event as unknown as { type: string; name: string; request: Commit };
        if (call.type !== "call" || call.name !== "commit") return step(event);
        return step({ ...call, request: { ...call.request, checks: [] } });
      }),
    noticed: /guards:/,
    seed: 9,
  },
  {
    breaks: "a read of a locked object isn't kept waiting (trap 12, H2)",
    mutate: ({ storages }) => wrapAll(storages, () => impatient()),
    noticed: /read object|read apart|was read as|read accounts|lists:|bulk:|guards:/,
    seed: 9,
  },
  {
    breaks: "a cache survives a truncation (N7)",
    mutate: ({ clients }) =>
      caching(clients, { forgetsOwn: true, forgetsOthers: true, minds: true, keeps: true }),
    isTruncated: true,
    noticed: /read object .* as revision/,
    seed: 1,
  },
  {
    breaks: "a page of history leaves out its last transaction",
    mutate: ({ storages }) =>
      bendAll(
        storages,
        answering("transactions", (body) => {
          return body.transactions.length < 3
            ? body
            : { ...body, transactions: body.transactions.slice(0, -1) };
        }),
      ),
    noticed: /was told of \[/,
    seed: 4,
  },
  {
    breaks: "a change feed misses what was published between two sessions",
    mutate: ({ clients }) => {
      for (const { node } of clients) {
        node.bend = (effects) =>
          effects.filter((effect) =>
            effect.do !== "output" || effect.output.type !== "published" || effect.output.oids !== null
          );
      }
    },
    noticed: /the change feed of .* gave|its change feed is at|heard of tid/,
    seed: 1,
  },
  {
    breaks: "an empty value is taken for none (trap 18)",
    mutate: ({ storages }) =>
      bendAll(
        storages,
        answering("load", ({ revision }) => ({
          revision: { ...revision, data: revision.data?.length === 0 ? null : revision.data },
        })),
      ),
    noticed: /read object .* as null/,
    seed: 5,
  },
];

/** A cache of its own in front of a client's machine, with a mistake. */
function caching(
  clients: Cluster["clients"],
  mistakes: {
    readonly forgetsOwn: boolean;
    readonly forgetsOthers: boolean;
    readonly minds: boolean;
    readonly keeps?: boolean;
  },
): void {
  wrapAll(clients.map(({ node }) => node), () => {
    const current = new Map<Oid, LoadedRevision>();
    const loads = new Map<number, { readonly oid: Oid; readonly at: Tid; isOld: boolean }>();
    const commits = new Map<number, Commit>();
    return (event, step) => {
      const call = event as unknown as { type: string; name: string; call: number; request: unknown };
      if (call.type === "call" && call.name === "load") {
        const { oid, at } = call.request as { oid: Oid; at: Tid };
        const known = current.get(oid);
        if (known !== undefined && known.tid <= at) {
          return [{ do: "output", output: { type: "settled", call: call.call, result: known } }];
        }
        loads.set(call.call, { oid, at, isOld: false });
      }
      if (call.type === "call" && call.name === "commit") commits.set(call.call, call.request as Commit);
      const effects = step(event);
      for (const effect of effects) if (effect.do === "output") note(effect.output);
      return effects;
    };

    function note(
      output: { type: string; call: number; result: unknown; oids?: readonly Oid[] | null },
    ): void {
      if (output.type === "published") {
        if (output.oids === null && !mistakes.keeps) current.clear();
        const isOwn = (oid: Oid) =>
          [...commits.values()].some(({ writes }) => writes.some((one) => one.oid === oid));
        for (const oid of output.oids ?? []) {
          for (const load of loads.values()) if (load.oid === oid) load.isOld = true;
          if (isOwn(oid) ? mistakes.forgetsOwn : mistakes.forgetsOthers) current.delete(oid);
        }
      }
      if (output.type !== "settled") return;
      commits.delete(output.call);
      const load = loads.get(output.call);
      loads.delete(output.call);
      const found = output.result as LoadedRevision | undefined;
      if (!load || !found) return;
      const isCurrent = found.next === null && !load.isOld;
      if (isCurrent || (load.isOld && !mistakes.minds)) current.set(load.oid, { ...found, next: null });
    }
  });
}

/** Loads of what is locked below their snapshot are answered as if they were of the snapshot before. */
function impatient(): Wrapped {
  const locked = new Map<bigint, Tid>();
  return (event: Happened, step: (event: unknown) => AnyEffect[]) => {
    if (event.type === "asked" && event.message.name === "lock") {
      locked.set(event.message.body.ttid, event.message.body.tid);
    }
    if (event.type === "told" && event.message.name === "unlock") locked.delete(event.message.body.ttid);
    if (event.type !== "asked" || (event.message.name !== "load" && event.message.name !== "loadMany")) {
      return step(event);
    }
    const lowest = [...locked.values()].reduce<Tid | undefined>(
      (least, tid) => (least === undefined || tid < least ? tid : least),
      undefined,
    );
    const { at } = event.message.body;
    return step(lowest === undefined || lowest > at ? event : withBody(event, { at: toTid(lowest - 1n) }));
  };
}

/** Each `every`th end of a call is left out. */
function withoutEnds(every: number): (effects: ClientEffect[]) => ClientEffect[] {
  let count = 0;
  return (effects) =>
    effects.filter((effect) => {
      return effect.do !== "output" || effect.output.type !== "settled" || ++count % every > 0;
    });
}

/** Each `every`th question for objects asks for what was a second before. */
function olderReads(every: number): (effects: ClientEffect[]) => ClientEffect[] {
  let count = 0;
  return (effects) =>
    effects.map((effect) => {
      if (effect.do !== "ask" || ++count % every > 0) return effect;
      const { message } = effect;
      if (message.name === "load") {
        return {
          ...effect,
          message: { name: "load", body: { ...message.body, at: before(message.body.at) } },
        };
      }
      if (message.name !== "loadMany") return effect;
      return {
        ...effect,
        message: { name: "loadMany", body: { ...message.body, at: before(message.body.at) } },
      };
    });
}

/** What a client loads seems to be current, whenever it was. */
function endless(effects: StorageEffect[]): StorageEffect[] {
  return effects.map((effect) => {
    if (effect.do !== "answer") return effect;
    const { message } = effect;
    if (message.name === "load") {
      const revision = { ...message.body.revision, next: null };
      return { ...effect, message: { name: "load", body: { revision } } };
    }
    if (message.name !== "loadMany") return effect;
    const objects = message.body.objects.map(({ revision, ...rest }) => {
      return { ...rest, revision: revision && { ...revision, next: null } };
    });
    return { ...effect, message: { name: "loadMany", body: { objects } } };
  });
}

function olderSyncs(effects: MemberEffect[]): MemberEffect[] {
  return effects.map((effect) => {
    if (effect.do !== "answer" || effect.message.name !== "sync") return effect;
    const { lastTid, wallMs } = effect.message.body;
    return { ...effect, message: { name: "sync", body: { lastTid: before(lastTid), wallMs } } };
  });
}

/** A second before: tids count 2^32 to a minute. */
function before(tid: Tid): Tid {
  const older = tid - 2n ** 32n / 60n;
  return older > 0n ? toTid(older) : tid;
}

/** Now and then says of an object's newest tid what was said the last time. */
function staleLatest(): (answer: DatabaseAnswer, query: DatabaseQuery) => DatabaseAnswer {
  const said = new Map<Oid, DatabaseAnswer>();
  let count = 0;
  return (answer, query) => {
    if (query.read !== "latest") return answer;
    const before = said.get(query.oid);
    said.set(query.oid, answer);
    count += 1;
    return count % 5 === 0 && before !== undefined ? before : answer;
  };
}
