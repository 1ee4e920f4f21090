import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { FileFormatError } from "../core/records.ts";
import { vector } from "../tests/record_histories.ts";
import { BlockReader, bytesSource, FileSink, fileSource } from "./file_io.ts";
import { openRecordFile } from "./record_files.ts";

const folder = mkdtempSync(join(tmpdir(), "neo-record-files-"));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

for (
  const { name, format } of [{ name: "history.fs", format: "filestorage" }, {
    name: "history.zdump",
    format: "zodbdump",
  }]
) {
  test(`openRecordFile() knows ${name} as ${format} and reads it from disk`, () => {
    const reader = openRecordFile(file(name, vector(name)));

    assert.equal(reader.format, format);
    assert.equal([...reader].length, 11);
    reader.close();
  });
}

for (
  const { what, bytes } of [{ what: "an empty file", bytes: [] }, {
    what: "a picture",
    bytes: [0x89, 0x50, 0x4e, 0x47, 0x0d],
  }]
) {
  test(`openRecordFile() refuses ${what}, naming it`, () => {
    const path = file("other", Uint8Array.from(bytes));

    assert.throws(
      () => openRecordFile(path),
      (error) => error instanceof FileFormatError && error.file === path,
    );
  });
}

test("fileSource() says so when the file becomes shorter while it is read", () => {
  const path = file("shorter", new Uint8Array(100));
  const source = fileSource(path);
  truncateSync(path, 40);

  assert.throws(
    () => source.read(0, new Uint8Array(100)),
    (error) => error instanceof FileFormatError && error.byte === 40,
  );
  source.close();
});

test("BlockReader gives the same bytes whatever the block, backwards too", () => {
  const bytes = Uint8Array.from({ length: 200 }, (_, at) => at);
  for (const blockBytes of [8, 13, 64, 200, 1000]) {
    const blocks = new BlockReader(bytesSource("bytes", bytes), blockBytes);
    for (
      const [position, length] of [[0, 8], [100, 8], [3, 150], [192, 8], [0, 200], [199, 1], [5, 0]] as const
    ) {
      assert.deepEqual(blocks.copy(position, length), bytes.slice(position, position + length));
    }
    assert.equal(blocks.uint64(1), 0x0102030405060708n);
    assert.equal(blocks.indexOf(150, 3, 200), 150);
    assert.equal(blocks.indexOf(150, 3, 150), -1);
    assert.equal(blocks.indexOf(2, 3, 200), -1);
  }
});

test("FileSink gives a file its name only when it is whole, in place of an older one", () => {
  const path = file("export", Uint8Array.of(9));
  const sink = new FileSink(path);
  sink.write(Uint8Array.of(1, 2));
  sink.write(Uint8Array.of(3));
  assert.deepEqual([...readFileSync(path)], [9]);

  sink.commit();

  assert.deepEqual([...readFileSync(path)], [1, 2, 3]);
  assert.equal(existsSync(`${path}.partial`), false);
});

test("FileSink.discard() leaves nothing behind", () => {
  const path = join(folder, "given-up");
  const sink = new FileSink(path);
  sink.write(Uint8Array.of(1));

  sink.discard();

  assert.equal(existsSync(path), false);
  assert.equal(existsSync(`${path}.partial`), false);
});
