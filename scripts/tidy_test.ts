import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { sourceFile } from "./source_text.ts";
import { readTree } from "./tidy.ts";
import { featuresWithoutTest, findingsIn } from "./tidy_rules.ts";

/** What tidy says about one file, without places: `error: ...`. */
function said(path: string, text: string): string[] {
  return findingsIn(sourceFile(path, text)).map(({ level, message }) => `${level}: ${message}`);
}

function fails(path: string, text: string, expected: RegExp): void {
  const messages = said(path, text);
  assert.equal(messages.length, 1, `${path}: ${text}\n${messages.join("\n")}`);
  assert.match(messages[0] ?? "", expected);
}

const LEFTOVERS = ["TO" + "DO", "FIX" + "ME", "X".repeat(3)];

test("tidy fails on leftovers in code, comments and documents (T6)", () => {
  for (const word of LEFTOVERS) {
    fails("core/a.ts", `// ${word}: later`, /^error: \w+ is left/);
    fails("core/a_test.ts", `const a = "${word}";`, /is left/);
    fails("README.md", `${word} write this`, /is left/);
    fails(".ci/run", `# ${word}`, /is left/);
  }
  assert.deepEqual(said("core/a.ts", `const method = "${LEFTOVERS[0]}S";`), []);
});

const imports = [
  { path: "core/a.ts", names: "./b.ts", may: true },
  { path: "core/a.ts", names: "cborg", may: true },
  { path: "core/a.ts", names: "cborg/length", may: true },
  { path: "core/a.ts", names: "@logtape/logtape", may: false },
  { path: "core/a.ts", names: "fast-check", may: false },
  { path: "core/a.ts", names: "node:crypto", may: false },
  { path: "core/a.ts", names: "../roles/host.ts", may: false },
  { path: "core/a.ts", names: "../tests/mod.ts", may: false },
  { path: "core/a_test.ts", names: "node:test", may: true },
  { path: "core/a_test.ts", names: "../tests/mod.ts", may: true },
  { path: "roles/host.ts", names: "../core/ports.ts", may: true },
  { path: "roles/host.ts", names: "./peer.ts", may: true },
  { path: "roles/host.ts", names: "./master/master.ts", may: false },
  { path: "roles/mod.ts", names: "./master/master.ts", may: true },
  { path: "roles/mod.ts", names: "../adapters/tcp.ts", may: false },
  { path: "roles/master/a.ts", names: "./b.ts", may: true },
  { path: "roles/master/a.ts", names: "../host.ts", may: true },
  { path: "roles/master/a.ts", names: "../../core/ids.ts", may: true },
  { path: "roles/master/a.ts", names: "../storage/storage.ts", may: false },
  { path: "roles/master/a.ts", names: "../master_two/a.ts", may: false },
  { path: "roles/master/a.ts", names: "../../adapters/tcp.ts", may: false },
  { path: "roles/master/a.ts", names: "node:net", may: false },
  { path: "adapters/tcp.ts", names: "node:net", may: true },
  { path: "adapters/tcp.ts", names: "../core/ports.ts", may: true },
  { path: "adapters/tcp.ts", names: "./system.ts", may: true },
  { path: "adapters/tcp.ts", names: "../roles/peer.ts", may: false },
  { path: "adapters/tcp.ts", names: "@stricli/core", may: false },
  { path: "objects/tree.ts", names: "../roles/client/client.ts", may: true },
  { path: "objects/tree.ts", names: "../roles/master/master.ts", may: false },
  { path: "cli/main.ts", names: "../adapters/tcp.ts", may: true },
  { path: "cli/main.ts", names: "node:process", may: true },
  { path: "scripts/a.ts", names: "../roles/mod.ts", may: true },
  { path: "tests/simulation/a.ts", names: "../../roles/master/master.ts", may: true },
  { path: "mod.ts", names: "./roles/client/client.ts", may: true },
  { path: "mod.ts", names: "./adapters/tcp.ts", may: false },
  { path: "mod.ts", names: "./cli/main.ts", may: false },
  { path: "mod.ts", names: "node:net", may: false },
];
for (const { path, names, may } of imports) {
  test(`tidy ${may ? "lets" : "forbids"} ${path} ${may ? "" : "to "}import ${names}`, () => {
    for (const text of [`import { a } from "${names}";`, `export * from "${names}";`, `import "${names}";`]) {
      if (may) assert.deepEqual(said(path, text), []);
      else fails(path, text, /^error: /);
    }
  });
}

test("tidy lets mod.ts load an adapter when it is needed, and no role do so", () => {
  assert.deepEqual(said("mod.ts", `const tcp = await import("./adapters/tcp.ts");`), []);
  fails("roles/host.ts", `const tcp = await import("../adapters/tcp.ts");`, /roles must not import adapters/);
});

