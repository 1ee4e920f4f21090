import assert from "node:assert/strict";
import { test } from "node:test";
import { functionsOf } from "./function_length.ts";
import { mask } from "./source_text.ts";

/** `%` stands for a body of three lines. */
const cases = [
  { source: "function f(a: number) %", names: ["f"] },
  { source: "export async function* g<T extends { a: 1 }>(a: T) %", names: ["a function"] },
  { source: "const f = (a = (b)) => %", names: ["f"] },
  { source: "const f = async (a) => %", names: ["f"] },
  { source: "run(a => %)", names: ["a function"] },
  { source: "run((a) => %, () => %)", names: ["a function", "a function"] },
  {
    source: "class A extends mixin(B) {\nf() %\nget #g(): number %\nstatic async h() %\n}",
    names: ["f", "#g", "h"],
  },
  {
    source: "class A {\nconstructor(a: { b: number }) %\n[Symbol.dispose](): void %\n}",
    names: ["constructor", "a function"],
  },
  { source: "function f(): { a: number } %", names: ["f"] },
  { source: "function f(): Promise<Map<string, { a: () => void }>> %", names: ["f"] },
  { source: "function f(): A | { b: 1 }[] | readonly C[] %", names: ["f"] },
  { source: "function f(x: unknown): x is A.B %", names: ["f"] },
  { source: "function f(): () => void %", names: ["f"] },
  { source: "function f(): 'a' | \"b\" %", names: ["f"] },
  { source: "const f = (a): Promise<void> => %", names: ["f"] },
  { source: "const f = (a): { b: number } => %", names: ["f"] },
  { source: "function f() {\nreturn a.constructor.toString();\n}\nfunction g() %", names: ["f", "g"] },
  { source: "if (a) %", names: [] },
  { source: "for (const a of b(c)) %", names: [] },
  { source: "for await (const a of b) %", names: [] },
  { source: "try %\ncatch (e) %", names: [] },
  { source: "switch (f(a)) %", names: [] },
  { source: "x = a ? (b) : { c: f(d) };\n%", names: [] },
  { source: "interface A { f(a: number): { b: number }; g(): void }\nif (a) %", names: [] },
  { source: "const a = 'function f() {' + /function g() {/ + `function h() {`;", names: [] },
];

for (const { source, names } of cases) {
  test(`functionsOf() finds [${names}] in ${source.replaceAll("\n", " ")}`, () => {
    const spans = functionsOf(mask(source.replaceAll("%", "{\nbody;\n}")));

    assert.deepEqual(spans.map(({ name }) => name), names);
    assert.ok(spans.every(({ lines }) => lines === 3), JSON.stringify(spans));
  });
}

test("functionsOf() counts from the head to the closing brace, with what stands within", () => {
  const code = "\nfunction f(\n  a: number,\n): void {\n  run(() => {\n    a;\n  });\n}\n";

  assert.deepEqual(functionsOf(code), [
    { name: "f", line: 2, lines: 7 },
    { name: "a function", line: 5, lines: 3 },
  ]);
});
