/**
 * Markdown tables in the form that the formatter gives them, so that generated pages pass its check.
 *
 * @module
 */

/**
 * A table; columns as wide as their widest cell.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(table(["a", "b"], [["1", "long"]]), "| a | b    |\n| - | ---- |\n| 1 | long |\n");
 * ```
 */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll("|", "\\|")));
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const lines = cells.map((row) =>
    `| ${widths.map((width, i) => (row[i] ?? "").padEnd(width)).join(" | ")} |`
  );
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`;
  return [lines[0], rule, ...lines.slice(1)].map((line) => `${line}\n`).join("");
}
