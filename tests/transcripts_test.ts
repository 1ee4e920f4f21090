import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { Story } from "./story.ts";

const folder = new URL("./transcripts/", import.meta.url);
/** `NEO_UPDATE=1` writes what happens instead of comparing it: read the difference before you keep it. */
const updates = process.env["NEO_UPDATE"] === "1";

/**
 * Plays a transcript: comments (`# ...`), an optional first line `cluster storages=2 replicas=1 partitions=4`, and commands,
 * each followed by `----` and what it caused.
 */
function played(text: string): string {
  let story: Story | undefined;
  return text.split(/\n\n+/).map((block) => {
    const lines = block.trimEnd().split("\n");
    const comments = lines.filter((line) => line.startsWith("#") && !/^#\d/.test(line));
    const command = lines.find((line) => !line.startsWith("#"));
    if (command === undefined) return comments.join("\n");
    if (command.startsWith("cluster")) {
      const shape = [...command.matchAll(/(\w+)=(\d+)/g)].map(([, name, value]) => [name, Number(value)]);
      story = new Story(Object.fromEntries(shape));
      return [...comments, command].join("\n");
    }
    story ??= new Story();
    return [...comments, command, "----", ...story.run(command)].join("\n");
  }).join("\n\n") + "\n";
}

for (const name of readdirSync(folder).filter((name) => name.endsWith(".txt")).sort()) {
  test(`The story of ${name} goes as it is written down`, () => {
    const path = new URL(name, folder);
    const text = readFileSync(path, "utf8");
    const now = played(text);
    if (updates) writeFileSync(path, now);
    else assert.deepEqual(now.split("\n"), text.split("\n"));
  });
}
