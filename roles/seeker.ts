/**
 * Finds the primary and stays with it: the code that admin, client and storage share. One connection at a time, the
 * addresses in turn, with a pause that grows once all of them have failed. Where a master says that another is the primary, that one
 * is next, at once; but of masters that name each other a few only.
 */
import type { Conn } from "../core/ids.ts";
import { HINTS_MAX, RETRY_DELAY_MS_MAX, RETRY_DELAY_MS_MIN } from "../core/limits.ts";
import type { Effect, Now, PeerEvent } from "../core/machine.ts";
import type { Hello, WireError } from "../core/messages.ts";

/** The target of connections that seek the primary. */
export const PRIMARY = "primary";

/** `idle` until begun or after `end`, then `connecting` and `connected` by turns, `waiting` between attempts. */
type State =
  | { readonly is: "idle" }
  | { readonly is: "connecting" }
  | { readonly is: "connected"; readonly conn: Conn }
  | { readonly is: "waiting"; readonly untilMs: number };

/** Keeps a connection to the primary. */
export class Seeker {
  #addresses: string[];
  #hello: () => Hello;
  #roles: readonly string[];
  #state: State = { is: "idle" };
  #at = 0;
  #delayMs = 0;
  #hint: string | undefined;
  #hints = 0; // followed since a primary spoke, or all addresses were tried
  /** Why the last attempt failed, for status and logs. */
  problem: WireError | undefined;

  /** @param roles who may stand at these addresses: masters, unless told */
  constructor(addresses: readonly string[], hello: () => Hello, roles: readonly string[] = ["master"]) {
    this.#roles = roles;
    this.#addresses = [...addresses];
    this.#hello = hello;
  }

  /** The connection to the primary, while there is one. */
  get conn(): Conn | undefined {
    return this.#state.is === "connected" ? this.#state.conn : undefined;
  }

  /** When `due` wants to be called. */
  get dueMs(): number | undefined {
    return this.#state.is === "waiting" ? this.#state.untilMs : undefined;
  }

  /** Begins. */
  begin(): Effect<never, never, never, never, never>[] {
    return this.#state.is === "idle" ? this.#connect() : [];
  }

  /** Stops seeking; a connection stays. */
  end(): void {
    if (this.#state.is !== "connected") this.#state = { is: "idle" };
  }

  /** A pause may be over. */
  due(now: Now): Effect<never, never, never, never, never>[] {
    return this.#state.is === "waiting" && this.#state.untilMs <= now.monoMs ? this.#connect() : [];
  }

  /** The peer at the other end said who it is; only some may be a primary. Whether it really serves us, its first message tells. */
  identified(
    event: Extract<PeerEvent<unknown>, { type: "identified" }>,
  ): Effect<never, never, never, never, never>[] {
    const { conn, hello: { role } } = event;
    if (!this.#roles.includes(role)) {
      const message = `Cannot take a ${role} for the primary: expected ${this.#roles.join(" or ")}`;
      return [{ do: "reject", conn, error: { code: "wrongRole", message } }];
    }
    this.#state = { is: "connected", conn };
    return [{ do: "accept", conn: event.conn }];
  }

  /** The primary spoke to us as such: the next loss is tried again at once. */
  served(): void {
    this.#delayMs = 0;
    this.#hints = 0;
    this.problem = undefined;
  }

  /** The connection ended, or couldn't be made. */
  lost(error: WireError, now: Now): void {
    this.problem = error;
    if (this.#state.is === "idle") return;
    const hint = error.code === "notPrimary" ? error.detail.address : "";
    if (hint !== "" && this.#hints < HINTS_MAX) {
      this.#hints += 1;
      this.#hint = hint;
      this.#state = { is: "waiting", untilMs: now.monoMs };
      return;
    }
    this.#hints = 0;
    this.#at += 1;
    const untilMs = now.monoMs + this.#delayMs;
    if (this.#at % this.#addresses.length === 0) {
      this.#delayMs = Math.min(Math.max(2 * this.#delayMs, RETRY_DELAY_MS_MIN), RETRY_DELAY_MS_MAX);
    }
    this.#state = { is: "waiting", untilMs };
  }

  #connect(): Effect<never, never, never, never, never>[] {
    this.#state = { is: "connecting" };
    const address = this.#hint ?? this.#addresses[this.#at % this.#addresses.length]!;
    this.#hint = undefined;
    // of several masters another may have taken over while this one says nothing
    const watch = this.#addresses.length > 1 ? { closely: true } : {};
    return [{ do: "connect", address, target: PRIMARY, hello: this.#hello(), ...watch }];
  }
}
