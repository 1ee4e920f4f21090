/** A program that changes one object, slowly, for tests: each step when it is told to. */
import { connect, DatabaseError } from "../../mod.ts";
import type { Oid, Tid } from "../../mod.ts";
import { addBoth, bytesOf, numberOf } from "./numbers.ts";
import { runProgram } from "./programs.ts";

/** What it is told first; then `commit`; then, if it resolves, `resolve` for each conflict that it says. */
export interface HangStart {
  readonly uri: string;
  readonly oid: Oid;
  /** Stands in the transaction's note. */
  readonly mark: string;
  /** Whether it makes one of two changes, when it is told to. */
  readonly resolves: boolean;
}

/** How its commit ended. */
export type HangResult =
  | { readonly tid: Tid }
  | { readonly error: { readonly name: string; readonly code: string; readonly message: string } };

await runProgram<HangStart>(async ({ uri, oid, mark, resolves }, parent) => {
  const client = await connect(uri);
  const resolve: (conflict: Parameters<typeof addBoth>[0]) => Promise<Uint8Array> = async (conflict) => {
    parent.say("resolving");
    await parent.hear();
    return addBoth(conflict);
  };
  const tx = await client.begin(resolves ? { resolve } : {});
  tx.store(oid, bytesOf(numberOf(await tx.load(oid)) + 1));
  tx.note({ user: mark });
  parent.say("ready");
  await parent.hear();
  const say = (result: HangResult): void => parent.say(result);
  try {
    say({ tid: await tx.commit({ withinMs: 120_000 }) });
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    const { name, code, message } = error;
    say({ error: { name, code, message } });
  }
  await client.close();
});
