/** `neo config schema` */
import { configKeys } from "../../core/config_keys.ts";
import type { Cli } from "../context.ts";

/** Prints what a file of `config apply` may say, as a JSON Schema. */
export default function configSchema({ output }: Cli, _flags: { readonly json: boolean }): Promise<void> {
  const properties = Object.fromEntries(configKeys.map((key) => [key.key, {
    description: `${key.description}${key.unit === "" ? "" : ` (${key.unit})`}`,
    default: key.type === "choice" ? key.default : Number(key.default),
    ...(key.type === "choice"
      ? { enum: key.choices }
      : { type: "integer", minimum: key.least, maximum: key.most }),
  }]));
  const settings = { type: "object", properties, additionalProperties: false };
  const byName = { type: "object", additionalProperties: settings };
  output.print(JSON.stringify(
    {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      title: "Configuration of a neo cluster",
      type: "object",
      properties: { cluster: settings, role: byName, node: byName },
      additionalProperties: false,
    },
    null,
    2,
  ));
  return Promise.resolve();
}
