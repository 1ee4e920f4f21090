import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { neo, neoCommand, temporaryFolder } from "../tests/cli_world.ts";
import { root } from "./app.ts";
import { completions } from "./completions.ts";
import { scripts, shells } from "./shells.ts";

const kit = temporaryFolder();
const made = await neo(["init", "shop", "--name", "shop", "--storages", "2"], {
  cwd: kit.path,
  env: kit.env,
});
assert.equal(made.exitCode, 0, made.stderr);
process.on("exit", () => kit.remove());

const around = { env: kit.env, cwd: join(kit.path, "shop") };
const cases: readonly { words: readonly string[]; found: readonly string[]; elsewhere?: true }[] = [
  { words: ["sto"], found: ["stop"] },
  { words: ["node", "a"], found: ["add"] },
  { words: ["cluster", "re"], found: ["recover", "replicas"] },
  { words: ["stop", ""], found: ["a1", "m1", "s1", "s2"] },
  { words: ["stop", "s1", "s"], found: ["s1", "s2"] },
  { words: ["node", "add", "--replace", "s"], found: ["s1", "s2"] },
  { words: ["config", "set", "client.oid"], found: ["client.oidBatch="] },
  { words: ["config", "get", "tls."], found: ["tls.revoked"] },
  { words: ["check", "repl"], found: ["replication"] },
  { words: ["check", "--format", ""], found: ["json", "nagios", "prometheus", "text"] },
  { words: ["tls", "issue", "--ro"], found: ["--role"] },
  { words: ["completion", ""], found: ["bash", "fish", "zsh"] },
  { words: ["-C", ""], found: ["shop"], elsewhere: true },
  { words: ["-C", "shop", "stop", "m"], found: ["m1"], elsewhere: true },
  { words: ["stop", ""], found: [], elsewhere: true },
  { words: ["nonsense", ""], found: [] },
];
for (const { words, found, elsewhere } of cases) {
  test(`neo ${words.join(" ")}| may go on with ${found.join(" ") || "nothing"}${elsewhere ? ", elsewhere" : ""} (T24)`, () => {
    assert.deepEqual(completions(words, elsewhere ? { ...around, cwd: "/" } : around, root), found);
  });
}

/** A folder with a program `neo`, for the PATH of shells. */
function folderWithNeo(): string {
  const folder = join(kit.path, "bin");
  mkdirSync(folder, { recursive: true });
  const program = join(folder, "neo");
  writeFileSync(program, `#!/bin/sh\nexec ${neoCommand().map((word) => `'${word}'`).join(" ")} "$@"\n`);
  chmodSync(program, 0o755);
  return folder;
}

/** What each shell is told, to complete "neo stop s" and print what it has found. */
const asking: { readonly [shell: string]: readonly string[] } = {
  bash: [
    "-c",
    'eval "$(neo completion bash)"; COMP_WORDS=(neo stop s); COMP_CWORD=2; _neo; echo "\${COMPREPLY[@]}"',
  ],
  zsh: [
    "-f",
    "-c",
    'compdef() { :; }; compadd() { shift; print -r -- "$@"; }; eval "$(neo completion zsh)"; words=(neo stop s); CURRENT=3; _neo',
  ],
  fish: ["--no-config", "-c", "neo completion fish | source; complete -C 'neo stop s' | string join ' '"],
};
for (const shell of shells) {
  const isThere = spawnSync(shell, ["-c", "exit 0"]).status === 0;
  test(`${shell} completes names of nodes (T24)`, { skip: isThere ? false : `${shell} isn't there` }, () => {
    const env = { ...process.env, ...kit.env, PATH: `${folderWithNeo()}:${process.env["PATH"]}` };
    const { stdout, stderr } = spawnSync(shell, asking[shell]!, { cwd: around.cwd, env, encoding: "utf8" });
    assert.equal(stdout.trim(), "s1 s2", stderr);
    assert.ok(scripts[shell].includes("neo complete -- "));
  });
}
