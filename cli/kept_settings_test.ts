import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { keepSettings, keptSettings, settingsOf, taking } from "./kept_settings.ts";

const REVOKED = { "tls.revoked": "a".repeat(64) };

function withFolder(
  body: (node: { data: string; name: string; role: "storage"; address: string; process: string }) => void,
): void {
  const data = mkdtempSync(join(tmpdir(), "neo-kept-"));
  try {
    body({ data, name: "s1", role: "storage", address: "127.0.0.1:1", process: "s1" });
  } finally {
    rmSync(data, { recursive: true });
  }
}

const damages: { readonly [what: string]: (path: string) => void } = {
  torn: (path) => truncateSync(path, 20),
  empty: (path) => truncateSync(path, 0),
  "changed by hand": (path) => writeFileSync(path, readFileSync(path, "utf8").replace("aaa", "bbb")),
  "no object": (path) => writeFileSync(path, "null"),
};
for (const [what, damage] of Object.entries(damages)) {
  test(`settingsOf: a kept configuration that is ${what} is as if there were none, and the log says so (T51)`, () =>
    withFolder((node) => {
      keepSettings(node, { revision: 7, values: REVOKED });
      damage(join(node.data, "settings.json"));
      const said: string[] = [];
      const settings = settingsOf(node, (level, text) => void said.push(`${level} ${text}`));
      assert.deepEqual([settings.revision, settings.revoked], [0, []]);
      assert.match(said.join("; "), /^warning Cannot use .*settings\.json: .*starts with the defaults/);
    }));
}

test("settingsOf: a node that never had a configuration says nothing of it (T51)", () =>
  withFolder((node) => {
    const said: string[] = [];
    assert.equal(settingsOf(node, (_level, text) => void said.push(text)).revision, 0);
    assert.deepEqual(said, []);
  }));

test("taking: what is kept is what was said last, also under a number that was there before (T51)", () =>
  withFolder((node) => {
    const take = taking(node, () => {});
    const { output } = settingsOf(node);
    for (const values of [{}, REVOKED]) {
      take({ ...output, settings: { revision: 3, values } });
      assert.deepEqual(keptSettings(node), { revision: 3, values });
    }
  }));