test("tidy finds timers outside the clock adapter and tests (T10)", () => {
  const timers = [
    "setTimeout(run, 5);",
    "const id = globalThis.setInterval(run, 5);",
    "setImmediate(run);",
    "await sleep(5);",
    "Atomics.wait(view, 0, 0, 5);",
    "const signal = AbortSignal.timeout(5);",
    `import { scheduler } from "node:timers/promises";`,
  ];
  for (const text of timers) {
    for (const path of ["adapters/tcp.ts", "cli/main.ts", "scripts/a.ts"]) fails(path, text, /is a timer/);
    for (const path of ["adapters/system.ts", "adapters/tcp_test.ts", "tests/proxy.ts"]) {
      assert.deepEqual(said(path, text), []);
    }
  }
  assert.deepEqual(
    said("roles/host.ts", "// setTimeout() has no place here\nclearTimers('setTimeout');"),
    [],
  );
});

test("tidy forbids core and roles to read a clock, chance or the runtime (T10)", () => {
  const inputs = [
    "const now = Date.now();",
    "const now = new Date();",
    "const now = performance.now();",
    "const chance = Math.random();",
    "const id = crypto.randomUUID();",
    "const id = process.pid;",
    "const bytes = Buffer.from(text);",
    "const pid = Deno.pid;",
  ];
  for (const text of inputs) {
    for (const path of ["core/a.ts", "roles/host.ts", "roles/master/a.ts", "objects/a.ts"]) {
      fails(path, text, /reaches around the ports/);
    }
    for (const path of ["core/a_test.ts", "adapters/system.ts", "cli/main.ts"]) {
      assert.deepEqual(said(path, text), []);
    }
  }
  assert.deepEqual(said("core/a.ts", "const day = new Date(wallMs); const utc = Date.UTC(2026, 1);"), []);
});

test("tidy warns about long files, and fails on very long ones unless they are tests", () => {
  const long = "a();\n".repeat(301);
  const tooLong = "a();\n".repeat(501);
  assert.deepEqual(said("core/a.ts", "a();\n".repeat(300)), []);
  fails("core/a.ts", long, /^warning: 301 lines/);
  fails("core/a.ts", tooLong, /^error: 501 lines/);
  fails("core/a_test.ts", tooLong, /^warning: 501 lines/);
  fails("tests/simulation/a.ts", tooLong, /^warning: 501 lines/);
  assert.deepEqual(said("README.md", tooLong), []);
});

test("tidy fails on functions over 70 lines, and warns about such tests", () => {
  const functionOf = (lines: number) => `function f() {\n${"  a();\n".repeat(lines - 2)}}\n`;
  assert.deepEqual(said("core/a.ts", functionOf(70)), []);
  fails("core/a.ts", functionOf(71), /^error: f has 71 lines/);
  fails("tests/a.ts", functionOf(71), /^warning: f has 71 lines/);
});

test("tidy finds paths and hosts of one machine", () => {
  const folders = [["work", "main"], ["root", ".ssh"], ["home", "ada"], ["Users", "ada"]];
  for (const [top, rest] of folders) fails("README.md", `see /${top}/${rest}`, /belongs to one machine/);
  for (const host of ["mirror.example.org", "npm.internal", "registry.example.org"]) {
    fails("deno.lock", `"https:/` + `/${host}/a.tgz"`, /belongs to one machine/);
  }
  const fine = "https://packages.example.org/a https://example.org/work/a ./home/a ../root/a";
  assert.deepEqual(said("README.md", fine), []);
});

test("featuresWithoutTest() names the ids that stand in no title", () => {
  const files = [
    sourceFile("core/a_test.ts", `test("a() holds (T1)", () => {});\n// T2\ntest("T31", () => {});`),
    sourceFile("tests/conformance/b.ts", "test(`${name} keeps T4, T5`, () => {});"),
    sourceFile("core/a.ts", `test("T6", () => {});`),
  ];

  const [finding, ...others] = featuresWithoutTest(files, ["T1", "T2", "T3", "T4", "T5", "T6"]);

  assert.equal(finding?.level, "error");
  assert.match(finding?.message ?? "", /^no test names T2 T3 T6;/);
  assert.deepEqual(others, []);
  assert.deepEqual(featuresWithoutTest(files, ["T1", "T5"]), []);
});

test("readTree() reads text files and leaves out what nobody writes", () => {
  const root = mkdtempSync(join(tmpdir(), "neo-tidy-"));
  try {
    for (const folder of ["core", ".ci", "node_modules/a", "coverage"]) {
      mkdirSync(join(root, folder), { recursive: true });
    }
    const written = [
      ".ci/run",
      "core/a.ts",
      "node_modules/a/b.ts",
      "coverage/c.json",
      "README.md",
      "data.fs",
    ];
    for (const path of written) writeFileSync(join(root, path), "");

    assert.deepEqual(readTree(root).map(({ path }) => path), [".ci/run", "README.md", "core/a.ts"]);
  } finally {
    rmSync(root, { recursive: true });
  }
});
