import assert from "node:assert/strict";
import { test } from "node:test";
import { confirm } from "./confirm.ts";
import type { Cli } from "./context.ts";
import { CliError } from "./exit.ts";

const refusal = new CliError("usage", "Cannot pack without --yes: much would go");
const question = { cluster: "shop", what: "much of shop would go", refusal };

/** A command line whose terminal answers that; undefined: there is no terminal. */
function cliOf(typed: string | null | undefined, json = false): { cli: Cli; asked: string[] } {
  const asked: string[] = [];
  const ask = (text: string): Promise<string | undefined> => {
    asked.push(text);
    return Promise.resolve(typed ?? undefined);
  };
  const world = typed === undefined ? {} : { ask };
  return { cli: { world, output: { json } } as never, asked };
}

test("confirm() goes on when the cluster's name is typed, and only then (T22)", async () => {
  const { cli, asked } = cliOf("shop\n");
  await confirm(cli, question);
  assert.deepEqual(asked, ["Much of shop would go.\nType the name of the cluster, shop, to go on: "]);
  for (const typed of ["yes", "Shop", "", null]) {
    const { cli } = cliOf(typed);
    await assert.rejects(confirm(cli, question), (error) => {
      return error instanceof CliError && error.outcome === "refused"
        && /^Nothing was done: /.test(error.message);
    });
  }
});

test("confirm() of a program that hasn't said --yes is wrong usage: nobody is asked (T22)", async () => {
  for (const { cli, asked } of [cliOf(undefined), cliOf("shop", true)]) {
    await assert.rejects(confirm(cli, question), refusal);
    assert.deepEqual(asked, []);
  }
});
