/** `neo config schema` */
import { configKeys } from "../../core/config_keys.ts";
import type { ConfigKey } from "../../core/config_keys.ts";
import * as is from "../answers.ts";
import type { Cli } from "../context.ts";

/** What a value must be, in the words of a schema. */
function shapeOf({ type, choices, least, most, word }: ConfigKey): Record<string, unknown> {
  switch (type) {
    case "choice":
      return { enum: choices };
    case "integer":
      return { type: "integer", minimum: least, maximum: most };
    case "list": {
      const one = word!.pattern.source.replace(/^\^|\$$/g, "");
      return { type: "string", pattern: `^(${one}( ${one}){0,${most - 1}})?$` };
    }
  }
}

/** What `--json` prints. */
export const answer = is.said("A JSON Schema", is.byName(is.anything));

/** Prints what a file of `config apply` may say, as a JSON Schema. */
export default function configSchema({ output }: Cli, _flags: { readonly json: boolean }): Promise<void> {
  const properties = Object.fromEntries(configKeys.map((key) => [key.key, {
    description: `${key.description}${key.unit === "" ? "" : ` (${key.unit})`}`,
    default: key.type === "integer" ? Number(key.default) : key.default,
    ...shapeOf(key),
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
