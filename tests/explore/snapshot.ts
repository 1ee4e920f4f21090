/**
 * Images of object graphs: what a machine is at a moment, to be put back later, and a text that two moments share exactly if
 * nothing that matters differs.
 *
 * An image is put back in place: every object keeps its identity and gets the contents it had. So closures go on to see what
 * they saw, and nothing needs to know how a machine is built. Code isn't copied: a function is what it was.
 */

type Content = readonly unknown[] | Uint8Array;

/** What a graph was at a moment. */
export interface Image {
  readonly objects: readonly object[];
  readonly contents: readonly Content[];
}

/**
 * What doesn't count when two moments are compared. `now` is set at the beginning of each step before it is read; a heap of
 * deadlines has stale entries beside the truth, which stands in its map.
 */
const UNPRINTED: { readonly [owner: string]: readonly string[] } = {
  Site: ["now"],
  StorageMachine: ["$now"],
  Deadlines: ["$heap"],
};

/** Takes images of one graph after another. */
export class Images {
  #last = new WeakMap<object, Content>(); // the newest content that was seen, to be shared

  /**
   * Takes an image of all that can be reached from `root`. Of a function only the code is printed: what a machine's callbacks
   * have caught stands in its fields as well.
   */
  take(root: object): { image: Image; print: string } {
    const walk = new Walk(root);
    const contents = walk.contents.map((content, at) => this.#shared(walk.objects[at]!, content));
    return { image: { objects: walk.objects, contents }, print: walk.print.join(" ") };
  }

  #shared(object: object, content: Content): Content {
    const last = this.#last.get(object);
    if (last !== undefined && last.length === content.length && isSame(last, content)) return last;
    this.#last.set(object, content);
    return content;
  }

  /** Makes every object of an image what it was. */
  restore({ objects, contents }: Image): void {
    for (let at = 0; at < objects.length; at++) put(objects[at]!, contents[at]!);
  }
}

/** A value as text, for values without an identity of their own: messages, contexts. */
export function textOf(value: unknown): string {
  return new Walk({ value }).print.join(" ");
}

/** A copy that shares nothing with it. For plain data. */
export function copyOf<T>(value: T): T {
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Uint8Array) return value.slice() as T;
  if (Array.isArray(value)) return value.map(copyOf) as T;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, copyOf(one)])) as T;
}

class Walk {
  readonly objects: object[] = [];
  readonly contents: Content[] = [];
  readonly print: string[] = [];
  readonly #places = new Map<object, number>();
  #unprinted: unknown[] = [];

  constructor(root: object) {
    this.#visit(root);
    const length = this.print.length;
    for (let next = this.#unprinted; next.length > 0; next = this.#unprinted) {
      this.#unprinted = [];
      for (const value of next) this.#visit(value);
    }
    this.print.length = length;
  }

  #visit(value: unknown): void {
    if (typeof value === "function") return void this.print.push(String(value));
    if (typeof value !== "object" || value === null) return void this.print.push(plain(value));
    const place = this.#places.get(value);
    if (place !== undefined) return void this.print.push(`@${place}`);
    this.#places.set(value, this.objects.length);
    this.objects.push(value);
    const at = this.contents.push([]) - 1;
    this.contents[at] = this.#enter(value);
  }

  #enter(value: object): Content {
    if (value instanceof Uint8Array) {
      this.print.push(`b${value.join()}`);
      return value.slice();
    }
    if (Array.isArray(value)) {
      this.print.push(`[${value.length}`);
      for (const one of value) this.#visit(one);
      return [...value];
    }
    if (value instanceof Map) {
      this.print.push(`M${value.size}`);
      for (const [key, one] of inOrder([...value])) {
        this.#visit(key);
        this.#visit(one);
      }
      return [...value].flat(1);
    }
    if (value instanceof Set) {
      this.print.push(`S${value.size}`);
      for (const [key] of inOrder([...value].map((one) => [one, one]))) this.#visit(key);
      return [...value];
    }
    return this.#fields(value as { readonly [key: string]: unknown });
  }

  #fields(value: { readonly [key: string]: unknown }): Content {
    const owner = value.constructor?.name ?? "";
    this.print.push(`{${owner}`);
    if (value instanceof Error) this.print.push(value.message);
    const unprinted = UNPRINTED[owner];
    const content: unknown[] = [];
    for (const key of Object.keys(value)) {
      content.push(key, value[key]);
      if (unprinted?.includes(key)) this.#unprinted.push(value[key]);
      else {
        this.print.push(key);
        this.#visit(value[key]);
      }
    }
    return content;
  }
}

/**
 * By key, where keys are plain: the order in which entries came decides at most in which order effects of one step stand,
 * and merging those leaves every history that is walked a real one.
 */
function inOrder(entries: [unknown, unknown][]): [unknown, unknown][] {
  if (entries.length < 2 || typeof entries[0]![0] === "object") return entries;
  const named = entries.map((entry) => [plain(entry[0]), entry] as const);
  return named.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry);
}

function plain(value: unknown): string {
  switch (typeof value) {
    case "bigint":
      return `${value}n`;
    case "string":
      return JSON.stringify(value);
    default:
      return `${value as number | boolean | null | undefined}`;
  }
}

function isSame(a: Content, b: Content): boolean {
  for (let at = 0; at < a.length; at++) if (!Object.is(a[at], b[at])) return false;
  return true;
}

function put(object: object, content: Content): void {
  if (object instanceof Uint8Array) return object.set(content as Uint8Array);
  const values = content as readonly unknown[];
  if (Array.isArray(object)) {
    object.length = values.length;
    for (let at = 0; at < values.length; at++) if (object[at] !== values[at]) object[at] = values[at];
  } else if (object instanceof Map) {
    object.clear();
    for (let at = 0; at < values.length; at += 2) object.set(values[at], values[at + 1]);
  } else if (object instanceof Set) {
    object.clear();
    for (const value of values) object.add(value);
  } else putFields(object as Record<string, unknown>, values);
}

function putFields(object: Record<string, unknown>, values: readonly unknown[]): void {
  const keys = Object.keys(object);
  if (2 * keys.length !== values.length || keys.some((key, at) => key !== values[2 * at])) {
    for (const key of keys) {
      if (!values.some((value, at) => at % 2 === 0 && value === key)) delete object[key];
    }
  }
  for (let at = 0; at < values.length; at += 2) {
    const key = values[at] as string;
    if (object[key] !== values[at + 1] || !(key in object)) object[key] = values[at + 1];
  }
}
