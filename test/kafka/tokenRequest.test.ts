import { afterEach, expect, test } from "bun:test";
import { requestToken, type TokenFailure } from "../../src/kafka/tokenRequest.ts";

const servers: { stop(force: boolean): unknown }[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.stop(true);
});

function serve(answer: (request: Request) => Response | Promise<Response>): URL {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: answer });
  servers.push(server);
  return new URL(`http://127.0.0.1:${server.port}/oauth/token?tenant=a`);
}

const SECRET = "se:cret &+%/=ü";
const ask = (url: URL, scope?: string) =>
  requestToken({ url, clientId: "id:ü", clientSecret: SECRET, scope, ca: undefined });
const failure = (promise: Promise<unknown>): Promise<TokenFailure> =>
  promise.then(
    () => Promise.reject(new Error("it gave a token")),
    (error: TokenFailure) => error,
  );

test("asks as RFC 6749 wants it, and takes what is said of the token's life", async () => {
  const seen: { method: string; path: string; type: string | null; login: string; body: string }[] = [];
  const url = serve(async (request) => {
    const { pathname, search } = new URL(request.url);
    const [scheme, login = ""] = request.headers.get("authorization")?.split(" ") ?? [];
    const body = await request.text();
    const text = Buffer.from(login, "base64").toString();
    const type = request.headers.get("content-type");
    seen.push({ method: request.method, path: pathname + search, type, login: `${scheme} ${text}`, body });
    return Response.json({ access_token: "a.b-c_d~e+f/g==", expires_in: 300, token_type: "Bearer" });
  });
  expect(await ask(url, "kafka write")).toEqual({ value: "a.b-c_d~e+f/g==", lifetime: 300_000 });
  const [id, secret] = ["id%3A%C3%BC", "se%3Acret+%26%2B%25%2F%3D%C3%BC"];
  expect(seen).toEqual([
    {
      method: "POST",
      path: "/oauth/token?tenant=a",
      type: "application/x-www-form-urlencoded",
      login: `Basic ${id}:${secret}`,
      body: "grant_type=client_credentials&scope=kafka+write",
    },
  ]);
});

test("without expires_in, a JSON Web Token tells itself how long it holds; any other does not", async () => {
  const claims = Buffer.from(JSON.stringify({ exp: Math.floor(Date.now() / 1000) + 100 })).toString("base64url");
  const url = serve(() => Response.json({ access_token: `e30.${claims}.c2ln` }));
  const { lifetime = 0 } = await ask(url);
  expect(lifetime).toBeGreaterThan(90_000);
  expect(lifetime).toBeLessThanOrEqual(100_000);
  expect(await ask(serve(() => Response.json({ access_token: "opaque" })))).toEqual({
    value: "opaque",
    lifetime: undefined,
  });
});

const REFUSALS: [string, () => Response, string][] = [
  [
    "wrong client",
    () => Response.json({ error: "invalid_client" }, { status: 401 }),
    "it answered 401 (invalid_client): look at kafka.sasl.client_id and client_secret",
  ],
  [
    "wrong scope",
    () => Response.json({ error: "invalid_scope", error_description: "no such\u001b[31m scope" }, { status: 400 }),
    "it answered 400 (invalid_scope, no such [31m scope): look at kafka.sasl.scope",
  ],
  ["no such page", () => new Response("<html>", { status: 404 }), "it answered 404: look at kafka.sasl.token_url"],
  ["out of order", () => new Response("", { status: 503 }), "it answered 503"],
  [
    "elsewhere",
    () => new Response("", { status: 302, headers: { location: "http://127.0.0.1:1/" } }),
    "it answered 302: it sends us elsewhere; put the address itself into kafka.sasl.token_url",
  ],
  ["no JSON", () => new Response("hello"), "its answer has no access_token"],
  ["no token", () => Response.json({ access_token: 5 }), "its answer has no access_token"],
  ["no end", () => new Response("x".repeat(1_000_000)), "its answer does not end"],
  [
    "an echo",
    () => Response.json({ error: "bad", error_description: `not ${SECRET}!` }, { status: 400 }),
    "it answered 400 (bad, not ***!)",
  ],
];

test.each(REFUSALS)("no token: %s", async (_, answer, reason) => {
  const url = serve(answer);
  const { name, message } = await failure(ask(url));
  expect(name).toBe("TokenFailure");
  expect(message).toBe(`${url.origin}/oauth/token gives no token: ${reason}`);
});

test("an issuer that repeats the header or the form is not repeated", async () => {
  const url = serve((request) => {
    const login = request.headers.get("authorization") ?? "";
    const decoded = Buffer.from(login.split(" ")[1] ?? "", "base64").toString();
    return Response.json({ error: "bad", error_description: `${login} is ${decoded}` }, { status: 400 });
  });
  const { message } = await failure(ask(url));
  expect(message).toEndWith("it answered 400 (bad, Basic *** is id%3A%C3%BC:***)");
});

test("an answer that is no HTTP, or was packed wrongly, is told of in words for people", async () => {
  const url = serve(() => new Response("no gzip", { headers: { "content-encoding": "gzip" } }));
  expect((await failure(ask(url))).message).toEndWith("/oauth/token gives no token: asking for one failed (ZlibError)");
  url.protocol = "https:";
  const { message } = await failure(ask(url));
  expect(message).toEndWith("/oauth/token gives no token: it speaks no TLS: look at kafka.sasl.token_url");
});

test("the environment cannot have the request printed", async () => {
  const url = serve(() => Response.json({ access_token: "hunter3" }));
  const module = new URL("../../src/kafka/tokenRequest.ts", import.meta.url).href;
  const grant = `{ url: new URL("${url.href}"), clientId: "id", clientSecret: "hunter2" }`;
  const code = `const { requestToken } = await import("${module}"); console.log((await requestToken(${grant})).value.length)`;
  const env = { ...process.env, BUN_CONFIG_VERBOSE_FETCH: "curl" };
  const child = Bun.spawn([process.execPath, "-e", code], { env, stdout: "pipe", stderr: "pipe" });
  const [out, error] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  expect(out).toBe("7\n");
  expect(error).not.toContain("Authorization");
});

test("an issuer that is not there is told of", async () => {
  const { message } = await failure(ask(new URL("http://127.0.0.1:1/token")));
  expect(message).toContain("nothing listens there: look at kafka.sasl.token_url");
});
