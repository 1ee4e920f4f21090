/** A master's metadata as plain values. */
import type { MetadataState, MetadataWrite } from "../core/ports.ts";
import type { Tables } from "./memory_tables.ts";
import { checkAppend, checkBallot, checkSnapshot } from "./metadata_log.ts";

/** The rows of a memory metadata store. */
export class MetadataTables implements Tables<MetadataWrite, never, never, MetadataState> {
  #state: MetadataState;

  constructor(state: MetadataState) {
    this.#state = state;
  }

  open(): MetadataState {
    return this.#state;
  }

  copy(): MetadataTables {
    return new MetadataTables(this.#state);
  }

  apply(write: MetadataWrite): void {
    const { snapshot, entries } = this.#state;
    if (write.op === "ballot") {
      const { term, votedFor } = write;
      checkBallot(this.#state.ballot, write);
      this.#state = { ...this.#state, ballot: { term, votedFor } };
    } else if (write.op === "append") {
      const last = entries.at(-1)?.index ?? snapshot?.index ?? 0;
      checkAppend({ snapshot: snapshot?.index ?? 0, last }, write.entries);
      const from = write.entries[0]?.index ?? last + 1;
      const kept = entries.filter(({ index }) => index < from);
      this.#state = { ...this.#state, entries: [...kept, ...write.entries] };
    } else {
      const { index, term, image } = write;
      checkSnapshot(snapshot?.index ?? 0, index);
      const kept = write.alone === true ? [] : entries.filter((entry) => entry.index > index);
      this.#state = { ...this.#state, snapshot: { index, term, image }, entries: kept };
    }
  }

  read(query: never): never {
    return query;
  }
}
