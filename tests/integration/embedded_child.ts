// deno-lint-ignore-file no-console
/**
 * A program with an embedded database, for tests: commits one value, says so, and stays until its input ends. Without
 * `close` it leaves the rest to the end of its process, which must come by itself.
 */
import process from "node:process";
import { connect, toOid } from "../../mod.ts";

const [directory = "", value = ""] = process.argv.slice(2);
const client = await connect({ directory });
const { tid } = await client.transact(async (tx) => {
  await tx.load(toOid(1));
  tx.store(toOid(1), new TextEncoder().encode(value));
});
console.log(`${tid}`);
for await (const _ of process.stdin); // nobody writes there
await client.close();
