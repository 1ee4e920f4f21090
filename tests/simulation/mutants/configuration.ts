/** Mutants of the configuration service: what is set over what nobody saw, and differences that don't fit what a node has. */
import type { MutantCase } from "./kit.ts";
import { bendAll, withBody, wrapAll } from "./kit.ts";

/** Each so many-th difference is lost. */
const LOST_EVERY = 3;

export const configurationMutants: readonly MutantCase[] = [
  {
    breaks: "a change of the configuration isn't compared with the revision that it was made for (X3)",
    mutate: ({ masters }) =>
      wrapAll(masters, () => (event, step) => {
        const isChange = event.type === "asked" && event.message.name === "changeConfig";
        return step(isChange ? withBody(event, { base: null }) : event);
      }),
    isConfigured: true,
    noticed: /one between is overwritten/,
    seed: 3,
  },
  {
    breaks: "a storage applies what a revision changes to another one than the one before it (T51)",
    mutate: ({ storages }) =>
      wrapAll(storages, () => {
        let count = 0;
        return (event, step) => {
          const isDifference = event.type === "told" && event.message.name === "config"
            && !event.message.body.isWhole && event.message.body.values.length > 0;
          return isDifference && ++count % LOST_EVERY === 0 ? [] : step(event);
        };
      }),
    isConfigured: true,
    noticed: /runs revision \d+ with \[/,
    seed: 1,
  },
  {
    breaks: "who comes isn't told what was configured before (T51)",
    mutate: ({ masters }) =>
      bendAll(masters, (effect) => {
        if (effect.do !== "tell" || effect.message.name !== "config") return effect;
        const { body } = effect.message;
        return body.isWhole
          ? { ...effect, message: { name: "config", body: { ...body, values: [] } } }
          : effect;
      }),
    isConfigured: true,
    noticed: /runs revision \d+ with \[/,
    seed: 1,
  },
];
