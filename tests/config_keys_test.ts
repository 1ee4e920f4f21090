/** No key of the configuration is taken and then ignored. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { configKeys, NOTIFY_TO, TLS_REVOKED } from "../core/config_keys.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** All that the parts of a node say which could read a key. */
const sources = ["roles", "adapters", "cli"].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.endsWith("_test.ts"))
    .map((name) => readFileSync(join(root, folder, name), "utf8"))
).join("\n");

/** How a key is written where it is read, if not by its name in quotes. */
const spelled: { readonly [key: string]: string } = {
  [TLS_REVOKED]: "TLS_REVOKED",
  [NOTIFY_TO]: "NOTIFY_TO",
  "master.startupGraceMs": "`master.${name}`",
  "master.failoverGraceMs": "`master.${name}`",
};

for (const { key } of configKeys) {
  test(`${key} is read by some part of a node, so that what is set isn't ignored (T51)`, () => {
    assert.ok(sources.includes(spelled[key] ?? `"${key}"`), `nobody reads ${key}`);
  });
}
