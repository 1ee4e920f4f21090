/** `neo config schema` */
import * as is from "../answers.ts";
import type { Cli } from "../context.ts";
import { settingsJsonSchema } from "../settings_schema.ts";

/** What `--json` prints. */
export const answer = is.said("A JSON Schema", is.byName(is.anything));

/** Prints what a file of `config apply` may say, as a JSON Schema. */
export default function configSchema({ output }: Cli, _flags: { readonly json: boolean }): Promise<void> {
  output.print(JSON.stringify(settingsJsonSchema(), null, 2));
  return Promise.resolve();
}
