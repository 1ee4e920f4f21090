/** A program that takes changes from where another has stopped, for tests. */
import { connect } from "../../mod.ts";
import type { Change, Oid, Tid } from "../../mod.ts";
import { runProgram } from "./programs.ts";

/** What it is told. */
export interface FeedStart {
  readonly uri: string;
  readonly since: Tid;
  /** The last transaction is the first that writes this object. */
  readonly marker: Oid;
}

await runProgram<FeedStart>(async ({ uri, since, marker }, parent) => {
  const client = await connect(uri);
  parent.say("ready");
  const changes: Change[] = [];
  for await (const change of client.changes({ since })) {
    changes.push(change);
    if (change.oids.includes(marker)) break;
  }
  parent.say(changes);
  await client.close();
});
