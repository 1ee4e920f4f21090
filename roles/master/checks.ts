/** Whether copies are what they should be: what storages find by themselves (`damage.ts`), and what an operator has compared. */
import type { Conn } from "../../core/ids.ts";
import type { AnswerMessage, AskMessage, Body } from "../../core/messages.ts";
import { Damage } from "./damage.ts";
import type { Outdate } from "./damage.ts";
import type { Asker, MasterContext, Site } from "./site.ts";
import type { StorageNode, Storages } from "./storages.ts";
import { Verify } from "./verify.ts";

/** Looks after the copies. */
export class Checks {
  #damage: Damage;
  #verify: Verify;

  constructor(parts: { site: Site; storages: Storages; outdate: Outdate }) {
    this.#damage = new Damage(parts);
    this.#verify = new Verify(parts);
  }

  /** Serves an operator; false: it asks for something else. */
  ask(asker: Asker, message: AskMessage): boolean {
    return this.#verify.ask(asker, message);
  }

  /** A storage has found broken rows. */
  damaged(node: StorageNode, body: Body<"damaged">): void {
    this.#damage.told(node, body);
  }

  /** A storage has answered, or not (undefined). False: it was asked for something else. */
  answered(context: MasterContext, message: AnswerMessage | undefined): boolean {
    if (context.of === "inspect") {
      this.#verify.inspected(context, message?.name === "inspect" ? message.body : undefined);
    } else if (context.of === "vouch") {
      this.#damage.vouched(context, message?.name === "vouch" ? message.body.whole : undefined);
    } else return false;
    return true;
  }

  /** The table or the storages are other than before. */
  look(): void {
    this.#damage.look();
    this.#verify.look();
  }

  /** A recovery begins. */
  clear(): void {
    this.#damage.clear();
    this.#verify.clear();
  }

  /** An operator has gone. */
  disconnected(conn: Conn): void {
    this.#verify.disconnected(conn);
  }
}
