/** The import stage (T58): one client, which gives its own tids; the others wait until it ends. */
import { answer } from "../../core/machine.ts";
import type { Body } from "../../core/messages.ts";
import type { Clients } from "./clients.ts";
import type { Asker, Site } from "./site.ts";

/** Whether the cluster takes an import. */
export class ImportStage {
  #site: Site;
  #clients: Clients;
  #pending: () => number;

  constructor(parts: { site: Site; clients: Clients; pending: () => number }) {
    this.#site = parts.site;
    this.#clients = parts.clients;
    this.#pending = parts.pending;
  }

  /** A client begins or ends it. */
  ask(asker: Asker, { importing, origin }: Body<"stage">): void {
    const done = (): void => {
      const { lastTid, metadata } = this.#site;
      this.#site.emit(answer(asker, "stage", { lastTid, origin: metadata.origin }));
    };
    if (!importing) return this.#clients.importer === asker.conn ? this.#end(done) : done();
    const others = this.#clients.live.length - 1;
    if (others > 0 || this.#pending() > 0) {
      const message = `Cannot import: ${others} other clients are connected; stop them and try again`;
      return this.#site.refuse(asker, { code: "denied", message });
    }
    this.#clients.importer = asker.conn;
    this.#site.propose({ type: "desired", state: "import", origin }, done);
  }

  /** Its client is gone, or the cluster has come up with it still on. */
  end(): void {
    this.#end(() => undefined);
  }

  #end(done: () => void): void {
    this.#site.propose({ type: "desired", state: "run", origin: "" }, () => {
      this.#clients.importer = undefined;
      done();
      this.#clients.letIn();
    });
  }
}
