/** A program that reads an object as soon as it is told that it was changed, in many clients at once, for tests. */
import { connect } from "../../mod.ts";
import type { Client, Oid } from "../../mod.ts";
import { numberOf } from "./numbers.ts";
import { runProgram } from "./programs.ts";

/** What it is told first: a URI for each client. */
export interface FreshStart {
  readonly uris: readonly string[];
  readonly oid: Oid;
}

/** What each client reads, as it begins at once, and as it begins by default. */
export interface FreshWord {
  readonly is: "atOnce" | "fresh";
  readonly values: readonly number[];
}

await runProgram<FreshStart>(async ({ uris, oid }, parent) => {
  const clients = await Promise.all(uris.map((uri) => connect(uri)));
  const read = async (client: Client, sync: boolean): Promise<number> =>
    numberOf(await (await client.begin({ sync })).load(oid));
  const all = (sync: boolean): Promise<number[]> => Promise.all(clients.map((client) => read(client, sync)));
  const say = (word: FreshWord): void => parent.say(word);
  await all(true);
  parent.say("ready");
  while (await parent.hear() === "changed") {
    const fresh = all(true);
    say({ is: "atOnce", values: await all(false) }); // by now all of them have asked
    say({ is: "fresh", values: await fresh });
  }
  await Promise.all(clients.map((client) => client.close()));
});
