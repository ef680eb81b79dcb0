// The HTTP server for operators and monitoring. It only reads: everything it says comes from the status it is given.
import { hostAllowed } from "./httpGuard.ts";
import type { Log } from "./log.ts";
import { rateLimited } from "./logLimit.ts";
import { METRICS_CONTENT_TYPE, renderMetrics } from "./metrics.ts";
import { PAGE, PAGE_POLICY } from "./page.ts";
import type { DaemonStatus, Readiness } from "./status.ts";
import { mostUrgent } from "./statusTopics.ts";

export interface HttpOptions {
  /** Port 0 is any free one. */
  listen: { host: string; port: number };
  status: () => DaemonStatus;
  ready: () => Readiness;
  log: Log;
}

export interface HttpServer {
  address: { host: string; port: number; url: string };
  /** Closes the port and every connection at once. */
  stop(): Promise<void>;
}

/** Why it cannot listen. `startHttp` rejects with it. */
class HttpFailure extends Error {
  override readonly name = "HttpFailure";
  readonly kind: "port_in_use" | "no_permission" | "bad_address";
  readonly address: string;

  constructor(kind: HttpFailure["kind"], address: string, message: string) {
    super(message);
    this.kind = kind;
    this.address = address;
  }
}

/** Seconds after which a connection that does nothing is closed. */
const IDLE_TIMEOUT = 30;
const WARN_INTERVAL = 60_000;

const COMMON_HEADERS = {
  "Cache-Control": "no-store",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Resource-Policy": "same-origin",
};

/** Rejects with an `HttpFailure` when it cannot listen. */
export async function startHttp(options: HttpOptions): Promise<HttpServer> {
  const log = rateLimited(options.log, WARN_INTERVAL);
  const host = options.listen.host.replace(/^\[|\]$/g, "");
  const server = listen(host, options.listen.port, async (request) => {
    try {
      return await answer(request, host, options);
    } catch (error) {
      log.error("could not answer an HTTP request", { path: targetOf(request).path, error });
      return text(500, "could not be answered, see the log\n");
    }
  });
  const port = server.port ?? options.listen.port;
  return {
    address: { host, port, url: `http://${authority(host, port)}` },
    stop: () => server.stop(true),
  };
}

function listen(host: string, port: number, fetch: (request: Request) => Promise<Response>) {
  try {
    // Not the development mode: it would show errors, with pieces of source, to whoever asks.
    return Bun.serve({
      hostname: host,
      port,
      fetch,
      idleTimeout: IDLE_TIMEOUT,
      maxRequestBodySize: 1024,
      development: false,
      // The default would share the port with another bruce, and each scrape reach one of the two at random.
      reusePort: false,
    });
  } catch (error) {
    throw failureOf(error, authority(host, port));
  }
}

function failureOf(error: unknown, address: string): HttpFailure {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  switch (code) {
    case "EADDRINUSE":
      return new HttpFailure(
        "port_in_use",
        address,
        `HTTP cannot listen on ${address}: another program does (perhaps another bruce). ` +
          "Stop it, or set another address in http.listen",
      );
    case "EACCES":
      return new HttpFailure(
        "no_permission",
        address,
        `HTTP may not listen on ${address}: ports below 1024 need a privilege. Set another port in http.listen`,
      );
    default:
      return new HttpFailure(
        "bad_address",
        address,
        `HTTP cannot listen on ${address} (${code || "unknown address"}): ` +
          "http.listen must be an address of this machine and a port",
      );
  }
}

async function answer(request: Request, host: string, { status, ready }: HttpOptions): Promise<Response> {
  if (!hostAllowed(request.headers.get("host"), host)) {
    return text(421, "this host name is not served here: ask for localhost, or for the address in http.listen\n");
  }
  const { path, query } = targetOf(request);
  const route = routes.get(path);
  if (route === undefined) return text(404, `nothing here. There is: ${[...routes.keys()].join(" ")}\n`);
  if (request.method !== "GET" && request.method !== "HEAD") {
    return text(405, "only GET and HEAD\n", { Allow: "GET, HEAD" });
  }
  return route({ status, ready, query });
}

/** Not by `new URL`: with no Host header, or a strange one, the request's URL is none. */
function targetOf(request: Request): { path: string; query: URLSearchParams } {
  const target = request.url.replace(/^[a-z]+:\/\/[^/?#]*/i, "");
  const [path = "", query = ""] = target.split("?", 2);
  return { path, query: new URLSearchParams(query) };
}

interface Asked {
  status: () => DaemonStatus;
  ready: () => Readiness;
  query: URLSearchParams;
}

type Route = (asked: Asked) => Response | Promise<Response>;

const routes = new Map<string, Route>([
  ["/", () => reply(200, PAGE, "text/html; charset=utf-8", { "Content-Security-Policy": PAGE_POLICY })],
  ["/metrics", async ({ status }) => reply(200, await renderMetrics(status()), METRICS_CONTENT_TYPE)],
  ["/healthz", () => text(200, "ok\n")],
  ["/readyz", readyz],
  ["/api/v1/status", apiStatus],
]);

function readyz({ ready }: Asked): Response {
  const readiness = ready();
  return readiness.ok ? text(200, "ready\n") : text(503, `${readiness.reason ?? "not ready"}\n`);
}

/** `?topics=N` lists the N most urgent topics only. */
function apiStatus({ status, query }: Asked): Response {
  const limit = query.get("topics");
  if (limit === null) return json(200, status());
  if (!/^\d{1,6}$/.test(limit)) return json(400, { error: "topics must be a number: how many topics to list" });
  return json(200, mostUrgent(status(), Number(limit)));
}

function text(code: number, body: string, headers: Record<string, string> = {}): Response {
  return reply(code, body, "text/plain; charset=utf-8", headers);
}

function json(code: number, body: unknown): Response {
  return reply(code, `${JSON.stringify(body)}\n`, "application/json; charset=utf-8");
}

function reply(code: number, body: string, type: string, headers: Record<string, string> = {}): Response {
  return new Response(body, { status: code, headers: { ...COMMON_HEADERS, ...headers, "Content-Type": type } });
}

function authority(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
