/** Values of a TOML table, checked one by one; errors name key, line and column. */
import { CliError } from "./exit.ts";

/** A file as its errors show it. */
export interface TomlSource {
  readonly file: string;
  readonly text: string;
}

/** Where a table stands: the `index`th of the tables `[[name]]`; undefined is the top of the file. */
interface TablePlace {
  readonly name: string;
  readonly index: number;
}

/** The fields of one table. */
export class Fields {
  readonly #values: Record<string, unknown>;
  readonly #source: TomlSource;
  readonly #place: TablePlace | undefined;

  constructor(values: Record<string, unknown>, source: TomlSource, place?: TablePlace) {
    this.#values = values;
    this.#source = source;
    this.#place = place;
  }

  /** An error at a key of this table. */
  error(key: string, what: string): CliError {
    const { line, column } = placeOf(this.#source.text, key, this.#place);
    const name = this.#place === undefined ? key : `${key} of ${this.#place.name} ${this.#place.index + 1}`;
    return new CliError(
      "usage",
      `Cannot read ${this.#source.file}: ${name}: ${what} (line ${line}, column ${column})`,
    );
  }

  /** Refuses keys that aren't known: a mistyped key would be ignored for ever. */
  refuseOthers(known: readonly string[]): void {
    const other = Object.keys(this.#values).find((key) => !known.includes(key));
    if (other !== undefined) throw this.error(other, `unknown key; known are ${known.join(", ")}`);
  }

  text(key: string, pattern: RegExp, rule: string, otherwise?: string): string {
    const value = this.#values[key] ?? otherwise;
    if (typeof value === "string" && pattern.test(value)) return value;
    throw this.error(key, `expected ${rule}, found ${shown(value)}`);
  }

  optionalText(key: string, pattern: RegExp, rule: string): string | undefined {
    return this.#values[key] === undefined ? undefined : this.text(key, pattern, rule);
  }

  whole(key: string, least: number, most: number, otherwise?: number): number {
    const value = this.#values[key] ?? otherwise;
    if (typeof value === "number" && Number.isInteger(value) && least <= value && value <= most) return value;
    throw this.error(key, `expected a whole number from ${least} to ${most}, found ${shown(value)}`);
  }

  optionalWhole(key: string, least: number, most: number): number | undefined {
    return this.#values[key] === undefined ? undefined : this.whole(key, least, most);
  }

  flag(key: string, otherwise: boolean): boolean {
    const value = this.#values[key] ?? otherwise;
    if (typeof value === "boolean") return value;
    throw this.error(key, `expected true or false, found ${shown(value)}`);
  }

  choice<T extends string>(key: string, choices: readonly T[]): T {
    const found = choices.find((choice) => choice === this.#values[key]);
    if (found !== undefined) return found;
    throw this.error(key, `expected one of ${choices.join(", ")}, found ${shown(this.#values[key])}`);
  }

  /** The values of a table `key = { ... }`, numbers and flags as text. */
  texts(key: string): { [name: string]: string } {
    const value = this.#values[key] ?? {};
    if (typeof value !== "object" || value instanceof Date || Array.isArray(value) || value === null) {
      throw this.error(key, `expected a table of values, found ${shown(value)}`);
    }
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, String(one)]));
  }

  /** One or more texts, `key = ["..."]`. */
  list(key: string, pattern: RegExp, rule: string): string[] {
    const value = this.#values[key];
    if (Array.isArray(value) && value.length > 0) {
      const wrong = value.find((one) => typeof one !== "string" || !pattern.test(one));
      if (wrong === undefined) return value.map(String);
      throw this.error(key, `expected ${rule}, found ${shown(wrong)}`);
    }
    throw this.error(key, `expected a list of ${rule}, found ${shown(value)}`);
  }

  /** The tables `[[key]]`, in the order of the file. */
  tables(key: string): Fields[] {
    const value = this.#values[key] ?? [];
    if (
      !Array.isArray(value)
      || value.some((table) => typeof table !== "object" || table instanceof Date || Array.isArray(table))
    ) {
      throw this.error(key, `expected tables [[${key}]], found ${shown(value)}`);
    }
    return value.map((table, index) => new Fields(table, this.#source, { name: key, index }));
  }
}

function shown(value: unknown): string {
  return value === undefined ? "nothing" : JSON.stringify(value);
}

/** Line and column of a key, of its table's header if the key isn't there. A parsed file has no positions. */
function placeOf(text: string, key: string, place: TablePlace | undefined): { line: number; column: number } {
  const escaped = key.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const wanted = new RegExp(`^\\s*(?:\\[\\[?\\s*)?["']?${escaped}["']?\\s*(?:=|\\.|\\])`);
  let header = { line: 1, column: 1 };
  let table = -1;
  for (const [index, line] of text.split("\n").entries()) {
    const inside = place === undefined ? table < 0 : table === place.index;
    const at = { line: index + 1, column: line.search(/\S/) + 1 };
    if (inside && wanted.test(line)) return at;
    if (place !== undefined && new RegExp(`^\\s*\\[\\[\\s*${place.name}\\s*\\]\\]`).test(line)) {
      table += 1;
      if (table === place.index) header = at;
    }
  }
  return header;
}
