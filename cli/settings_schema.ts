/**
 * What a file of settings may say (`config apply`, `[configuration]` of a plan), as one schema: it judges files, and is printed as a JSON
 * Schema by `config schema`. It is made of the table of keys, which nodes judge changes by (`core/config_table.ts`); so only
 * commands about files load the library.
 */
import { z } from "zod";
import { configKeys, configRoles } from "../core/config_keys.ts";
import type { ConfigKey } from "../core/config_keys.ts";

/** A value as a file has it: numbers are numbers there. */
function valueOf({ type, choices, least, most, word }: ConfigKey): z.ZodType {
  switch (type) {
    case "integer":
      return z.int().min(least).max(most);
    case "choice":
      return z.enum(choices);
    case "list": {
      const one = word!.pattern.source.replace(/^\^|\$$/g, "");
      return z.string().regex(new RegExp(`^(${one}( ${one}){0,${most - 1}})?$`));
    }
  }
}

function described(key: ConfigKey): z.ZodType {
  const { type, unit, description } = key;
  const fallback = type === "integer" ? Number(key.default) : key.default;
  return valueOf(key).optional().meta({
    description: `${description}${unit === "" ? "" : ` (${unit})`}`,
    default: fallback,
  });
}

function tableOf(keys: readonly ConfigKey[]): z.ZodType {
  return z.strictObject(Object.fromEntries(keys.map((key) => [key.key, described(key)]))).optional();
}

const forNodes = configKeys.filter(({ clusterOnly }) => !clusterOnly);
const roles = configRoles.map((role) =>
  [role, tableOf(forNodes.filter((key) => key.roles.includes(role)))] as const
);

/** A file of settings. */
export const settingsFile = z.strictObject({
  cluster: tableOf(configKeys),
  role: z.strictObject(Object.fromEntries(roles)).optional(),
  node: z.record(z.string().regex(/^[A-Za-z0-9][\w.-]{0,62}$/), tableOf(forNodes)).optional(),
}).meta({ title: "Configuration of a neo cluster" });

/** The first thing that is wrong with a file, and where; undefined: nothing. Digits in quotes count as numbers. */
export function fileProblem(tables: unknown): string | undefined {
  const { error } = settingsFile.safeParse(withNumbers(tables));
  const [issue] = error?.issues ?? [];
  if (issue === undefined) return undefined;
  const where = issue.path.map(String).join(": ");
  return `${where === "" ? "" : `${where}: `}${issue.message.charAt(0).toLowerCase()}${
    issue.message.slice(1)
  }`;
}

/** The same as a JSON Schema of draft 2020-12. */
export function settingsJsonSchema(): object {
  return z.toJSONSchema(settingsFile, { io: "input" });
}

function withNumbers(value: unknown): unknown {
  if (typeof value === "string" && /^(0|[1-9]\d{0,15})$/.test(value)) return Number(value);
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, withNumbers(one)]));
}
