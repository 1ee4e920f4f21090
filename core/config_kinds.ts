/** What a key of the configuration is: its type, what it may be, who uses it, and when a change counts. */

/** Roles for which something can be configured. */
export const configRoles = ["master", "storage", "admin", "client"] as const;
/** One of them. */
export type ConfigRole = (typeof configRoles)[number];

/** One key. */
export interface ConfigKey {
  readonly key: string;
  readonly type: "integer" | "choice" | "list";
  /** Of integers: `bytes`, `ms`, `bytes/s`, or nothing. */
  readonly unit: string;
  /** Of integers. */
  readonly least: number;
  readonly most: number;
  /**
   * Of lists: what each of its words must be; the words are separated by spaces, and `most` can stand there. Two must differ in what
   * the pattern's first group has found; where it has none, in all.
   */
  readonly word?: { readonly pattern: RegExp; readonly rule: string };
  /** Whether it is for the whole cluster only. */
  readonly clusterOnly?: true;
  /** Of choices. */
  readonly choices: readonly string[];
  /** In text, as all values. */
  readonly default: string;
  /** Who uses it. */
  readonly roles: readonly ConfigRole[];
  /** Whether a change counts at once; else when the node starts again. */
  readonly live: boolean;
  readonly description: string;
}

type Bounds = Pick<ConfigKey, "unit" | "least" | "most">;

/** A whole number. */
export function integer(
  key: string,
  fallback: number,
  { unit, least, most }: Bounds,
  rest: Pick<ConfigKey, "roles" | "description" | "clusterOnly"> & { readonly live?: boolean },
): ConfigKey {
  return {
    key,
    type: "integer",
    unit,
    least,
    most,
    choices: [],
    default: String(fallback),
    live: true,
    ...rest,
  };
}

/** One of some words. */
export function choice(
  key: string,
  choices: readonly string[],
  rest: Pick<ConfigKey, "roles" | "description" | "default">,
): ConfigKey {
  return { key, type: "choice", unit: "", least: 0, most: 0, choices, live: true, ...rest };
}

/** Words that are separated by spaces. */
export function list(
  key: string,
  word: NonNullable<ConfigKey["word"]>,
  rest: Pick<ConfigKey, "roles" | "description" | "most" | "clusterOnly">,
): ConfigKey {
  const what = { type: "list", unit: "", least: 0, choices: [], default: "", live: true } as const;
  return { key, word, ...what, ...rest };
}
