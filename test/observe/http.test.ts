import { afterEach, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { connect } from "node:net";
import { type HttpOptions, type HttpServer, startHttp } from "../../src/observe/http.ts";
import { hostAllowed } from "../../src/observe/httpGuard.ts";
import { createLogger } from "../../src/observe/log.ts";
import type { DaemonStatus } from "../../src/observe/status.ts";
import { sampleStatus, topic } from "./sampleStatus.ts";

const servers: HttpServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

async function start(more: Partial<HttpOptions> = {}) {
  const lines: string[] = [];
  const log = createLogger({ level: "debug", format: "json", file: "" }, { write: (line) => lines.push(line) });
  const options: HttpOptions = {
    listen: { host: "127.0.0.1", port: 0 },
    status: () => sampleStatus(),
    ready: () => ({ ok: true }),
    log,
    ...more,
  };
  const server = await startHttp(options);
  servers.push(server);
  const get = (path: string, init?: RequestInit) => fetch(`${server.address.url}${path}`, init);
  return { server, get, lines };
}

test("the status is given as JSON, whole or the most urgent topics only", async () => {
  const topics = [topic("idle", 5, 5), topic("late", 9, 2), topic("stuck", 3, 1, { state: "held", reason: "missing" })];
  const { get } = await start({ status: () => sampleStatus({ topics }) });
  const whole = await get("/api/v1/status");
  expect(whole.headers.get("content-type")).toBe("application/json; charset=utf-8");
  expect(await whole.json()).toEqual(sampleStatus({ topics }));
  const some = (await (await get("/api/v1/status?topics=2")).json()) as DaemonStatus;
  expect(some.topics.map(({ name }) => name)).toEqual(["stuck", "late"]);
  expect(some.topics_omitted).toBe(1);
  for (const bad of ["x", "-1", "1e9", ""]) expect((await get(`/api/v1/status?topics=${bad}`)).status).toBe(400);
});

test("metrics are given in Prometheus' text format", async () => {
  const { get } = await start();
  const answer = await get("/metrics");
  expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect(await answer.text()).toContain('bruce_messages_received_total{topic="clicks"} 1000\n');
});

test("healthz says alive; readyz says whether it takes messages, and why not", async () => {
  let ready = { ok: true, reason: "" };
  const { get } = await start({ ready: () => ready });
  expect((await get("/healthz")).status).toBe(200);
  expect((await get("/readyz")).status).toBe(200);
  ready = { ok: false, reason: "the queue is full" };
  const answer = await get("/readyz");
  expect(answer.status).toBe(503);
  expect(await answer.text()).toBe("the queue is full\n");
  expect((await get("/healthz")).status).toBe(200);
});

test("the page runs its own script and style only, and carries nothing from the status", async () => {
  const { get } = await start({ status: () => sampleStatus({ topics: [topic("<script>alert(1)</script>", 1, 1)] }) });
  const answer = await get("/");
  const page = await answer.text();
  const policy = answer.headers.get("content-security-policy") ?? "";
  expect(policy).toStartWith("default-src 'none'; ");
  expect(policy).not.toContain("unsafe");
  for (const tag of ["script", "style"]) {
    const blocks = [...page.matchAll(new RegExp(`<${tag}>(.*?)</${tag}>`, "gs"))];
    expect(blocks).toHaveLength(1);
    const hash = createHash("sha256")
      .update(blocks[0]?.[1] ?? "")
      .digest("base64");
    expect(policy).toContain(`${tag}-src 'sha256-${hash}'`);
  }
  expect(page).not.toMatch(
    /alert\(1\)|innerHTML|insertAdjacentHTML|document\.write|https?:\/\/(?!www\.w3\.org)| on[a-z]+=| style=/,
  );
  expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
});

test("only GET and HEAD are answered, and nothing but the known paths", async () => {
  const { get } = await start();
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
    const answer = await get("/metrics", { method });
    expect([answer.status, answer.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  }
  const head = await get("/api/v1/status", { method: "HEAD" });
  expect([head.status, await head.text()]).toEqual([200, ""]);
  for (const path of ["/nope", "/constructor", "/__proto__", "/metrics/", "/%2e%2e/etc/passwd"]) {
    expect([path, (await get(path)).status]).toEqual([path, 404]);
  }
});

test("on loopback, requests under a foreign name are refused", async () => {
  const { get, server } = await start();
  for (const host of [
    "evil.example",
    "evil.example:9090",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "10.0.0.1",
  ]) {
    expect((await get("/api/v1/status", { headers: { Host: host } })).status).toBe(421);
  }
  for (const host of ["localhost", "LOCALHOST:1", "bruce.localhost", "127.0.0.1", "[::1]:9090", "localhost."]) {
    expect((await get("/api/v1/status", { headers: { Host: host } })).status).toBe(200);
  }
  expect(await raw(server, "GET /healthz HTTP/1.0\r\n\r\n")).toContain(" 200 ");
});

test("a strange Host header is answered, when any is allowed", async () => {
  const { server } = await start({ listen: { host: "0.0.0.0", port: 0 } });
  for (const host of ["[::1", "a b", "%%%", "x:99999999", ""]) {
    expect(await raw(server, `GET /healthz HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).toMatch(/^HTTP\/1.1 [24]/);
    expect(await raw(server, `GET /metrics?x=1 HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).toMatch(/^HTTP\/1.1 [24]/);
  }
});

test("the host check knows names, addresses and ports", () => {
  const listen = "127.0.0.1";
  for (const ok of [null, "", "localhost", "[::1]", "127.9.9.9:80"]) expect(hostAllowed(ok, listen)).toBe(true);
  for (const bad of ["a b", "localhost:x", "[::1", "::1", "localhost@evil", "[::2]", "0.0.0.0"]) {
    expect(hostAllowed(bad, listen)).toBe(false);
  }
  // Asked to listen elsewhere, it is known by whatever name the network gives it.
  expect(hostAllowed("bruce.prod.example:9090", "0.0.0.0")).toBe(true);
  expect(hostAllowed("bruce.prod.example:9090", "10.0.0.5")).toBe(true);
});

test("a port in use is refused with what to do", async () => {
  const { server } = await start();
  const failure = await start({ listen: { host: "127.0.0.1", port: server.address.port } }).catch((error) => error);
  expect(failure).toMatchObject({
    name: "HttpFailure",
    kind: "port_in_use",
    address: `127.0.0.1:${server.address.port}`,
  });
  expect(failure.message).toContain("http.listen");
});

test("an address that is not this machine's is refused with what to do", async () => {
  const failure = await start({ listen: { host: "192.0.2.1", port: 0 } }).catch((error) => error);
  expect(failure).toMatchObject({ name: "HttpFailure", kind: "bad_address" });
});

test("garbage, and clients that go away, do no harm", async () => {
  const { server, get } = await start();
  await raw(server, "\u0000\u0001garbage\r\n\r\n");
  await raw(server, `GET /${"x".repeat(100_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  await raw(server, "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n");
  const socket = connect(server.address.port, "127.0.0.1");
  await new Promise((resolve) => socket.once("connect", resolve));
  socket.destroy();
  expect((await get("/healthz")).status).toBe(200);
});

test("a status that cannot be made is an error for the client and one line in the log, however often", async () => {
  const status = () => {
    throw new Error("broken inside");
  };
  const { get, lines } = await start({ status });
  for (let i = 0; i < 5; i++) {
    const answer = await get("/api/v1/status");
    expect(answer.status).toBe(500);
    expect(await answer.text()).not.toContain("broken inside");
  }
  expect(lines.filter((line) => line.includes("broken inside"))).toHaveLength(1);
});

test("stopping closes the port and open connections", async () => {
  const { server } = await start();
  const socket = connect(server.address.port, "127.0.0.1");
  await new Promise((resolve) => socket.once("connect", resolve));
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await new Promise((resolve) => socket.once("data", resolve));
  await server.stop();
  await closed;
  const again = await start({ listen: { host: "127.0.0.1", port: server.address.port } });
  expect((await again.get("/healthz")).status).toBe(200);
});

test("IPv6 loopback works, with and without brackets", async () => {
  for (const host of ["::1", "[::1]"]) {
    const { server, get } = await start({ listen: { host, port: 0 } });
    expect(server.address.url).toBe(`http://[::1]:${server.address.port}`);
    expect((await get("/healthz")).status).toBe(200);
  }
});

/** Sends `text` and gives what comes back until the server closes, or has answered. */
function raw(server: HttpServer, text: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect(server.address.port, "127.0.0.1", () => socket.write(text));
    socket.on("data", (chunk) => {
      answer += chunk;
      socket.end();
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(answer));
  });
}
