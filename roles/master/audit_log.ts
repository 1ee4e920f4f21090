/** The operators' actions in the masters' log: who asked for what, when, and what became of it. The latest ones are kept. */
import { auditRow } from "../../core/audit_messages.ts";
import { AUDIT_ENTRIES_MAX } from "../../core/limits.ts";
import { list } from "../../core/schema.ts";
import type { Value } from "../../core/schema.ts";

/** An action. */
export type AuditEntry = Value<typeof auditRow>;
/** All that are kept, as a snapshot has them. */
export const auditImage = list(auditRow);

/** The latest actions, oldest first. */
export class AuditLog {
  #entries: AuditEntry[];

  constructor(entries: readonly AuditEntry[]) {
    this.#entries = [...entries];
  }

  get entries(): readonly AuditEntry[] {
    return this.#entries;
  }

  /** The number of the latest one. */
  get last(): number {
    return this.#entries.at(-1)?.number ?? 0;
  }

  apply(entry: AuditEntry): void {
    this.#entries.push(entry);
    if (this.#entries.length > AUDIT_ENTRIES_MAX) this.#entries.shift();
  }
}
