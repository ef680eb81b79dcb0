// Ways into a real Kafka that want TLS, a login, or both, for startKafka().
import type { Certificate } from "./certificates.ts";
import type { Listener } from "./kafka.ts";

export interface TlsListenerOptions {
  certificate: Certificate;
  /** PEM file of the authority whose certificates clients must show; left out: they need none. */
  clients?: string;
  /** As the broker calls itself. */
  host?: string;
}

export interface LoginListenerOptions {
  /** Passwords for PLAIN, by user. */
  plain?: Record<string, string>;
  /** The users are given to the node when it is formatted: see scramUser(). */
  scram?: boolean;
  /** File of the issuer's keys. Java must be told allowUrl() of it. */
  oauth?: { keys: string; issuer: string };
  /** How long a login lasts, ms. */
  sessionLifetime?: number;
  tls?: TlsListenerOptions;
}

export function tlsListener(options: TlsListenerOptions): Listener {
  return { protocol: "SSL", host: options.host, properties: tlsProperties(options) };
}

function tlsProperties({ certificate, clients }: TlsListenerOptions): Record<string, string> {
  const mutual = {
    "ssl.client.auth": "required",
    "ssl.truststore.type": "PEM",
    "ssl.truststore.location": clients ?? "",
  };
  return {
    "ssl.keystore.type": "PEM",
    "ssl.keystore.location": certificate.both,
    ...(clients === undefined ? {} : mutual),
  };
}

const MODULES = "org.apache.kafka.common.security";

export function loginListener({ plain, scram, oauth, sessionLifetime = 0, tls }: LoginListenerOptions): Listener {
  const properties: Record<string, string> = {};
  const mechanisms: string[] = [];
  const add = (mechanism: string, module: string, options: string, more: Record<string, string> = {}) => {
    mechanisms.push(mechanism);
    const own = { "sasl.jaas.config": `${MODULES}.${module} required ${options};`, ...more };
    for (const [key, value] of Object.entries({ ...own, "connections.max.reauth.ms": String(sessionLifetime) }))
      properties[`${mechanism.toLowerCase()}.${key}`] = value;
  };
  if (plain !== undefined) {
    const users = Object.entries(plain).map(([user, password]) => `user_${user}="${password}"`);
    add("PLAIN", "plain.PlainLoginModule", users.join(" "));
  }
  if (scram) for (const bits of [256, 512]) add(`SCRAM-SHA-${bits}`, "scram.ScramLoginModule", "");
  if (oauth !== undefined) {
    add("OAUTHBEARER", "oauthbearer.OAuthBearerLoginModule", "", {
      "sasl.server.callback.handler.class": `${MODULES}.oauthbearer.OAuthBearerValidatorCallbackHandler`,
      "sasl.oauthbearer.jwks.endpoint.url": `file://${oauth.keys}`,
      "sasl.oauthbearer.expected.issuer": oauth.issuer,
      "sasl.oauthbearer.expected.audience": "kafka",
    });
    // Kafka 4.1.0 looks neither at signatures nor at dates without, and does not find this one below the mechanism's name.
    properties["sasl.oauthbearer.jwt.validator.class"] = `${MODULES}.oauthbearer.BrokerJwtValidator`;
  }
  const login = { "sasl.enabled.mechanisms": mechanisms.join(), ...properties };
  if (tls === undefined) return { protocol: "SASL_PLAINTEXT", properties: login };
  return { protocol: "SASL_SSL", host: tls.host, properties: { ...login, ...tlsProperties(tls) } };
}

/** For KafkaOptions.scram. */
export function scramUsers(passwords: Record<string, string>): string[] {
  return Object.entries(passwords).flatMap(([user, password]) =>
    [256, 512].map((bits) => `SCRAM-SHA-${bits}=[name=${user},password=${password}]`),
  );
}

/** For KafkaOptions.java: since version 4, Kafka reads keys only from where it was allowed to. */
export function allowUrl(file: string): string {
  return `-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://${file}`;
}

/** For KafkaOptions.properties: whoever comes by the PLAINTEXT listener may do anything, everybody else nothing. */
export const WITH_ACLS: Record<string, string> = {
  "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
  "super.users": "User:ANONYMOUS",
};
