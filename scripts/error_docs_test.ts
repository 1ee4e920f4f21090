import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { errorCodes } from "../core/errors.ts";
import { messages } from "../core/messages.ts";
import { errorsPage, PAGES, staleIn } from "./error_docs.ts";
import { table } from "./markdown.ts";
import { protocolPage } from "./protocol_docs.ts";

test("the committed docs/errors.md and docs/protocol.md are what the sources say (T2, T20)", () => {
  assert.deepEqual(
    staleIn(join(import.meta.dirname ?? ".", "..")),
    [],
    "run deno run -A scripts/error_docs.ts",
  );
});

test("staleIn() names pages that are missing or changed", () => {
  const root = mkdtempSync(join(tmpdir(), "neo-docs-"));
  try {
    assert.deepEqual(staleIn(root), ["docs/errors.md", "docs/protocol.md", "docs/configuration.md"]);
    mkdirSync(join(root, "docs"));
    for (const [path, page] of Object.entries(PAGES)) writeFileSync(join(root, path), page());
    assert.deepEqual(staleIn(root), []);
    writeFileSync(join(root, "docs/errors.md"), `${errorsPage()}\n`);
    assert.deepEqual(staleIn(root), ["docs/errors.md"]);
  } finally {
    rmSync(root, { recursive: true });
  }
});

test("errorsPage() has a row for each code, with its number, cause, remedy and facts (T2)", () => {
  const rows = errorsPage().split("\n").map((line) =>
    line.split("|").map((cell) => cell.trim()).slice(1, -1)
  );
  for (const [code, { number, cause, remedy }] of Object.entries(errorCodes)) {
    const row = rows.find(([name]) => name === `\`${code}\``) ?? assert.fail(`no row for ${code}`);
    assert.equal(row[1], String(number));
    assert.equal(row[2]?.toLowerCase(), cause.toLowerCase());
    assert.equal(row[3]?.toLowerCase(), remedy.toLowerCase());
  }
  assert.match(errorsPage(), /`lockTimeout` .*`oid`: oid; `holder`: ttid/);
});

test("protocolPage() has a section for each message and a row for each field (T20)", () => {
  const sections = new Map(protocolPage().split("\n### ").map((text) => [text.split("\n", 1)[0], text]));
  for (const [name, row] of Object.entries(messages)) {
    const section = sections.get(name) ?? assert.fail(`no section for ${name}`);
    assert.ok(section.includes(` 0x${row.code.toString(16)}, lane \`${row.lane}\``));
    const fields = [...Object.keys(row.body), ...row.kind === "ask" ? Object.keys(row.answer) : []];
    for (const field of fields) assert.ok(section.includes(`| \`${field}\` `), `${name} lacks ${field}`);
  }
});

test("table() pads its columns and escapes bars", () => {
  assert.equal(
    table(["a", "bb"], [["long", "x|y"], ["", ""]]),
    "| a    | bb   |\n| ---- | ---- |\n| long | x\\|y |\n|      |      |\n",
  );
});
