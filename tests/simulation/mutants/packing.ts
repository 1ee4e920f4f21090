/** Mutants of packs (T13). */
import { MAX_TID } from "../../../core/ids.ts";
import type { ClientMachine } from "../../../roles/client/client.ts";
import type { MutantCase } from "./kit.ts";
import { bendAll, withBody, wrapAll } from "./kit.ts";

/** Something that was there is called absent, or somebody reads what goes. */
const ABSENT = /was read as|read object|read apart|lost update|read accounts|lists:|guards:|bulk:/;

/** What breaks when history goes. */
export const packingMutants: readonly MutantCase[] = [
  {
    breaks: "clients aren't heard: a pack goes above what they have open (J1)",
    mutate: ({ clients }) =>
      wrapAll(clients.map(({ node }) => node), (machine) => {
        (machine as unknown as ClientMachine).openSnapshots.add = (one) => {
          void one;
          return new Set();
        };
        return (event, step) => step(event);
      }),
    isPacked: true,
    noticed: /reads at \d+, and history is packed up to/,
    seed: 1,
  },
  {
    breaks: "what was packed is called absent (J2)",
    mutate: ({ storages }) =>
      bendAll(storages, (effect) =>
        effect.do === "refuse" && effect.error.code === "packed"
          ? { ...effect, error: { code: "noSuchRevision", message: effect.error.message } }
          : effect),
    isPacked: true,
    noticed: ABSENT,
    seed: 1,
  },
  {
    breaks: "a pack takes what was newest at its bound, if it is changed later",
    mutate: ({ storages }) =>
      bendAll(storages, (effect) => {
        const query = effect.do === "read" ? effect.query as { readonly read: string } : undefined;
        return query?.read === "packable"
          ? { ...effect, query: { ...query, bound: MAX_TID } } as never
          : effect;
      }),
    isPacked: true,
    noticed: /was packed, to/,
    seed: 1,
  },
  {
    breaks: "a storage packs beyond the bound that was decided",
    mutate: ({ storages }) =>
      wrapAll(storages.slice(0, 1), () => (event, step) => {
        const { type, message } = event as {
          type: string;
          message?: { name: string; body: { tid: bigint } };
        };
        if (type !== "told" || message?.name !== "packTo") return step(event);
        return step(withBody(event, { tid: message.body.tid + 2n ** 33n }));
      }),
    isPacked: true,
    noticed:
      /was packed, to|read object|was read as|sees copies|differ|can't|truncation|wait for ever|doesn't/,
    seed: 1,
  },
];
