import assert from "node:assert/strict";
import { test } from "node:test";
import { importsOf, lineAt, mask, sourceFile, testTitlesOf } from "./source_text.ts";

/** `_` stands for a blank in `expected`, to see them. */
const cases = [
  { what: "line comments", source: "a // b 'c\nd", expected: "a _______\nd" },
  { what: "block comments", source: "a /* ' \n ` */ b", expected: "a _____\n_____ b" },
  { what: "both quotes", source: `a("b'") + 'c"'`, expected: `a("__") + '__'` },
  { what: "escaped quotes", source: String.raw`a("b\"c", 'd\\')`, expected: `a("____", '___')` },
  {
    what: "template text, not its code",
    source: "`a ${b + `c ${d}`} e` + f",
    expected: "`__${b + `__${d}`}__` + f",
  },
  {
    what: "braces within template code",
    source: "`${{ a: { b } }.a} c` + d",
    expected: "`${{ a: { b } }.a}__` + d",
  },
  { what: "strings within template code", source: '`${a("}")}b`', expected: '`${a("_")}_`' },
  { what: "regular expressions", source: "a = /['\"`{]/g.test(b)", expected: "a = _________.test(b)" },
  { what: "slashes in a class", source: "a(/[/'\\]]x/u)", expected: "a(__________)" },
  { what: "an expression after return", source: "return /'/.test(a)", expected: "return ___.test(a)" },
  {
    what: "no division",
    source: "a / b + (c) / d + e[0] / 'f' / 2",
    expected: "a / b + (c) / d + e[0] / '_' / 2",
  },
  {
    what: "no division after x++ and x!",
    source: "a++ / 'b' / c! / 'd' / e",
    expected: "a++ / '_' / c! / '_' / e",
  },
  { what: "an expression after !", source: "!/'/.test(a)", expected: "!___.test(a)" },
  { what: "a first line for the shell", source: "#!/usr/bin/env 'x\na", expected: "_________________\na" },
];

for (const { what, source, expected } of cases) {
  test(`mask() handles ${what}`, () => {
    const masked = mask(source);

    assert.equal(masked.length, source.length);
    assert.equal(masked.replaceAll(" ", "_"), expected.replaceAll(" ", "_"));
  });
}

test("mask() reads on to the end of a comment, string or template that nobody closed", () => {
  for (const source of ["/* a", "'a", "`a", "`${a", '"a\\']) assert.equal(mask(source).length, source.length);
});

test("lineAt() counts from 1 and gives a line end to the line it closes", () => {
  assert.deepEqual([0, 1, 2, 3].map((at) => lineAt("a\nb\n", at)), [1, 1, 2, 2]);
});

test("importsOf() finds every way to name a module, and no word that looks like one", () => {
  const text = [
    `import { a } from "./a.ts";`,
    `import type { B } from "./b.ts";`,
    `import "./c.ts";`,
    `export * from "./d.ts";`,
    `const e = await import("./e.ts");`,
    `// import { f } from "./f.ts";`,
    `const g = "import './g.ts'" + Array.from("h");`,
    "import {",
    "  i,",
    `} from "./i.ts";`,
  ].join("\n");

  const found = importsOf(sourceFile("x.ts", text));

  assert.deepEqual(
    found.map(({ specifier, line, dynamic }) => `${line} ${specifier}${dynamic ? " dynamic" : ""}`),
    ["1 ./a.ts", "2 ./b.ts", "3 ./c.ts", "4 ./d.ts", "5 ./e.ts dynamic", "10 ./i.ts"],
  );
});

test("testTitlesOf() reads literal titles of tests, not strings that hold tests", () => {
  const text = [
    `test("one", () => {});`,
    "await t.test(`two ${name} three`, () => {});",
    `test.only("four", () => {});`,
    "const sample = 'test(\"five\")';",
    `// test("six")`,
    `contest("seven");`,
    `testWith(\n  signals,\n  "eight",`,
  ].join("\n");

  assert.deepEqual(testTitlesOf(sourceFile("x_test.ts", text)), [
    "one",
    "two ${name} three",
    "four",
    "eight",
  ]);
});
