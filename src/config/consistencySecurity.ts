// Which settings of kafka.tls and kafka.sasl need, or exclude, each other.
import type { SaslSettings, TlsSettings } from "./types.ts";

/** Takes all keys involved; the error stands at the first of them that the configuration mentions. */
type Report = (message: string, ...paths: [string, ...string[]]) => void;

const TLS_ONLY = { ca: "ca", cert: "cert", key: "key", serverName: "server_name" } as const;

export function checkTls(tls: TlsSettings, report: Report): void {
  if (!tls.enabled) {
    for (const [field, name] of Object.entries(TLS_ONLY) as [keyof typeof TLS_ONLY, string][]) {
      if (tls[field] !== undefined) report(`has no effect without TLS: ${SWITCH_ON}`, `kafka.tls.${name}`, ENABLED);
    }
    if (!tls.verify) report(`has no effect without TLS: ${SWITCH_ON}`, "kafka.tls.verify", ENABLED);
  }
  if (tls.cert !== undefined && tls.key === undefined) {
    report("a certificate needs the key that belongs to it: set key too", "kafka.tls.cert", "kafka.tls.key");
  }
  if (tls.key !== undefined && tls.cert === undefined) {
    report("a key needs the certificate that belongs to it: set cert too", "kafka.tls.key", "kafka.tls.cert");
  }
}

const ENABLED = "kafka.tls.enabled";
const SWITCH_ON = "set kafka.tls.enabled = true, or leave it out";

/** The settings of each kind of login, as in TOML; and the secret, of which there must be exactly one. */
const USER = { own: ["username", "password", "password_file"], secret: ["password", "password_file"] } as const;
const CLIENT = {
  own: ["token_url", "client_id", "client_secret", "client_secret_file", "scope"],
  secret: ["client_secret", "client_secret_file"],
} as const;

type Name = (typeof USER)["own"][number] | (typeof CLIENT)["own"][number];

const FIELDS: Record<Name, keyof SaslSettings> = {
  username: "username",
  password: "password",
  password_file: "passwordFile",
  token_url: "tokenUrl",
  client_id: "clientId",
  client_secret: "clientSecret",
  client_secret_file: "clientSecretFile",
  scope: "scope",
};

export function checkSasl(sasl: SaslSettings, report: Report): void {
  const { mechanism } = sasl;
  const given = (name: Name): boolean => sasl[FIELDS[name]] !== undefined;
  const at = (name: Name): string => `kafka.sasl.${name}`;
  const MECHANISM = "kafka.sasl.mechanism";
  if (mechanism === undefined) {
    const names = (Object.keys(FIELDS) as Name[]).filter(given);
    const allowed = 'must be "scram-sha-512", "scram-sha-256", "plain" or "oauthbearer"';
    for (const name of names) report(`has no effect without mechanism, which ${allowed}`, at(name), MECHANISM);
    return;
  }
  const oauth = mechanism === "oauthbearer";
  const [mine, others] = oauth ? [CLIENT, USER] : [USER, CLIENT];
  const needed = oauth ? (["token_url", "client_id"] as const) : (["username"] as const);
  for (const name of needed) {
    if (!given(name)) report(`mechanism = "${mechanism}" needs ${name}`, MECHANISM, at(name));
  }
  const [secret, file] = mine.secret;
  if (given(secret) && given(file))
    report(`${secret} and ${file} exclude each other: leave one out`, at(file), at(secret));
  if (!given(secret) && !given(file)) {
    report(`mechanism = "${mechanism}" needs ${secret} or ${file}`, MECHANISM, at(secret), at(file));
  }
  for (const name of others.own) {
    if (given(name)) report(`has no effect with mechanism = "${mechanism}": leave it out`, at(name), MECHANISM);
  }
}
