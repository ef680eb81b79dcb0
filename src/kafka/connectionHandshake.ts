// What happens on a fresh connection before the first request: ApiVersions and SASL, both driven by kafkajs over
// a connection of ours. kafkajs' own Connection and RequestQueue are left out: they trust sizes and correlation ids,
// copy each request three times, and cannot be closed while a request is out.
import Broker from "kafkajs/src/broker/index.js";
import SASLAuthenticator from "kafkajs/src/broker/saslAuthenticator/index.js";
import { KafkaFailure } from "./connectionFailure.ts";
import { INIT_PRODUCER_ID_KEY, INIT_PRODUCER_ID_VERSIONS } from "./initProducerId.ts";
import { METADATA_KEY, METADATA_VERSIONS } from "./metadata.ts";
import { PRODUCE } from "./produce.ts";

/** The range of versions that a broker speaks, by API key. */
export type ApiVersions = Readonly<Record<number, { minVersion: number; maxVersion: number }>>;

/** Options of kafkajs: mechanism plain, scram-sha-256, scram-sha-512, oauthbearer, and what each needs. */
export type SaslOptions = KafkajsSasl;

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
  // A copy: kafkajs writes into it.
  const sasl = carrier.sasl === undefined ? null : { ...carrier.sasl };
  let versions: KafkajsVersions = {};
  let saslAuthenticate: boolean | null = null;
  let sessionLifetime = 0;

  const connection: KafkajsConnection = {
    host: carrier.host,
    port: carrier.port,
    sasl,
    async send({ request, response }) {
      const { buffer } = await request.encode();
      const body = await carrier.exchange(request.apiKey, request.apiVersion, request.apiName, buffer);
      return response.parse(await response.decode(body));
    },
    async sendAuthRequest() {
      throw new KafkaFailure("unsupported", broker, `${broker} does not speak SaslAuthenticate: ${NEEDED}`);
    },
    getSupportAuthenticationProtocol: () => saslAuthenticate,
    async authenticate() {
      if (sasl === null) return;
      const authenticator = new SASLAuthenticator(connection, logger, versions, saslAuthenticate);
      await authenticator.authenticate();
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
