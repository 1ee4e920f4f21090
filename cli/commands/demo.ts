import type { Cli, CommonFlags } from "../context.ts";
export default async function x(
  _c: Cli,
  _f: { readonly once: boolean; readonly json: boolean },
): Promise<number | void> {}
