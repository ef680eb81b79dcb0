// The parts of kafkajs 2.2.4 that are used here. They are internals, but the library is frozen.

interface KafkajsRequest {
  apiKey: number;
  apiVersion: number;
  apiName: string;
  encode(): Promise<{ buffer: Buffer }>;
}

interface KafkajsExchange {
  request: KafkajsRequest;
  response: { decode(payload: Buffer): Promise<unknown>; parse(decoded: unknown): Promise<unknown> };
}

interface KafkajsLogger {
  namespace(name: string): KafkajsLogger;
  debug(message: string, extra?: object): void;
  info(message: string, extra?: object): void;
  warn(message: string, extra?: object): void;
  error(message: string, extra?: object): void;
}

type KafkajsVersions = Record<number, { minVersion: number; maxVersion: number }>;

interface KafkajsSasl {
  mechanism: string;
  [key: string]: unknown;
}

/** What SASLAuthenticator and Broker ask of a connection. */
interface KafkajsConnection {
  host: string;
  port: number;
  sasl: KafkajsSasl | null;
  send(exchange: KafkajsExchange): Promise<unknown>;
  sendAuthRequest(exchange: KafkajsExchange): Promise<unknown>;
  getSupportAuthenticationProtocol(): boolean | null;
  authenticate(): Promise<void>;
}

/** What Broker asks of a connection pool. */
interface KafkajsConnectionPool {
  host: string;
  port: number;
  connectionTimeout: number;
  sasl: KafkajsSasl | null;
  isConnected(): boolean;
  isAuthenticated(): boolean;
  getConnection(): Promise<KafkajsConnection>;
  send(exchange: KafkajsExchange): Promise<unknown>;
  setVersions(versions: KafkajsVersions): void;
  setSupportAuthenticationProtocol(supported: boolean): void;
  destroy(): Promise<void>;
}

declare module "kafkajs/src/broker/index.js" {
  class Broker {
    constructor(options: { connectionPool: KafkajsConnectionPool; logger: KafkajsLogger });
    /** ApiVersions (falling back to older versions of it), then authenticate() of the connection. */
    connect(): Promise<void>;
  }
  export = Broker;
}

declare module "kafkajs/src/broker/saslAuthenticator/index.js" {
  class SASLAuthenticator {
    constructor(
      connection: KafkajsConnection,
      logger: KafkajsLogger,
      versions: KafkajsVersions,
      supportAuthenticationProtocol: boolean | null,
    );
    authenticate(): Promise<void>;
    /** ms as a decimal string, "0" for no limit. */
    sessionLifetime: string;
  }
  export = SASLAuthenticator;
}
