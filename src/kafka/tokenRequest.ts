// Asks a token endpoint for a token: OAuth 2.0, client credentials grant (RFC 6749, 4.4).
//
//   POST token_url, Authorization: Basic of form-encoded id and secret (2.3.1), body grant_type=client_credentials[&scope=…]
//   200 {"access_token": "…", "expires_in": seconds, …}      4xx {"error": "…", "error_description": "…"}  (5.1, 5.2)
//
// A proxy that the environment names (https_proxy, no_proxy) is used, but never to reach this very host.
import { systemAuthorities } from "./tlsFiles.ts";

export interface TokenGrant {
  url: URL;
  clientId: string;
  clientSecret: string;
  scope: string | undefined;
  /** PEM of authorities that are trusted beside the system's. */
  ca: string | undefined;
}

export interface Token {
  value: string;
  /** How long it is good for, ms; undefined: the issuer does not say. */
  lifetime: number | undefined;
}

/** No token was to be had; the message says why and what to do, without any secret. */
export class TokenFailure extends Error {
  override name = "TokenFailure";
}

/** For the whole answer. ms */
const PATIENCE = 10_000;
/** No token is larger: a broker takes requests of 512 KiB before the login (sasl.server.max.receive.size). */
const MAX_ANSWER = 512 * 1024;
/** Of what the issuer says. */
const MAX_TEXT = 300;

/** Rejects with a TokenFailure. */
export async function requestToken(grant: TokenGrant): Promise<Token> {
  const { url, clientId, clientSecret, scope, ca } = grant;
  const where = `${url.origin}${url.pathname}`;
  const fail = (why: string) => new TokenFailure(`${where} gives no token: ${why}`);
  const form = new URLSearchParams({ grant_type: "client_credentials", ...(scope === undefined ? {} : { scope }) });
  const login = Buffer.from(`${formEncoded(clientId)}:${formEncoded(clientSecret)}`).toString("base64");
  let status: number;
  let text: string;
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: {
        authorization: `Basic ${login}`,
        accept: "application/json",
        "content-type": "application/x-www-form-urlencoded",
      },
      body: form.toString(),
      // To be sent elsewhere with the secret is not what was configured.
      redirect: "manual",
      signal: AbortSignal.timeout(PATIENCE),
      // The environment may have the runtime print requests, with the secret in them (BUN_CONFIG_VERBOSE_FETCH).
      verbose: false,
      // Said for the environment, which may have the runtime trust anybody (NODE_TLS_REJECT_UNAUTHORIZED).
      tls: url.protocol === "https:" ? { ca: authorities(ca), rejectUnauthorized: true } : undefined,
      ...(isLoopback(url.hostname) ? { proxy: false as const } : {}),
    });
    status = response.status;
    text = await limited(response);
  } catch (error) {
    throw fail(reasonOf(error as Error & { code?: string }));
  }
  const answer = parsed(text);
  if (status !== 200) throw fail(refusal(status, answer, [login, formEncoded(clientSecret), clientSecret]));
  const value = answer.access_token;
  // What a header takes: RFC 6750, 2.1.
  if (typeof value !== "string" || !/^[\w.~+/-]+=*$/.test(value)) throw fail("its answer has no access_token");
  const seconds = Number(answer.expires_in);
  return { value, lifetime: seconds > 0 ? seconds * 1000 : lifetimeOf(value) };
}

export function isLoopback(hostname: string): boolean {
  return /^(localhost|127(\.\d+){3}|\[::1\])$/i.test(hostname);
}

/** application/x-www-form-urlencoded, as 2.3.1 wants it. */
function formEncoded(text: string): string {
  return new URLSearchParams([["", text]]).toString().slice(1);
}

function authorities(ca: string | undefined): string[] | undefined {
  const system = systemAuthorities();
  return ca === undefined ? system : [...(system ?? []), ca];
}

async function limited(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > MAX_ANSWER) throw new Error("its answer does not end");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parsed(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function refusal(
  status: number,
  { error, error_description: description }: Record<string, unknown>,
  secrets: readonly string[],
): string {
  const text = [error, description].filter((each) => typeof each === "string").join(", ");
  const said = secrets
    .reduce((shown, secret) => shown.replaceAll(secret, "***"), text)
    .replace(/[^\x20-\x7e]+/g, " ")
    .slice(0, MAX_TEXT);
  const hint =
    status === 401 || error === "invalid_client"
      ? ": look at kafka.sasl.client_id and client_secret"
      : error === "invalid_scope"
        ? ": look at kafka.sasl.scope"
        : status >= 300 && status < 400
          ? ": it sends us elsewhere; put the address itself into kafka.sasl.token_url"
          : status === 404 || status === 405
            ? ": look at kafka.sasl.token_url"
            : "";
  return `it answered ${status}${said === "" ? "" : ` (${said})`}${hint}`;
}

const REASONS: Record<string, string> = {
  ConnectionRefused: "nothing listens there: look at kafka.sasl.token_url",
  ECONNREFUSED: "nothing listens there: look at kafka.sasl.token_url",
  ECONNRESET: "it closed the connection: look at kafka.sasl.token_url",
  EPROTO: "it speaks no TLS: look at kafka.sasl.token_url",
  ENOTFOUND: "its name cannot be resolved: look at kafka.sasl.token_url and DNS",
  TimeoutError: `it did not answer within ${PATIENCE / 1000} s`,
  CERT_HAS_EXPIRED: "its certificate has expired",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another host",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    "its certificate is signed by nobody known here: put the authority into kafka.tls.ca",
};
for (const code of ["DEPTH_ZERO_SELF_SIGNED_CERT", "SELF_SIGNED_CERT_IN_CHAIN", "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"])
  REASONS[code] = REASONS.UNABLE_TO_VERIFY_LEAF_SIGNATURE as string;

function reasonOf(error: Error & { code?: string }): string {
  const known = REASONS[error.name] ?? REASONS[String(error.code)];
  // What the runtime says of others is for programmers, with the whole URL.
  return known ?? (error.code === undefined ? error.message : `asking for one failed (${error.code})`);
}

/** Of a JSON Web Token (RFC 7519), by its own words; its signature is the broker's affair. */
function lifetimeOf(token: string): number | undefined {
  const [, claims] = token.split(".");
  const { exp } = parsed(Buffer.from(claims ?? "", "base64url").toString("utf8"));
  return typeof exp === "number" ? Math.max(0, exp * 1000 - Date.now()) : undefined;
}
