/**
 * Transactions of live sessions, by what became of them: which were accepted, so that a finish that comes twice isn't accepted
 * twice, and which were refused for ever.
 */
import { sessionOf, TTID_COUNTER_MAX } from "../../core/ids.ts";
import type { ClientSession, Ttid } from "../../core/ids.ts";

/** One bit a transaction, at most 2 MiB a session. */
export class Ttids {
  #sessions = new Map<ClientSession, Uint8Array>();

  /** Whether it is among them, in this epoch. */
  has(ttid: Ttid): boolean {
    const { byte, bit } = placeOf(ttid);
    return ((this.#sessions.get(sessionOf(ttid))?.[byte] ?? 0) & bit) !== 0;
  }

  /** From here on it is. */
  add(ttid: Ttid): void {
    const { byte, bit } = placeOf(ttid);
    const session = sessionOf(ttid);
    let bits = this.#sessions.get(session) ?? new Uint8Array(8);
    if (byte >= bits.length) {
      const more = new Uint8Array(Math.max(2 * bits.length, byte + 1));
      more.set(bits);
      bits = more;
    }
    bits[byte]! |= bit;
    this.#sessions.set(session, bits);
  }

  /** The session is over: it can't finish anything. */
  sessionEnded(session: ClientSession): void {
    this.#sessions.delete(session);
  }

  /** Operation ends, and all sessions. */
  clear(): void {
    this.#sessions.clear();
  }
}

function placeOf(ttid: Ttid): { byte: number; bit: number } {
  const counter = Number(ttid & BigInt(TTID_COUNTER_MAX));
  return { byte: counter >> 3, bit: 1 << (counter & 7) };
}
