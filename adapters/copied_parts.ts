/** Parts of values that one copy of a partition brings to another: they wait for the revision that they belong to. */
import { invariant } from "../core/errors.ts";
import type { Oid, Tid } from "../core/ids.ts";
import type { RevisionKey } from "../core/ports.ts";

interface Waiting<P> extends RevisionKey {
  readonly kept: P;
  count: number;
}

/** Which parts wait; `P` is what is kept of a value's. Those of several revisions may come in turns. */
export class CopiedParts<P> {
  readonly #waiting = new Map<string, Waiting<P>>();

  /** The revisions whose parts wait. */
  entries(): readonly (RevisionKey & { readonly kept: P })[] {
    return [...this.#waiting.values()];
  }

  /**
   * Takes the next part of a value, and gives where it is kept. The first one begins: `begin` is asked for a new place, and
   * what waited before must have been taken away.
   */
  part(at: RevisionKey & { readonly seq: number }, begin: () => P): P {
    const { oid, tid, seq } = at;
    const key = keyOf(oid, tid);
    let waiting = this.#waiting.get(key);
    invariant(seq === (waiting?.count ?? 0), "a copied part follows the one before it");
    if (waiting === undefined) this.#waiting.set(key, waiting = { oid, tid, kept: begin(), count: 0 });
    waiting.count++;
    return waiting.kept;
  }

  /** Hands out the parts of a revision. */
  take({ oid, tid }: RevisionKey): P | undefined {
    const key = keyOf(oid, tid);
    const waiting = this.#waiting.get(key);
    this.#waiting.delete(key);
    return waiting?.kept;
  }
}

function keyOf(oid: Oid, tid: Tid): string {
  return `${oid} ${tid}`;
}
