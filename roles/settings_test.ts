import assert from "node:assert/strict";
import { test } from "node:test";
import type { Conn } from "../core/ids.ts";
import { Settings } from "./settings.ts";

const primary = 5 as Conn;
const whole = (revision: number, values: { [key: string]: string }) => ({
  revision,
  isWhole: true,
  values: Object.entries(values).map(([key, value]) => ({ key, value })),
});

test("Settings.take() lets live keys count at once, and says which wait for a restart (T51)", () => {
  const settings = new Settings();
  assert.deepEqual([settings.number("client.oidBatch"), settings.number("storage.postgresReaders")], [
    100,
    4,
  ]);
  const effects = settings.take(
    whole(3, { "client.oidBatch": "7", "storage.postgresReaders": "9" }),
    primary,
  );
  const [output, told] = [effects[0], effects.at(-1)];
  assert.deepEqual([settings.number("client.oidBatch"), settings.number("storage.postgresReaders")], [7, 4]);
  assert.ok(told?.do === "tell" && output?.do === "output");
  assert.deepEqual(told.conns, [primary]);
  assert.deepEqual(told.message.body, { revision: 3, pending: ["storage.postgresReaders"], overrides: [] });
  assert.equal(output.output.settings.revision, 3);

  const next = new Settings({ kept: output.output.settings });
  assert.equal(next.number("storage.postgresReaders"), 9, "it counts at the next start");
});

test("Settings.take() of a difference changes what it names; null is the default again (X3)", () => {
  const settings = new Settings();
  settings.take(whole(1, { "client.oidBatch": "7", "log.level": "debug" }), primary);
  const values = [{ key: "client.oidBatch", value: null }];
  settings.take({ revision: 2, isWhole: false, values }, primary);
  assert.deepEqual([settings.revision, settings.set("client.oidBatch"), settings.text("log.level")], [
    2,
    undefined,
    "debug",
  ]);
  settings.take(whole(3, {}), primary);
  assert.equal(settings.text("log.level"), "info");
});

test("Settings: what is set on the node itself counts more, and the primary hears of it (T51)", () => {
  const settings = new Settings({ overrides: { "log.level": "error" } });
  const told = settings.take(whole(1, { "log.level": "debug" }), primary).at(-1);
  assert.equal(settings.text("log.level"), "error");
  assert.ok(told?.do === "tell");
  assert.deepEqual(told.message.body, { revision: 1, pending: [], overrides: ["log.level"] });
});

test("Settings.take() tells the connections how long peers are waited for, and whom not to believe (T51)", () => {
  const settings = new Settings();
  const print = "a".repeat(64);
  const effects = settings.take(whole(1, { "peer.keepaliveMs": "500", "tls.revoked": print }), primary);
  const times = { keepaliveMs: 500, primaryKeepaliveMs: 1_000, writeTimeoutMs: 15_000 };
  assert.deepEqual(effects.slice(1, -1), [
    { do: "distrust", fingerprints: [print] },
    { do: "retime", times },
  ]);
});

test("Settings.take() says from which level on each module logs (T51)", () => {
  const settings = new Settings({ overrides: { "log.levels": "watch=error copies=debug" } });
  assert.deepEqual(settings.output.logLevels, {
    level: "info",
    modules: { watch: "error", copies: "debug" },
  });
  const plain = new Settings();
  plain.take(whole(1, { "log.level": "error", "log.levels": "elections=debug tomorrows=debug" }), primary);
  assert.deepEqual(plain.output.logLevels, { level: "error", modules: { elections: "debug" } });
});

test("Settings leaves keys of a newer primary alone", () => {
  const settings = new Settings();
  const told = settings.take(whole(1, { "of.tomorrow": "1" }), primary).at(-1);
  assert.ok(told?.do === "tell");
  assert.deepEqual(told.message.body, { revision: 1, pending: [], overrides: [] });
});
