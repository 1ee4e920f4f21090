/** Files of settings, as `config apply` and plans have them. */
import { parse } from "smol-toml";
import type { Setting } from "../core/config_keys.ts";
import { checkSetting } from "./config_view.ts";
import { CliError } from "./exit.ts";
import { fileProblem } from "./settings_schema.ts";

/** What a file of settings says, as `export` writes it: by scope, then by key. */
export function settingsOfToml(text: string, file: string): Setting[] {
  let tables: Record<string, unknown>;
  try {
    tables = parse(text);
  } catch (error) {
    const why = error instanceof Error ? error.message.split("\n", 1)[0] : String(error);
    throw new CliError("usage", `Cannot read ${file}: ${why}`, { cause: error });
  }
  return settingsIn(tables, file);
}

/**
 * What tables of settings say: `cluster`, `role.NAME`, `node.NAME`.
 *
 * @throws CliError (`usage`) naming key, rule and value
 */
export function settingsIn(tables: Record<string, unknown>, file: string): Setting[] {
  const settings = valuesIn(tables);
  for (const setting of settings) checkSetting(setting);
  const problem = fileProblem(tables);
  if (problem === undefined) return settings;
  throw new CliError("usage", `Cannot read ${file}: ${problem}`, {
    hint: "what it may say: neo config schema",
  });
}

/** Values that stand where values may; what else is there is for the schema to judge. */
function valuesIn({ cluster, role, node }: Record<string, unknown>): Setting[] {
  const scopes = [
    ["cluster", cluster] as const,
    ...entriesOf(role).map(([name, table]) => [`role:${name}`, table] as const),
    ...entriesOf(node).map(([name, table]) => [`node:${name}`, table] as const),
  ];
  return scopes.flatMap(([scope, table]) =>
    entriesOf(table).flatMap(([key, value]) =>
      typeof value === "object" ? [] : [{ scope, key, value: String(value) }]
    )
  );
}

function entriesOf(table: unknown): [string, unknown][] {
  return typeof table === "object" && table !== null && !Array.isArray(table) ? Object.entries(table) : [];
}
