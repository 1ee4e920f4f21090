/** Databases in and out of real processes: what was imported is exported again, byte for byte, after a restart. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { neo, temporaryFolder } from "../cli_world.ts";

const VECTORS = fileURLToPath(new URL("../vectors/", import.meta.url));
const DATA = process.env["NEO_TEST_DATA"];

/** Arguments of `init`. */
const SHAPES = ["--storages 1", "--storages 2 --replicas 1", "--storages 3 --replicas 0"]
  .flatMap((storages) => ["1", "240"].map((partitions) => `${storages} --partitions ${partitions}`));

/** What a correct zodbdump of `file` is: its bytes' digest. */
function expectedDump(file: string): string {
  const stem = file.replace(/\.fs$/, "");
  if (existsSync(`${stem}.zdump`)) return sha256(readFileSync(`${stem}.zdump`));
  return readFileSync(`${stem}.zdump.sha256`, "utf8").trim().slice(0, 64);
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

async function roundTrip(file: string, shape: string): Promise<void> {
  const folder = temporaryFolder();
  const around = { cwd: folder.path, env: { ...folder.env, NEO_CLUSTER: "db" } };
  const ok = async (command: string) => {
    const { exitCode, stderr } = await neo(command.split(" "), around);
    assert.equal(exitCode, 0, `neo ${command}: ${stderr}`);
  };
  try {
    await ok(`init db --single ${shape}`);
    await ok("start");
    await ok(`import ${file}`);
    await ok("stop");
    await ok("start");
    await ok("export out.fs");
    await ok("export out.zdump --format zodbdump");

    assert.equal(sha256(readFileSync(join(folder.path, "out.zdump"))), expectedDump(file));
    assert.equal(sha256(readFileSync(join(folder.path, "out.fs"))), sha256(readFileSync(file)));
  } finally {
    await neo(["stop", "--wait", "5"], around);
    folder.remove();
  }
}

for (const shape of SHAPES) {
  test(`history.fs comes back byte for byte with ${shape} (T48, T60)`, () =>
    roundTrip(join(VECTORS, "history.fs"), shape));
}

if (DATA === undefined) {
  test("real databases come back byte for byte (T60)", { skip: "needs NEO_TEST_DATA=DIR" });
} else {
  for (const file of readdirSync(DATA).filter((name) => name.endsWith(".fs")).sort()) {
    for (const shape of SHAPES) {
      test(`${basename(file)} comes back byte for byte with ${shape} (T60)`, () =>
        roundTrip(join(DATA, file), shape));
    }
  }
}
