import assert from "node:assert/strict";
import { test } from "node:test";
import { asKept, configKey, configKeys, effectiveSettings, settingProblem } from "./config_keys.ts";
import type { Setting } from "./config_keys.ts";

test("every key has a default that its own rule takes, a role and a description (T51)", () => {
  assert.equal(new Set(configKeys.map(({ key }) => key)).size, configKeys.length);
  for (const { key, default: value, roles, description } of configKeys) {
    assert.equal(settingProblem({ scope: "cluster", key, value }), undefined);
    assert.ok(roles.length > 0 && description.length > 10, key);
  }
  assert.equal(configKey("no.such"), undefined);
});

const PRINT = "0f".repeat(32);

test("asKept() takes a list with commas or spaces, and leaves all else as it is", () => {
  assert.equal(asKept("log.levels", " elections=debug, watch=error,,"), "elections=debug watch=error");
  assert.equal(asKept("client.oidBatch", " 7"), " 7");
  assert.equal(
    settingProblem({ scope: "node:s1", key: "log.levels", value: "watch=info node=debug" }),
    undefined,
  );
});

const wrong: readonly { setting: Setting; says: RegExp }[] = [
  {
    setting: { scope: "cluster", key: "client.oidBatches", value: "1" },
    says: /^client\.oidBatches: there is no such key$/,
  },
  {
    setting: { scope: "cluster", key: "client.oidBatch", value: "-1" },
    says: /from 1 to 100000, found "-1"/,
  },
  { setting: { scope: "cluster", key: "client.oidBatch", value: "1e3" }, says: /found "1e3"/ },
  { setting: { scope: "cluster", key: "client.oidBatch", value: "07" }, says: /found "07"/ },
  {
    setting: { scope: "role:storage:s1", key: "storage.copyBytesPerS", value: "1" },
    says: /expected scope .*found "role:storage:s1"/,
  },
  {
    setting: { scope: "node:s1:s2", key: "storage.copyBytesPerS", value: "1" },
    says: /expected scope .*found "node:s1:s2"/,
  },
  {
    setting: { scope: "cluster", key: "log.level", value: "loud" },
    says: /one of debug, info, .*found "loud"/,
  },
  {
    setting: { scope: "cluster", key: "log.levels", value: "elections=loud" },
    says: /MODULE=LEVEL of the modules .*found "elections=loud"/,
  },
  {
    setting: { scope: "cluster", key: "log.levels", value: "votes=debug" },
    says: /elections, .*found "votes=debug"/,
  },
  {
    setting: { scope: "cluster", key: "log.levels", value: "watch=info watch=debug" },
    says: /"watch" stands there twice/,
  },
  {
    setting: { scope: "cluster", key: "tls.revoked", value: `${PRINT} ${PRINT}` },
    says: /stands there twice/,
  },
  {
    setting: { scope: "node:s1", key: "tls.revoked", value: "" },
    says: /for the whole cluster, not for node:s1/,
  },
  {
    setting: { scope: "role:master", key: "client.oidBatch", value: "1" },
    says: /for client, not for role "master"/,
  },
  { setting: { scope: "role", key: "client.oidBatch", value: "1" }, says: /not for role undefined/ },
  { setting: { scope: "node:", key: "log.level", value: "info" }, says: /found "node:"/ },
  {
    setting: { scope: "everywhere", key: "log.level", value: "info" },
    says: /expected scope .*"everywhere"/,
  },
];

for (const { setting, says } of wrong) {
  test(`settingProblem() of ${setting.key}=${setting.value} for ${setting.scope} names key, rule and value (T51)`, () => {
    assert.match(settingProblem(setting) ?? "", says);
  });
}

test("effectiveSettings(): a node's own counts more than its role's, that more than the cluster's (X3)", () => {
  const settings: Setting[] = [
    { scope: "node:s1", key: "log.level", value: "debug" },
    { scope: "cluster", key: "log.level", value: "error" },
    { scope: "role:storage", key: "log.level", value: "warning" },
    { scope: "cluster", key: "client.oidBatch", value: "7" },
  ];
  const of = (role: "storage" | "admin" | "client", name: string) =>
    Object.fromEntries(effectiveSettings(settings, { role, name }));
  assert.deepEqual(of("storage", "s1"), { "log.level": "debug" });
  assert.deepEqual(of("storage", "s2"), { "log.level": "warning" });
  assert.deepEqual(of("admin", "a1"), { "log.level": "error" });
  assert.deepEqual(of("client", ""), { "client.oidBatch": "7" });
});
