// What happens on a fresh connection before the first request: ApiVersions and SASL, both driven by kafkajs over
// a connection of ours. kafkajs' own Connection and RequestQueue are left out: they trust sizes and correlation ids,
// copy each request three times, and cannot be closed while a request is out.
import Broker from "kafkajs/src/broker/index.js";
import SASLAuthenticator from "kafkajs/src/broker/saslAuthenticator/index.js";
import { KafkaFailure } from "./connectionFailure.ts";
import { INIT_PRODUCER_ID_KEY, INIT_PRODUCER_ID_VERSIONS } from "./initProducerId.ts";
import type { SaslOptions } from "./login.ts";
import { METADATA_KEY, METADATA_VERSIONS } from "./metadata.ts";
import { PRODUCE } from "./produce.ts";

/** The range of versions that a broker speaks, by API key. */
export type ApiVersions = Readonly<Record<number, { minVersion: number; maxVersion: number }>>;

const SASL_HANDSHAKE = 17;
const SASL_AUTHENTICATE = 36;

export interface HandshakeCarrier {
  host: string;
  port: number;
  connectTimeout: number;
  sasl: SaslOptions | undefined;
  debug(message: string): void;
  /** Sends one request and resolves with a copy of the answer's body. */
  exchange(apiKey: number, apiVersion: number, name: string, body: Uint8Array): Promise<Buffer>;
}

export interface Handshake {
  versions: ApiVersions;
  /** How long the broker lets this login last, ms; 0 for ever. */
  sessionLifetime: number;
}

/** Rejects with a KafkaFailure of kind "unsupported", or with whatever kafkajs makes of the answers. */
export async function shakeHands(carrier: HandshakeCarrier): Promise<Handshake> {
  const broker = `${carrier.host}:${carrier.port}`;
  const logger = quietLogger(carrier);
  const sasl = carrier.sasl === undefined ? null : forKafkajs(carrier.sasl);
  let versions: KafkajsVersions = {};
  let saslAuthenticate: boolean | null = null;
  let sessionLifetime = 0;
  /** Ours; kafkajs would wrap it. */
  let refusal: KafkaFailure | undefined;

  const connection: KafkajsConnection = {
    host: carrier.host,
    port: carrier.port,
    sasl,
    async send({ request, response }) {
      const { buffer } = await request.encode();
      const body = await carrier.exchange(request.apiKey, request.apiVersion, request.apiName, buffer);
      const answer = await response.decode(body);
      refusal = sasl === null ? undefined : loginRefusal(broker, sasl.mechanism, request.apiKey, answer as SaslAnswer);
      if (refusal !== undefined) throw refusal;
      return response.parse(answer);
    },
    async sendAuthRequest() {
      throw new KafkaFailure("unsupported", broker, `${broker} does not speak SaslAuthenticate: ${NEEDED}`);
    },
    getSupportAuthenticationProtocol: () => saslAuthenticate,
    async authenticate() {
      if (sasl === null) return;
      const authenticator = new SASLAuthenticator(connection, logger, versions, saslAuthenticate);
      try {
        await authenticator.authenticate();
      } catch (error) {
        sasl.refused?.();
        throw refusal ?? error;
      }
      sessionLifetime = Number(authenticator.sessionLifetime);
    },
  };
  const pool: KafkajsConnectionPool = {
    host: carrier.host,
    port: carrier.port,
    connectionTimeout: carrier.connectTimeout,
    sasl,
    isConnected: () => false,
    isAuthenticated: () => false,
    getConnection: async () => connection,
    send: (exchange) => connection.send(exchange),
    setVersions(spoken) {
      requireVersions(broker, spoken);
      versions = spoken;
    },
    setSupportAuthenticationProtocol(supported) {
      saslAuthenticate = supported;
    },
    destroy: async () => {},
  };
  await new Broker({ connectionPool: pool, logger }).connect();
  return { versions, sessionLifetime };
}

