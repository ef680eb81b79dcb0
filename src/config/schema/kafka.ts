// The settings about the brokers and the connections to them.
import { bool, brokers, duration, integer, type Kind, oneOf, optional, type Reading, text } from "../kinds.ts";
import type { Acks, SaslMechanism } from "../types.ts";
import type { Table, Tables } from "./key.ts";

const quoted = text("text", { empty: false });
const path = text("the path of a file", { empty: false });
/** Not what is in it, which would be shown. */
const file: Kind<string> = {
  ...path,
  read: (raw) =>
    typeof raw === "string" && raw.includes("-----BEGIN ")
      ? { hint: ": this is what should be in the file" }
      : path.read(raw),
};
/** Without a login or another secret in it, which would be shown. */
const httpUrl: Kind<string> = {
  allowed: 'a URL that begins with "https://" or "http://", without a user in it',
  read: (raw) => {
    const refused: Reading<string> = {};
    if (typeof raw !== "string" || !/^https?:\/\//i.test(raw) || !URL.canParse(raw)) return refused;
    const { username, password, hash, searchParams } = new URL(raw);
    if (username !== "" || password !== "" || hash !== "") return refused;
    const secret = [...searchParams.keys()].some((name) => /secret|passw|token|key|credential|assertion/i.test(name));
    return secret
      ? { hint: " and without a secret: that belongs in client_secret, or client_secret_file" }
      : { value: raw };
  },
  write: quoted.write,
};
const credential = text("a string that is not empty", { empty: false });

export const kafka: Table<Tables["kafka"]> = {
  about: "The Kafka cluster that messages go to.",
  keys: {
    brokers: {
      kind: brokers,
      default: [{ host: "localhost", port: 9092 }],
      about: "Brokers to ask first; the others of the cluster are learnt from them. One string with commas also works.",
    },
    clientId: {
      kind: text("a string of 1 to 249 characters", { empty: false, max: 249 }),
      default: "bruce",
      about: "The name under which the brokers see this client in their logs, metrics and quotas.",
    },
    acks: {
      kind: oneOf<Acks>("all", 1, 0),
      default: "all",
      about:
        "Who must have a batch before it counts as delivered: all in-sync replicas, the leader only, or nobody. " +
        "1 and 0 need `idempotence = false`.",
      restart: true,
    },
    idempotence: {
      kind: bool,
      default: true,
      about: "Let the brokers recognise a batch that is sent again, so that a retry never duplicates it.",
      restart: true,
    },
    requestTimeout: {
      kind: duration("10ms", "1h"),
      default: 30_000,
      about: "How long a broker may take to answer before the connection is closed and the batch is sent again.",
    },
    connectTimeout: {
      kind: duration("10ms", "1h"),
      default: 10_000,
      about: "How long connecting to a broker may take, with the greeting and the login.",
    },
    metadataRefresh: {
      kind: duration("100ms", "24h"),
      default: 300_000,
      about: "How often to ask for topics, partitions and leaders even when nothing went wrong; varied by 10 %.",
    },
    autoCreateTopics: {
      kind: bool,
      default: false,
      about: "Ask the brokers to create a topic that does not exist; they must allow it too.",
    },
    maxInFlight: {
      kind: integer(1, 100),
      default: 5,
      about: "Produce requests under way on one connection; of a partition never more than one batch.",
    },
    producerIdExpiration: {
      kind: duration("1m", "8760h"),
      default: 86_400_000,
      about: "The brokers' `producer.id.expiration.ms`: how long they remember which batches they have.",
    },
  },
};

export const tls: Table<Tables["kafka.tls"]> = {
  about: "Encrypted connections to the brokers.",
  keys: {
    enabled: { kind: bool, default: false, about: "Connect with TLS." },
    ca: {
      kind: optional(file),
      default: undefined,
      about: "PEM file of the authorities to trust instead of the system's.",
    },
    cert: { kind: optional(file), default: undefined, about: "PEM file of the certificate to show to the brokers." },
    key: { kind: optional(file), default: undefined, about: "PEM file of the private key that belongs to `cert`." },
    serverName: {
      kind: optional(text("a host name", { empty: false, max: 253 })),
      default: undefined,
      about: "The name to expect in the brokers' certificates, where it is not the host connected to.",
    },
    verify: { kind: bool, default: true, about: "Refuse a broker whose certificate does not check out." },
  },
};

export const sasl: Table<Tables["kafka.sasl"]> = {
  about: "Logging in to the brokers.",
  keys: {
    mechanism: {
      kind: optional(oneOf<SaslMechanism>("plain", "scram-sha-256", "scram-sha-512", "oauthbearer")),
      default: undefined,
      about: "How to log in; left out, there is no login.",
    },
    username: { kind: optional(credential), default: undefined, about: "The user, for `plain` and `scram-…`." },
    password: {
      kind: optional(credential),
      default: undefined,
      about: "The user's password; better taken from a file or the environment than written here.",
      secret: true,
    },
    passwordFile: {
      kind: optional(file),
      default: undefined,
      about: "A file that holds the password instead, such as one of systemd's credentials.",
    },
    tokenUrl: {
      kind: optional(httpUrl),
      default: undefined,
      about: "Where `oauthbearer` gets its tokens (client credentials grant).",
    },
    clientId: { kind: optional(credential), default: undefined, about: "Who asks there for a token." },
    clientSecret: {
      kind: optional(credential),
      default: undefined,
      about: "The secret to ask with; better taken from a file or the environment than written here.",
      secret: true,
    },
    clientSecretFile: { kind: optional(file), default: undefined, about: "A file that holds that secret instead." },
    scope: {
      kind: optional(credential),
      default: undefined,
      about: "What the token is to be good for, where the issuer wants to be told; several with spaces between.",
    },
  },
};
