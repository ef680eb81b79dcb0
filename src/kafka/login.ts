// The login of kafka.sasl as a connection takes it: name and password, or where the next token comes from.
import type { Objection } from "../config/load.ts";
import type { Settings } from "../config/settings.ts";
import { readSecretFile } from "./secretFile.ts";
import { isLoopback, requestToken } from "./tokenRequest.ts";
import { TokenSource } from "./tokenSource.ts";

/** As kafkajs takes them; it looks at what the mechanism needs. */
export type SaslOptions =
  | { mechanism: "plain" | "scram-sha-256" | "scram-sha-512"; username: string; password: string }
  | {
      mechanism: "oauthbearer";
      oauthBearerProvider: () => Promise<{ value: string }>;
      /** The broker did not take it. */
      refused: (token: string) => void;
    };

export type OpenedLogin = { options: SaslOptions | undefined; warnings: string[] } | { objections: Objection[] };

/** Reads the files that hold secrets. `ca`: authorities that are trusted at the token endpoint beside the system's, PEM. */
export function openLogin(sasl: Settings["kafka"]["sasl"], { ca }: { ca: string | undefined }): OpenedLogin {
  const { mechanism } = sasl;
  if (mechanism === undefined) return { options: undefined, warnings: [] };
  const warnings: string[] = [];
  const oauth = mechanism === "oauthbearer";
  const [setting, written, file] = oauth
    ? (["client_secret_file", sasl.clientSecret, sasl.clientSecretFile] as const)
    : (["password_file", sasl.password, sasl.passwordFile] as const);
  let secret = written ?? "";
  if (file !== undefined) {
    const read = readSecretFile(file);
    if ("problem" in read) return { objections: [{ path: ["kafka", "sasl", setting], message: read.problem }] };
    secret = read.secret;
    if (read.exposed) warnings.push(`kafka.sasl.${setting}: everybody may read ${file}: chmod o-r`);
  }
  if (!oauth) return { options: { mechanism, username: sasl.username ?? "", password: secret }, warnings };

  const url = new URL(sasl.tokenUrl ?? "");
  if (url.protocol === "http:" && !isLoopback(url.hostname)) {
    warnings.push("kafka.sasl.token_url is http: the network can read the client's secret and the tokens");
  }
  const { clientId = "", scope } = sasl;
  const grant = { url, clientId, clientSecret: secret, scope, ca };
  const source = new TokenSource({ request: () => requestToken(grant), now: Date.now, random: Math.random });
  const oauthBearerProvider = async () => ({ value: await source.token() });
  return { options: { mechanism, oauthBearerProvider, refused: (token) => source.refused(token) }, warnings };
}