/** A copy, for kafkajs writes into it. `refused` tells the token's source that the broker did not take it. */
function forKafkajs(options: SaslOptions): KafkajsSasl & { refused?: () => void } {
  if (options.mechanism !== "oauthbearer") return { ...options };
  let token: string | undefined;
  return {
    mechanism: options.mechanism,
    async oauthBearerProvider() {
      const given = await options.oauthBearerProvider();
      token = given.value;
      return given;
    },
    refused() {
      if (token !== undefined) options.refused(token);
    },
  };
}

interface SaslAnswer {
  errorCode: number;
  /** Of SaslHandshake. */
  enabledMechanisms?: string[];
  /** Of SaslAuthenticate, behind their length. */
  authBytes?: Buffer;
}

/** What kafkajs would say in fewer words, or not see. */
function loginRefusal(
  broker: string,
  mechanism: string,
  apiKey: number,
  { errorCode, enabledMechanisms, authBytes }: SaslAnswer,
): KafkaFailure | undefined {
  const name = mechanism.toUpperCase();
  const refused = (message: string) => new KafkaFailure("authentication", broker, message);
  if (apiKey === SASL_HANDSHAKE && enabledMechanisms?.includes(name) === false) {
    const offered = enabledMechanisms.join(", ") || "no login";
    return refused(`${broker} offers ${offered} on this port, not ${name}: look at kafka.sasl.mechanism`);
  }
  // A token that is refused is answered without an error code, but with a reason (RFC 7628, 3.2.3).
  const reason = authBytes?.toString("latin1", 4) ?? "";
  if (apiKey !== SASL_AUTHENTICATE || mechanism !== "oauthbearer" || errorCode !== 0 || reason === "") return undefined;
  const hint =
    "is it of the issuer, for the audience and with the scope that the broker wants, and are both clocks right?";
  return refused(`${broker} refused the token (${statusIn(reason)}): ${hint}`);
}

/** `{"status":"invalid_token",…}` */
function statusIn(reason: string): string {
  const status = /"status"\s*:\s*"([\w-]{1,40})"/.exec(reason);
  return status?.[1] ?? "it does not say why";
}

const NEEDED = "bruce needs Kafka 2.4 or newer";

const REQUIRED: readonly { name: string; key: number; spoken: readonly number[] }[] = [
  { name: "Produce", key: PRODUCE.apiKey, spoken: [PRODUCE.apiVersion] },
  { name: "Metadata", key: METADATA_KEY, spoken: METADATA_VERSIONS },
  { name: "InitProducerId", key: INIT_PRODUCER_ID_KEY, spoken: INIT_PRODUCER_ID_VERSIONS },
];

function requireVersions(broker: string, versions: ApiVersions): void {
  for (const { name, key, spoken } of REQUIRED) {
    const range = versions[key];
    if (range !== undefined && spoken.some((version) => speaks(versions, key, version))) continue;
    const offered = range === undefined ? `no ${name}` : `${name} ${range.minVersion} to ${range.maxVersion}`;
    const wanted = spoken.toSorted((a, b) => a - b).join(", ");
    throw new KafkaFailure("unsupported", broker, `${broker} speaks ${offered}, not ${wanted}: ${NEEDED}`);
  }
}

/** Whether `version` of an API is in the range that a broker gave. */
export function speaks(versions: ApiVersions, apiKey: number, version: number): boolean {
  const range = versions[apiKey];
  return range !== undefined && range.minVersion <= version && version <= range.maxVersion;
}

/** kafkajs may only whisper: every level goes to debug, without the extras, which may hold a payload. */
function quietLogger(carrier: HandshakeCarrier): KafkajsLogger {
  const debug = (message: string) => carrier.debug(message);
  const logger: KafkajsLogger = { namespace: () => logger, debug, info: debug, warn: debug, error: debug };
  return logger;
}
