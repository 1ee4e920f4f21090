/**
 * A node's pages over HTTP/1.1, for people, monitors and load balancers: GET and HEAD of a few paths, each answered from what a
 * function says at that moment. Pages that aren't open want `Authorization: Bearer TOKEN` where there is a token.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { HTTP_CONNECTIONS_MAX, HTTP_HEAD_BYTES_MAX, HTTP_REQUEST_TIMEOUT_MS } from "../core/limits.ts";

/** What a page says now. */
export interface PageText {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** One page. */
export interface Page {
  /** Whether everybody may see it. */
  readonly open: boolean;
  text(): PageText;
}

/** A server that listens. */
export interface HttpServer {
  /** `host:port`. */
  readonly address: string;
  close(): Promise<void>;
}

/**
 * Serves pages at `address` (`host:port`, `[v6]:port`; port 0: one that is free).
 *
 * @throws Error `Cannot listen at ...`
 */
export async function serveHttp(
  { address, token, pages }: {
    readonly address: string;
    readonly token?: string;
    readonly pages: ReadonlyMap<string, Page>;
  },
): Promise<HttpServer> {
  const server = createServer(
    { maxHeaderSize: HTTP_HEAD_BYTES_MAX, requestTimeout: HTTP_REQUEST_TIMEOUT_MS },
    (request, response) => serve(request, response, pages, token),
  );
  server.maxConnections = HTTP_CONNECTIONS_MAX;
  const at = address.lastIndexOf(":");
  const host = address.slice(0, at).replace(/^\[|\]$/g, "");
  await listening(server, host, Number(address.slice(at + 1)), address);
  server.unref(); // it keeps no process running
  const { port } = server.address() as AddressInfo;
  return {
    address: `${address.slice(0, at)}:${port}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listening(server: Server, host: string, port: number, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error): void => {
      const why = `${error.message}; give the node another \`http\` in neo.toml`;
      reject(new Error(`Cannot listen at ${address} for HTTP: ${why}`, { cause: error }));
    };
    server.once("error", failed);
    server.listen(port, host, () => {
      server.off("error", failed);
      resolve();
    });
  });
}

function serve(
  request: IncomingMessage,
  response: ServerResponse,
  pages: ReadonlyMap<string, Page>,
  token: string | undefined,
): void {
  request.resume(); // a body is of no use
  const page = pages.get((request.url ?? "/").split("?", 1)[0]!);
  const say = ({ status, type, body }: PageText, headers: { [name: string]: string } = {}): void => {
    const length = String(new TextEncoder().encode(body).length);
    response.writeHead(status, {
      "content-type": type,
      "content-length": length,
      "cache-control": "no-store",
      ...headers,
    });
    response.end(request.method === "HEAD" ? "" : body);
  };
  const plain = (status: number, body: string): PageText => ({ status, type: "text/plain", body });
  if (page === undefined) {
    return say(plain(404, `There are ${[...pages.keys()].join(", ")}\n`));
  }
  if (request.method !== "GET" && request.method !== "HEAD") {
    return say(plain(405, "Pages can be read only\n"), { allow: "GET, HEAD" });
  }
  if (!page.open && token !== undefined && !isToken(request.headers.authorization, token)) {
    return say(plain(401, "This page wants the node's token\n"), { "www-authenticate": "Bearer" });
  }
  say(page.text());
}

/** Compares digests, so that the time tells nothing of the token. */
function isToken(authorization: string | undefined, token: string): boolean {
  const digest = (text: string): Uint8Array => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(authorization ?? ""), digest(`Bearer ${token}`));
}
