/** Tests of this folder have a short form, for every change, and a long one. */
import process from "node:process";

/** Whether this is the long form: `deno task soak:tests`. */
export const isSoak: boolean = process.env["NEO_SOAK"] === "1";
