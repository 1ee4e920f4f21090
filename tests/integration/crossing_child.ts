/** A program whose transactions add 1 to several objects each, in an order of its own, for tests. */
import { connect, DatabaseError } from "../../mod.ts";
import type { Oid } from "../../mod.ts";
import { addBoth, bytesOf, numberOf } from "./numbers.ts";
import { runProgram } from "./programs.ts";

/** What it is told. */
export interface CrossingStart {
  readonly uri: string;
  readonly name: string;
  /** In the order in which they are written; `shuffled`: each transaction takes some of them, in any order. */
  readonly oids: readonly Oid[];
  readonly shuffled: boolean;
  readonly commits: number;
  /** Transactions under way at a time. */
  readonly lanes: number;
}

/** What it says in the end. */
export interface CrossingResult {
  /** How often each object was added to by transactions that were committed. */
  readonly added: readonly { readonly oid: Oid; readonly count: number }[];
  /** Whatever commits failed with. */
  readonly errors: readonly string[];
  readonly resolved: number;
}

function someOf(oids: readonly Oid[]): Oid[] {
  const keyed = oids.map((oid) => ({ oid, key: Math.random() })).sort((a, b) => a.key - b.key);
  return keyed.slice(0, 2 + Math.floor(Math.random() * (oids.length - 1))).map(({ oid }) => oid);
}

await runProgram<CrossingStart>(async ({ uri, name, oids, shuffled, commits, lanes }, parent) => {
  const client = await connect(uri, { name });
  parent.say("ready");
  await parent.hear();
  const added = new Map<Oid, number>();
  const errors: string[] = [];
  let resolved = 0;
  let left = commits;
  const resolve: typeof addBoth = (conflict) => {
    resolved += 1;
    return addBoth(conflict);
  };
  const lane = async (): Promise<void> => {
    while (left-- > 0) {
      const wanted = shuffled ? someOf(oids) : oids;
      try {
        const tx = await client.begin({ resolve });
        for (const oid of wanted) tx.store(oid, bytesOf(numberOf(await tx.load(oid)) + 1));
        await tx.commit();
        for (const oid of wanted) added.set(oid, (added.get(oid) ?? 0) + 1);
      } catch (error) {
        if (!(error instanceof DatabaseError)) throw error;
        errors.push(`${error.code}: ${error.message}`);
      }
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  const result: CrossingResult = {
    added: [...added].map(([oid, count]) => ({ oid, count })),
    errors,
    resolved,
  };
  parent.say(result);
  await client.close();
});
