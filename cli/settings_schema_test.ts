import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { configKeys, settingProblem } from "../core/config_keys.ts";
import { CliError } from "./exit.ts";
import { settingsIn } from "./settings_file.ts";
import { fileProblem, settingsJsonSchema } from "./settings_schema.ts";

const anyScope = fc.constantFrom(
  "cluster",
  "role:storage",
  "role:master",
  "role:admin",
  "role:client",
  "node:s1",
  "node:?",
);
const anyValue = fc.oneof(
  fc.constantFrom("", "0", "1", "-1", "1.5", "007", "deflate", "none", "debug", "ops me@example.com", "a, b"),
  fc.integer({ min: 0, max: 2 ** 40 }).map(String),
);

test("a file of settings is right by the schema when each of its settings is right by the table of keys (T51)", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...configKeys.map(({ key }) => key), "no.such"),
      anyScope,
      anyValue,
      (key, scope, value) => {
        const [kind, of] = scope.split(":") as [string, string | undefined];
        const tables = of === undefined
          ? { [kind]: { [key]: value } }
          : { [kind]: { [of]: { [key]: value } } };
        const isRight = settingProblem({ scope, key, value }) === undefined;
        // twice the same word in a list is what no pattern says
        const [a, b] = value.split(" ");
        if (a === b) return;
        assert.equal(fileProblem(tables) === undefined, isRight, JSON.stringify(tables));
      },
    ),
    { numRuns: 2_000 },
  );
});

test("settingsIn() says what is wrong with a file, where, and what would be right (T51)", () => {
  const said = (tables: Record<string, unknown>): string => {
    try {
      return `${settingsIn(tables, "a.toml").length} settings`;
    } catch (error) {
      assert.ok(error instanceof CliError && error.outcome === "usage");
      return error.message;
    }
  };
  assert.equal(
    said({ cluster: { "client.oidBatch": 10 }, role: { storage: { "storage.packRowsPerS": 0 } } }),
    "2 settings",
  );
  assert.match(
    said({ cluster: { "client.oidBatch": 0 } }),
    /client.oidBatch: expected a whole number from 1 to/,
  );
  assert.match(said({ clutser: {} }), /^Cannot read a.toml: unrecognized key: "clutser"/);
  assert.match(said({ cluster: 5 }), /^Cannot read a.toml: cluster: .*expected object/);
  assert.match(said({ role: { storage: 5 } }), /^Cannot read a.toml: role: storage: .*expected object/);
  assert.match(
    said({ cluster: { "client.oidBatch": [1] } }),
    /^Cannot read a.toml: cluster: client.oidBatch: /,
  );
});

test("settingsJsonSchema() has each key with its bounds, default and description, for the roles that use it (T51)", () => {
  const { properties } = settingsJsonSchema() as never as {
    properties: {
      cluster: { properties: Record<string, Record<string, unknown>> };
      role: { properties: Record<string, { properties: Record<string, unknown> }> };
    };
  };
  assert.deepEqual(Object.keys(properties.cluster.properties), configKeys.map(({ key }) => key));
  const { description, ...rest } = properties.cluster.properties["storage.packRowsPerS"]!;
  assert.deepEqual(rest, { type: "integer", minimum: 0, maximum: 1_000_000, default: 5_000 });
  assert.match(String(description), /deletes while it packs/);
  assert.ok("client.oidBatch" in properties.role.properties["client"]!.properties);
  assert.ok(!("client.oidBatch" in properties.role.properties["storage"]!.properties));
});
