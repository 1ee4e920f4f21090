/** Clusters that break one promise each, to see that the checkers bite. */
import { agreementMutants } from "./agreement.ts";
import { configurationMutants } from "./configuration.ts";
import { durabilityMutants } from "./durability.ts";
import { foreignMutants } from "./foreign.ts";
import type { MutantCase } from "./kit.ts";
import { orderMutants } from "./order.ts";
import { packingMutants } from "./packing.ts";
import { readingMutants } from "./reading.ts";

/** All of them. */
export const mutants: readonly MutantCase[] = [
  ...durabilityMutants,
  ...orderMutants,
  ...readingMutants,
  ...foreignMutants,
  ...configurationMutants,
  ...packingMutants,
  ...agreementMutants,
];
