// An issuer of OAuth tokens: answers the client credentials grant over HTTP and HTTPS, and publishes its key as a file for Kafka.
import { createSign, generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";

export interface TokenRequest {
  authorization: string | null;
  form: Record<string, string>;
}

export interface TokenEndpoint {
  readonly url: string;
  /** Over HTTPS; empty without `tls`. */
  readonly secureUrl: string;
  readonly issuer: string;
  /** All that was asked. */
  readonly requests: TokenRequest[];
  /** All that was given. */
  readonly tokens: string[];
  /** Seconds that a token is good for. */
  lifetime: number;
  /** Answers so instead, as long as it is there. */
  refuse: { status: number; body: string } | undefined;
  /** Writes the public key (a JSON Web Key Set, RFC 7517). */
  writeKeys(file: string): void;
  stop(): void;
}

export interface TokenEndpointOptions {
  clientId: string;
  clientSecret: string;
  /** The principal in the tokens. */
  subject: string;
  /** PEM files, for HTTPS. */
  tls?: { cert: string; key: string };
}

export function startTokenEndpoint({ clientId, clientSecret, subject, tls }: TokenEndpointOptions): TokenEndpoint {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const issuer = "https://issuer.example";
  const form = (text: string) => encodeURIComponent(text);
  const expected = `Basic ${Buffer.from(`${form(clientId)}:${form(clientSecret)}`).toString("base64")}`;
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

  function token(): string {
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: issuer, aud: "kafka", sub: subject, scope: "kafka", iat: now, exp: now + endpoint.lifetime };
    const signed = `${part({ alg: "RS256", typ: "JWT", kid: "test" })}.${part({ ...claims, jti: crypto.randomUUID() })}`;
    return `${signed}.${createSign("RSA-SHA256").update(signed).sign(privateKey, "base64url")}`;
  }

  async function answer(request: Request): Promise<Response> {
    const asked = Object.fromEntries(new URLSearchParams(await request.text()));
    const authorization = request.headers.get("authorization");
    endpoint.requests.push({ authorization, form: asked });
    const { refuse } = endpoint;
    if (refuse !== undefined) return new Response(refuse.body, { status: refuse.status });
    if (authorization !== expected) return Response.json({ error: "invalid_client" }, { status: 401 });
    if (asked.grant_type !== "client_credentials")
      return Response.json({ error: "unsupported_grant_type" }, { status: 400 });
    const given = token();
    endpoint.tokens.push(given);
    return Response.json({ access_token: given, token_type: "Bearer", expires_in: endpoint.lifetime });
  }

  const at = { hostname: "127.0.0.1", port: 0, fetch: answer };
  const server = Bun.serve(at);
  const secure = tls && Bun.serve({ ...at, tls: { cert: Bun.file(tls.cert), key: Bun.file(tls.key) } });

  const endpoint: TokenEndpoint = {
    url: `http://127.0.0.1:${server.port}/token`,
    secureUrl: secure === undefined ? "" : `https://127.0.0.1:${secure.port}/token`,
    issuer,
    requests: [],
    tokens: [],
    lifetime: 600,
    refuse: undefined,
    writeKeys(file) {
      const key = { ...publicKey.export({ format: "jwk" }), kid: "test", use: "sig", alg: "RS256" };
      writeFileSync(file, JSON.stringify({ keys: [key] }));
    },
    stop() {
      void server.stop(true);
      void secure?.stop(true);
    },
  };
  return endpoint;
}
