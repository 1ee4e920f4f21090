/** What the peers of one role are told at their start, and later by the machine. */
import { KEEPALIVE_MS, PRIMARY_KEEPALIVE_MS, WRITE_TIMEOUT_MS } from "../core/limits.ts";
import type { Effect, PeerTimes } from "../core/machine.ts";
import type { Hello, Role } from "../core/messages.ts";
import type { MulticastOptions } from "./multicast.ts";
import type { NoticeLog } from "./notices.ts";

/** Effects that concern connections. */
export type PeerEffect<C> = Extract<
  Effect<C>,
  {
    do:
      | "ask"
      | "tell"
      | "answer"
      | "refuse"
      | "accept"
      | "reject"
      | "close"
      | "connect"
      | "distrust"
      | "retime";
  }
>;

/** Who we are and whom we serve. */
export interface PeersOptions {
  /** Said to peers that connect to us. */
  readonly hello: Hello;
  /** Roles that may connect to us. */
  readonly serves: readonly Role[];
  /** How long peers are waited for, until the machine says otherwise; `PEER_TIMES` unless told. */
  readonly times?: PeerTimes;
  /** Fingerprints of certificates that are revoked, until the machine says otherwise. */
  readonly revoked?: readonly string[];
  /** Hears notices by multicast, and with `speaks` sends them so; not, unless told. */
  readonly multicast?: MulticastOptions;
  /** Hears of peers that come to us and are refused or dropped. */
  readonly log?: NoticeLog;
}

/** How long peers are waited for where nothing is configured. */
export const PEER_TIMES: PeerTimes = {
  keepaliveMs: KEEPALIVE_MS,
  primaryKeepaliveMs: PRIMARY_KEEPALIVE_MS,
  writeTimeoutMs: WRITE_TIMEOUT_MS,
};
