/**
 * Sockets that prove who is at the other end: TLS 1.3, both sides with a certificate (`core/identity.ts` says what stands in one).
 * `new TcpTransport({ sockets: new TlsSockets(...) })` is a transport over TLS.
 *
 * A server looks at the first byte before the handshake. Who comes without TLS is taken as it is, with a refusal for proof: so that it can
 * be told in words that it understands. Certificates are asked for again at each connection, so that new ones count without
 * a restart; connections that are there stay.
 *
 * Reading is held back at the socket below, never at the one of TLS: Deno's doesn't tell of the other side's end any more once
 * it was paused.
 *
 * @module
 */
import { connect as connectTcp, createServer, isIP, type Server, type Socket } from "node:net";
import { nextTick } from "node:process";
import { Duplex } from "node:stream";
import { connect, createSecureContext, type SecureContext, TLSSocket } from "node:tls";
import type { Proof } from "../core/identity.ts";
import { HELLO_TIMEOUT_MS, UNIDENTIFIED_MAX } from "../core/limits.ts";
import { type Later, later as systemLater } from "./system.ts";
import { type Arrivals, reasonOf, remoteOf, type Sockets, type TcpAddress } from "./tcp.ts";
import { certificatesIn, judge } from "./tls_judge.ts";

/** A key, its certificate, and the authorities whose certificates are believed; all in PEM. */
export interface TlsMaterial {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** Gives what counts now: the same object for as long as nothing has changed. */
export type TlsSource = () => TlsMaterial;

/** The first byte of a handshake (RFC 8446, 5.1). */
const HANDSHAKE = 0x16;
/** What both sides ask of the runtime: everybody gets through, and is judged here. */
const TERMS = { minVersion: "TLSv1.3", rejectUnauthorized: false } as const;
/** What runtimes say where the other side's bytes are no TLS. */
const NO_TLS = "ERR_SSL_WRONG_VERSION_NUMBER";
/** What they say where the two can't agree, or where a key isn't that of its certificate. */
const UNTRUSTED = /^(ERR_SSL_|UNABLE_TO_VERIFY)/;

/**
 * A socket of TCP as the stream below TLS: once it has begun, what it brings is taken at once, for as long as it isn't paused. It begins
 * behind the socket of TLS: Deno ends the process if that finds bytes at its own beginning which are no handshake.
 */
class Below extends Duplex {
  readonly socket: Socket;

  constructor(socket: Socket) {
    super({ allowHalfOpen: true });
    this.socket = socket;
    socket.on("error", (error) => this.destroy(error));
    socket.on("close", () => this.destroy());
  }

  /** To be called when the socket of TLS is made, which itself begins in the next tick. */
  begin(): void {
    nextTick(() => {
      this.socket.on("data", (data) => this.push(data));
      this.socket.on("end", () => this.push(null));
    });
  }

  override _read(): void {}

