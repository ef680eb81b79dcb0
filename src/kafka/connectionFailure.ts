// How a connection to a broker fails: one kind of error, with a message that says what to do.

export type KafkaFailureKind =
  /** No connection came about: address, network, broker down, or it took too long. */
  | "connect"
  /** The connection ended; whether the broker acted on the request is not known. */
  | "closed"
  /** No answer within the request timeout; whether the broker acted on the request is not known. */
  | "timeout"
  /** What came is not Kafka's protocol, or not the answer to what was asked. */
  | "garbage"
  /** TLS or SASL refused us. */
  | "authentication"
  /** The broker does not speak the versions that are needed. */
  | "unsupported";

/** Whatever the kind, the connection is gone when this is seen. */
export class KafkaFailure extends Error {
  override name = "KafkaFailure";
  readonly kind: KafkaFailureKind;
  /** host:port */
  readonly broker: string;

  constructor(kind: KafkaFailureKind, broker: string, message: string) {
    super(message);
    this.kind = kind;
    this.broker = broker;
  }
}

const HINTS: Record<string, string> = {
  ECONNREFUSED: "nothing listens there: is the broker running, and is kafka.brokers right?",
  ENOTFOUND: "the name cannot be resolved: look at kafka.brokers, DNS, and the broker's advertised.listeners",
  EAI_AGAIN: "the name server does not answer: look at DNS",
  ETIMEDOUT: "the host does not answer: is it up, and does a firewall let us through?",
  EHOSTUNREACH: "there is no route to the host: is it up, and is the address right?",
  ENETUNREACH: "there is no route to its network: is the network up?",
  EACCES: "the system forbids the connection: look at the firewall",
  EPERM: "the system forbids the connection: look at the firewall",
  EMFILE: "too many open files: raise the limit (LimitNOFILE)",
  ENFILE: "too many open files in the whole system",
};

/** The failure behind an error of the socket before the connection stood. */
export function connectFailure(broker: string, error: SocketError, tls: boolean): KafkaFailure {
  const code = error.code ?? "";
  const hint = HINTS[code];
  if (hint !== undefined) return new KafkaFailure("connect", broker, `cannot connect to ${broker}: ${hint} (${code})`);
  if (tls) return tlsFailure(broker, error);
  return new KafkaFailure("connect", broker, `cannot connect to ${broker}: ${error.message || code}`);
}

export type SocketError = Error & { code?: string };

const UNTRUSTED =
  "its certificate is signed by an authority that is not trusted here: put that authority's certificate into kafka.tls.ca";
const UNWANTED =
  "it wants a certificate of ours that it trusts: set kafka.tls.cert and kafka.tls.key to one that is valid and signed by an authority it knows";
const NO_TLS = "does this port speak TLS? Without, kafka.tls.enabled must be false";

/** By the code of OpenSSL's verification, or that of the runtime. */
const TLS_HINTS: Record<string, string> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNTRUSTED,
  CERT_UNTRUSTED: UNTRUSTED,
  CERT_SIGNATURE_FAILURE: UNTRUSTED,
  CERT_HAS_EXPIRED: "its certificate has expired: renew it on the broker (or is the clock of this host wrong?)",
  CERT_NOT_YET_VALID: "its certificate is not valid yet: is the clock of this host right?",
  ECONNRESET: `it closed the connection: ${NO_TLS}`,
  ERR_SSL_WRONG_VERSION_NUMBER: `what it answers is not TLS: ${NO_TLS}`,
};

/** The alerts (RFC 8446, 6.2) by which a broker says that it does not like our certificate, or misses one. */
const CERTIFICATE_ALERT =
  /_ALERT_(CERTIFICATE_REQUIRED|BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_\w+|UNKNOWN_CA|ACCESS_DENIED|HANDSHAKE_FAILURE)/;

/** Whether TLS says it, not TCP: a broker's refusal of our certificate comes when the connection stands already. */
export function isTlsError({ code = "" }: SocketError): boolean {
  return code.startsWith("ERR_SSL_") || code.startsWith("ERR_TLS_");
}

const CLOSED: SocketError = Object.assign(new Error(), { code: "ECONNRESET" });

/** The TLS handshake failed; without an error when the broker just closed. */
export function tlsFailure(broker: string, error: SocketError = CLOSED): KafkaFailure {
  const code = error.code ?? "";
  return new KafkaFailure("authentication", broker, `TLS with ${broker} failed: ${tlsReason(code, error.message)}`);
}

function tlsReason(code: string, message: string): string {
  const hint = TLS_HINTS[code];
  if (hint !== undefined) return code === "ECONNRESET" ? hint : `${hint} (${code})`;
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return `${message}: connect by such a name (kafka.brokers, and the broker's advertised.listeners), or set kafka.tls.server_name`;
  }
  if (CERTIFICATE_ALERT.test(code)) return `${UNWANTED} (${code.replace(/^ERR_SSL_/, "")})`;
  return `${message || code} (kafka.tls)`;
}

/** What a close without a word usually means: before the first answer it is the wrong kind of port. */
export function closedHint(during: string | undefined, everAnswered: boolean, tls: boolean): string {
  if (during === "ApiVersions") {
    return tls
      ? ": does it want a certificate that it trusts (kafka.tls.cert, kafka.tls.key)?"
      : ": is it a TLS port (kafka.tls.enabled), or no Kafka at all?";
  }
  if (during?.startsWith("Sasl")) return ": is the login right (kafka.sasl)?";
  return everAnswered || during === undefined ? "" : ": does it want a login (kafka.sasl)?";
}

/** Of what a broker says, characters. */
const MAX_SAID = 500;

/** The failure behind whatever the handshake threw. kafkajs' errors are told by name, since it exports few. */
export function handshakeFailure(broker: string, thrown: unknown): KafkaFailure {
  if (thrown instanceof KafkaFailure) return thrown;
  const error = thrown as Error & { type?: string };
  const { name, type = "", message } = error;
  if (name === "TokenFailure") return new KafkaFailure("authentication", broker, `no login to ${broker}: ${message}`);
  if (name === "KafkaJSSASLAuthenticationError" || type.includes("SASL")) {
    const said = message.replace(/^SASL [\w -]+ authentication failed: /, "").slice(0, MAX_SAID);
    return new KafkaFailure("authentication", broker, `${broker} refused the login: ${said}: look at kafka.sasl`);
  }
  if (name === "KafkaJSServerDoesNotSupportApiKey" || name === "KafkaJSNonRetriableError") {
    return new KafkaFailure("unsupported", broker, `${broker}: ${message}: is it Kafka 2.4 or newer?`);
  }
  return new KafkaFailure("garbage", broker, `${broker} sent an answer that cannot be read: ${message}`);
}
