/** How record files are read and written: limits of their adapters. */

const KIB = 1024;

/** Bytes that a reader asks a file for at once, and a writer gathers before it writes. */
export const FILE_BLOCK_BYTES = 256 * KIB;
/** What one system call may be asked for, below the 2^31 that some refuse. */
export const FILE_READ_BYTES_MAX = 2 ** 30;
/** Back pointers lead anywhere: they have a block of their own, so that the sequential one stays in place. */
export const LINK_BLOCK_BYTES = 4096;
/** Of so many transactions that back pointers lead into, a reader of a Data.fs remembers where the records begin. */
export const LINK_TRANSACTIONS = 4;
/** Bytes that salvaging looks through at once. */
export const SALVAGE_BLOCK_BYTES = 64 * KIB;
