// The connection that metadata is asked on: one of its own, to any broker, moving on to another when it fails.
import type { KafkaConnection } from "../kafka/connection.ts";

export interface BrokerAddress {
  host: string;
  port: number;
}

export interface Broker extends BrokerAddress {
  id: number;
}

/** What is needed of a KafkaConnection. */
export type Connection = Pick<KafkaConnection, "broker" | "connect" | "destroy" | "open" | "request" | "supports">;

interface Link {
  address: BrokerAddress;
  connection: Connection;
}

export interface ClusterLinkParts {
  /** Asked first, and later when no broker that the cluster named can be reached. */
  bootstrap: readonly BrokerAddress[];
  connect: (host: string, port: number) => Connection;
  random: () => number;
}

export class ClusterLink {
  readonly #parts: ClusterLinkParts;
  #brokers = new Map<number, Broker>();
  #link: Link | undefined;
  /** Addresses that failed since the last success. */
  readonly #tried = new Set<string>();

  constructor(parts: ClusterLinkParts) {
    this.#parts = parts;
  }

  /** The brokers that the cluster named last, by id. */
  get brokers(): ReadonlyMap<number, Broker> {
    return this.#brokers;
  }

  /** host:port of the connection in use. */
  get address(): string | undefined {
    return this.#link && nameOf(this.#link.address);
  }

  /** The id of the broker in use, if its address is one that the cluster advertises. */
  get brokerId(): number | undefined {
    return this.#link && this.#idOf(this.#link.address);
  }

  /**
   * The connection in use, or a new one. With `confirm`, one to another broker than that, if there is any.
   * Rejects with a KafkaFailure; the next call then tries another address.
   */
  async open(confirm?: { notFrom: number | undefined }): Promise<Connection> {
    const link = this.#link;
    if (link?.connection.open && !(confirm && this.#isFrom(link.address, confirm.notFrom))) return link.connection;
    this.close();
    const address = this.#choose(confirm);
    const connection = this.#parts.connect(address.host, address.port);
    this.#link = { address, connection };
    await connection.connect();
    return connection;
  }

  /** The answer on the connection in use was good; these are the brokers now. */
  succeeded(brokers: readonly Broker[]): void {
    this.#tried.clear();
    this.#brokers = new Map(brokers.map((broker) => [broker.id, broker]));
  }

  /** The connection in use is no good: the next will be to another address. */
  failed(): void {
    if (this.#link !== undefined) this.#tried.add(nameOf(this.#link.address));
    this.close();
  }

  close(): void {
    this.#link?.connection.destroy();
    this.#link = undefined;
  }

  #choose(confirm: { notFrom: number | undefined } | undefined): BrokerAddress {
    const known = shuffled([...this.#brokers.values()], this.#parts.random);
    const names = new Set(known.map(nameOf));
    const others = shuffled([...this.#parts.bootstrap], this.#parts.random).filter((each) => !names.has(nameOf(each)));
    const wanted = confirm ? known.filter((each) => !this.#isFrom(each, confirm.notFrom)) : known;
    const candidates = [...wanted, ...known.filter((each) => !wanted.includes(each)), ...others];
    const fresh = candidates.find((each) => !this.#tried.has(nameOf(each)));
    if (fresh !== undefined) return fresh;
    this.#tried.clear();
    return candidates[0] as BrokerAddress;
  }

  #isFrom(address: BrokerAddress, id: number | undefined): boolean {
    const own = this.#idOf(address);
    return own === undefined || own === id;
  }

  #idOf({ host, port }: BrokerAddress): number | undefined {
    for (const broker of this.#brokers.values()) if (broker.host === host && broker.port === port) return broker.id;
    return undefined;
  }
}

function nameOf({ host, port }: BrokerAddress): string {
  return `${host}:${port}`;
}

function shuffled<T>(items: T[], random: () => number): T[] {
  for (let last = items.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [items[last], items[other]] = [items[other] as T, items[last] as T];
  }
  return items;
}
