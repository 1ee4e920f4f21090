/** `neo config unset` */
import { scopeOf } from "../config_view.ts";
import type { Cli } from "../context.ts";
import { answer, changeBy } from "./config_set.ts";
import type { ChangeFlags } from "./config_set.ts";

export { answer };

/** Goes back to what the next wider scope says. */
export default async function configUnset(
  cli: Cli,
  flags: ChangeFlags & { readonly role: string | undefined; readonly node: string | undefined },
  ...keys: string[]
): Promise<void> {
  const scope = scopeOf(flags);
  await changeBy(cli, flags, keys.map((key) => ({ scope, key, value: null })));
}
