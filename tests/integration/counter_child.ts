/** A program that adds 1 to shared counters, again and again, for tests. */
import { connect, DatabaseError } from "../../mod.ts";
import type { Oid } from "../../mod.ts";
import { addBoth, bytesOf, numberOf } from "./numbers.ts";
import { runProgram } from "./programs.ts";

/** What it is told. */
export interface CounterStart {
  readonly uri: string;
  readonly name: string;
  readonly counters: readonly Oid[];
  readonly increments: number;
  readonly resolves: boolean;
}

/** What it says in the end. */
export interface CounterResult {
  /** Calls that returned. */
  readonly done: number;
  /** Codes of those that didn't. */
  readonly failed: readonly string[];
  /** How often the function was run for each that returned: [attempts, how many]. */
  readonly attempts: readonly (readonly [number, number])[];
  readonly resolved: number;
}

await runProgram<CounterStart>(async ({ uri, name, counters, increments, resolves }, parent) => {
  const client = await connect(uri, { name });
  parent.say("ready");
  await parent.hear();
  const attempts = new Map<number, number>();
  const failed: string[] = [];
  let resolved = 0;
  const resolve: typeof addBoth = (conflict) => {
    resolved += 1;
    return addBoth(conflict);
  };
  for (let at = 0; at < increments; at++) {
    const counter = counters[Math.floor(Math.random() * counters.length)]!;
    try {
      const done = await client.transact(async (tx) => {
        tx.store(counter, bytesOf(numberOf(await tx.load(counter)) + 1));
      }, resolves ? { resolve } : {});
      attempts.set(done.attempts, (attempts.get(done.attempts) ?? 0) + 1);
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error;
      failed.push(error.code);
    }
  }
  const result: CounterResult = {
    done: increments - failed.length,
    failed,
    attempts: [...attempts].sort(([a], [b]) => a - b),
    resolved,
  };
  parent.say(result);
  await client.close();
});
