/** Opens a file to import, whatever its format. */
import { FileFormatError, type ReadOptions } from "../core/records.ts";
import { BlockReader, type ByteSource, fileSource } from "./file_io.ts";
import { FileStorageReader } from "./filestorage_reader.ts";
import { ZodbdumpReader } from "./zodbdump_reader.ts";

/** Long enough for the first word of each format. */
const HEAD_BYTES = 4;

/**
 * Opens a Data.fs or a zodbdump by its first bytes. `format` of the reader says which it is. Close it when done.
 *
 * @throws FileFormatError when it is neither, the system's error when it can't be opened
 */
export function openRecordFile(path: string, options: ReadOptions = {}): FileStorageReader | ZodbdumpReader {
  const source = fileSource(path);
  try {
    return readerOf(source, options);
  } catch (error) {
    source.close();
    throw error;
  }
}

function readerOf(source: ByteSource, options: ReadOptions): FileStorageReader | ZodbdumpReader {
  const head = new BlockReader(source, HEAD_BYTES).view(0, Math.min(HEAD_BYTES, source.byteLength));
  const word = String.fromCharCode(...head);
  if (word === "FS21" || word === "FS30") return new FileStorageReader(source, options);
  if (word === "txn ") return new ZodbdumpReader(source, options);
  const place = { file: source.name, byte: 0 };
  throw new FileFormatError("read", place, "it is neither a Data.fs nor a zodbdump", "name one of these");
}
