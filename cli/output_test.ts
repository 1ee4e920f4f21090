import assert from "node:assert/strict";
import { test } from "node:test";
import { Output, table, toJson } from "./output.ts";

/** What a peer may have written. */
const HOSTILE = "a\u001b]0;title\u0007\u001b[2J\r\u009b31m\u202eb\u007f";
const PLAIN = "a\\x1b]0;title\\x07\\x1b[2J\\x0d\\x9b31m\\u{202e}b\\x7f";

function outputTo(options: { isTTY: boolean; json?: boolean }): { output: Output; said: () => string } {
  let said = "";
  const stream = { isTTY: options.isTTY, write: (chunk: string | Uint8Array) => said += String(chunk) };
  return {
    output: new Output({ stdout: stream, stderr: stream }, {}, options.json ?? false),
    said: () => said,
  };
}

test("Output: what others have written steers no terminal, in answers, notes, warnings and progress (T32)", () => {
  const { output, said } = outputTo({ isTTY: false });
  output.print(`x\n\t${HOSTILE}`);
  output.note(HOSTILE);
  output.warn(HOSTILE);
  output.progress(HOSTILE);
  assert.equal(said(), `x\n\t${PLAIN}\n${PLAIN}\nWarning: ${PLAIN}\n${PLAIN}\n`);
});

test("Output: a terminal gets our styles, and nothing else of theirs (T32)", () => {
  const { output, said } = outputTo({ isTTY: true });
  output.print(output.style("red", HOSTILE));
  assert.equal(said(), `\u001b[31m${PLAIN}\u001b[39m\n`);
});

test("table: what stands in a cell is one line of it (T32)", () => {
  const lines = table([["NAME", "STATE"], ["a\nfake  running", "down"]], (_style, text) => text);
  assert.deepEqual(lines, [`NAME${" ".repeat(16)}STATE`, "a\\x0afake  running  down"]);
});

test("toJson: gives the text back, and only signs that can be seen stand in it (T32)", () => {
  const json = toJson({ text: HOSTILE, tag: "\u{e0001}" });
  assert.deepEqual(JSON.parse(json), { text: HOSTILE, tag: "\u{e0001}" });
  assert.match(json, /^[ -~]*$/);
});
