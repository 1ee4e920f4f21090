/**
 * The layout of a `Data.fs`, the file in which ZODB's FileStorage keeps a database. All numbers are big-endian.
 *
 * | transaction | bytes | | data record | bytes |
 * | --- | --- | --- | --- | --- |
 * | tid | 8 | | oid | 8 |
 * | length of the whole, less 8 | 8 | | tid | 8 |
 * | status | 1 | | position of the object's previous record, or 0 | 8 |
 * | lengths of user, description, extension | 3 * 2 | | position of its transaction | 8 |
 * | user, description, extension | | | zero | 2 |
 * | data records | | | length of the data | 8 |
 * | length again | 8 | | the data; if its length is 0, a back pointer | or 8 |
 *
 * A back pointer is the position of an earlier record of the same object, which this one repeats; 0 deletes the
 * object. So a Data.fs can't hold data of no bytes.
 */

/** The first four bytes: who wrote the pickles, Python 2 or Python 3. */
export type Magic = "FS21" | "FS30";

/** Bytes of the magic: the position of the first transaction. */
export const MAGIC_BYTES = 4;
/** Bytes of a transaction before its user. */
export const TRANSACTION_HEADER_BYTES = 23;
/** Bytes of a data record before its data or back pointer. */
export const RECORD_HEADER_BYTES = 42;
/** Bytes of a position, a length, an oid, a tid. */
export const NUMBER_BYTES = 8;
