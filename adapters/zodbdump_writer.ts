/** Writes transactions as zodbdump, the text form in which ZODB databases are compared and moved. */
import { hash } from "node:crypto";
import { hexOf, ZERO_TID } from "../core/ids.ts";
import type {
  ByteSink,
  ObjectRecord,
  TransactionRecord,
  TransactionSource,
  WriteSummary,
} from "../core/records.ts";
import { BufferedSink } from "./file_io.ts";
import { quote } from "./zodbdump_quoting.ts";

const encoder = new TextEncoder();
const LINE_END = encoder.encode("\n");

/**
 * Writes transactions as zodbdump. Memory holds one transaction.
 *
 * A link is written as `from` and its immediate `from`, unless it is known to end in a deletion: then it is written
 * as `delete`, as ZODB's own iteration has no other word for it.
 *
 * @throws RangeError when tids don't grow
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { toOid, toTid } from "../core/ids.ts";
 * import { writeZodbdump } from "./zodbdump_writer.ts";
 *
 * const none = new Uint8Array();
 * const records = [{ oid: toOid(1n), data: null }];
 * const history = [
 *   { tid: toTid(7n), status: " " as const, user: none, description: none, extension: none, records },
 * ];
 * let text = "";
 * await writeZodbdump(history, { write: (bytes) => void (text += new TextDecoder().decode(bytes)) });
 * assert.match(text, /^txn 0000000000000007 " "\nuser ""\n[^]*\nobj 0000000000000001 delete\n\n$/);
 * ```
 */
export async function writeZodbdump(source: TransactionSource, sink: ByteSink): Promise<WriteSummary> {
  const out = new BufferedSink(sink);
  let last = ZERO_TID;
  let transactions = 0;
  let records = 0;
  for await (const transaction of source) {
    if (transaction.tid <= last) {
      throw new RangeError(
        `Cannot write transaction ${hexOf(transaction.tid)} after ${hexOf(last)}: tids only grow`,
      );
    }
    last = transaction.tid;
    await out.write(encoder.encode(headOf(transaction)));
    for (const record of transaction.records) {
      await out.write(encoder.encode(lineOf(record)));
      if (!hasBytes(record)) continue;
      await out.write(record.data);
      await out.write(LINE_END);
    }
    await out.write(LINE_END);
    transactions++;
    records += transaction.records.length;
  }
  await out.flush();
  return { transactions, records, bytes: out.position };
}

function headOf({ tid, status, user, description, extension }: TransactionRecord): string {
  return `txn ${hexOf(tid)} "${status}"\nuser ${quote(user)}\n`
    + `description ${quote(description)}\nextension ${quote(extension)}\n`;
}

function hasBytes(record: ObjectRecord): record is ObjectRecord & { data: Uint8Array } {
  return record.from === undefined && record.data !== null && record.data !== undefined;
}

function lineOf(record: ObjectRecord): string {
  const name = `obj ${hexOf(record.oid)}`;
  if (hasBytes(record)) {
    return `${name} ${record.data.length} sha1:${hash("sha1", record.data, "hex")}\n`;
  }
  return record.data === null || record.from === undefined
    ? `${name} delete\n`
    : `${name} from ${hexOf(record.from)}\n`;
}
