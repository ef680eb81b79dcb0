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
export function connectFailure(broker: string, error: Error & { code?: string }, tls: boolean): KafkaFailure {
  const code = error.code ?? "";
  const hint = HINTS[code];
  if (hint !== undefined) return new KafkaFailure("connect", broker, `cannot connect to ${broker}: ${hint} (${code})`);
  if (tls) return code === "ECONNRESET" ? tlsFailure(broker) : tlsFailure(broker, error.message || code);
  return new KafkaFailure("connect", broker, `cannot connect to ${broker}: ${error.message || code}`);
}

/** The TLS handshake failed; without a reason when the broker just closed. */
export function tlsFailure(broker: string, why = "it closed the connection, is it a TLS port?"): KafkaFailure {
  return new KafkaFailure("authentication", broker, `TLS with ${broker} failed: ${why} (kafka.tls)`);
}

/** What a close without a word usually means: before the first answer it is the wrong kind of port. */
export function closedHint(during: string | undefined, everAnswered: boolean): string {
  if (during === "ApiVersions") return ": is it a TLS port (kafka.tls), or no Kafka at all?";
  if (during?.startsWith("Sasl")) return ": is the login right (kafka.sasl)?";
  return everAnswered || during === undefined ? "" : ": does it want a login (kafka.sasl)?";
}

/** The failure behind whatever the handshake threw. kafkajs' errors are told by name, since it exports few. */
export function handshakeFailure(broker: string, thrown: unknown): KafkaFailure {
  if (thrown instanceof KafkaFailure) return thrown;
  const error = thrown as Error & { type?: string };
  const { name, type = "", message } = error;
  if (name === "KafkaJSSASLAuthenticationError" || type.includes("SASL")) {
    return new KafkaFailure("authentication", broker, `${broker} refused the login: ${message}: look at kafka.sasl`);
  }
  if (name === "KafkaJSServerDoesNotSupportApiKey" || name === "KafkaJSNonRetriableError") {
    return new KafkaFailure("unsupported", broker, `${broker}: ${message}: is it Kafka 2.4 or newer?`);
  }
  return new KafkaFailure("garbage", broker, `${broker} sent an answer that cannot be read: ${message}`);
}