  override _write(data: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    this.socket.write(data, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.socket.end(done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.socket.destroy();
    done(error);
  }
}

/** What a server has for all that come, until its certificate is another one. */
interface Context {
  readonly material: TlsMaterial;
  readonly secure: SecureContext;
}

/** Sockets of TLS. */
export class TlsSockets implements Sockets {
  readonly ready = "secureConnect";
  readonly #source: TlsSource;
  readonly #later: Later;
  readonly #nowMs: () => number;
  readonly #below = new WeakMap<Socket, Socket>();
  /** Sockets between their arrival and the end of their handshake, and what forgets them. */
  readonly #shaking = new Map<Socket, () => void>();

  /** @param options `later`: the timer for handshakes; `nowMs`: the time by which dates are judged */
  constructor(source: TlsSource, options: { readonly later?: Later; readonly nowMs?: () => number } = {}) {
    this.#source = source;
    this.#later = options.later ?? systemLater;
    this.#nowMs = options.nowMs ?? Date.now;
  }

  serve(arrivals: Arrivals): Server {
    let context = contextOf(this.#source());
    return createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      const material = this.#source();
      if (material !== context.material) context = contextOf(material);
      this.#arrived(socket, context, arrivals);
    });
  }

  connect({ host, port }: TcpAddress): Socket {
    const tcp = connectTcp({ host, port, allowHalfOpen: true, noDelay: true });
    const below = new Below(tcp);
    const socket = connect({
      ...TERMS,
      ...this.#source(),
      socket: below,
      checkServerIdentity: () => undefined, // who a node is stands in its certificate, not in its address
      ...(isIP(host) === 0 ? { servername: host } : {}),
    });
    below.begin();
    this.#below.set(socket, tcp);
    return socket;
  }

  setReading(socket: Socket, on: boolean): void {
    const below = this.#below.get(socket) ?? socket;
    if (on) below.resume();
    else below.pause();
  }

  proofOf(socket: Socket): Proof | undefined {
    if (!(socket instanceof TLSSocket)) return undefined;
    const raw = socket.getPeerCertificate(true)?.raw ?? socket.getPeerX509Certificate()?.raw;
    return judge(raw, certificatesIn(this.#source().ca), this.#nowMs());
  }

  explain(
    error: Error & { readonly code?: string },
  ): { readonly reason: string; readonly untrusted: boolean } {
    if (error.code === NO_TLS) {
      return { reason: "the other side doesn't speak TLS, as this one does", untrusted: true };
    }
    const untrusted = error.code !== undefined && UNTRUSTED.test(error.code);
    return { reason: untrusted ? `Cannot agree on TLS: ${reasonOf(error)}` : reasonOf(error), untrusted };
  }

  end(): void {
    for (const [socket, forget] of this.#shaking) {
      forget();
      socket.destroy();
    }
  }

  #arrived(socket: Socket, context: Context, arrivals: Arrivals): void {
    if (this.#shaking.size >= UNIDENTIFIED_MAX) return void socket.destroy();
    const remote = remoteOf(socket);
    const ended = (reason: string): void => {
      if (!this.#shaking.has(socket)) return;
      forget();
      socket.destroy();
      arrivals.failed(remote, reason);
    };
    const cancel = this.#later(HELLO_TIMEOUT_MS, () => ended(`no handshake within ${HELLO_TIMEOUT_MS} ms`));
    const gone = (): void => ended("the peer ended the connection before it had shown a certificate");
    const failed = (error: Error): void => ended(`Cannot agree on TLS: ${reasonOf(error)}`);
    const forget = (): void => {
      cancel();
      this.#shaking.delete(socket);
      socket.off("close", gone);
      socket.off("error", failed);
    };
    this.#shaking.set(socket, forget);
    socket.on("close", gone);
    socket.on("error", failed);
    socket.once("readable", () => {
      const first: Uint8Array | null = socket.read();
      if (first === null) return gone();
      socket.unshift(first);
      if (first[0] === HANDSHAKE) {
        return this.#shake(socket, context, {
          failed,
          ready: (secure) => {
            forget();
            arrivals.taken(secure, remote, this.proofOf(secure)!);
          },
        });
      }
      forget();
      arrivals.taken(socket, remote, {
        refusal: "it came without TLS; name a certificate: ca, cert and key",
      });
    });
  }

  #shake(
    socket: Socket,
    { secure: secureContext }: Context,
    { ready, failed }: {
      readonly ready: (secure: TLSSocket) => void;
      readonly failed: (error: Error) => void;
    },
  ): void {
    const below = new Below(socket);
    const secure = new TLSSocket(below, {
      ...TERMS,
      secureContext,
      isServer: true,
      requestCert: true,
    });
    below.begin();
    this.#below.set(secure, socket);
    secure.on("error", failed);
    secure.once("secure", () => {
      secure.off("error", failed);
      ready(secure);
    });
  }
}

function contextOf(material: TlsMaterial): Context {
  return { material, secure: createSecureContext({ ...material, minVersion: TERMS.minVersion }) };
}
