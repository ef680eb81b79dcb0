// The connection that metadata is asked on: one of its own, to any broker, moving on to another when it fails.
import type { KafkaConnection } from "../kafka/connection.ts";
import type { After } from "./after.ts";
import { renewAfter, tcpPatience } from "./backoff.ts";

export interface BrokerAddress {
  host: string;
  port: number;
}

export interface Broker extends BrokerAddress {
  id: number;
}

/** What is needed of a KafkaConnection. */
export type Connection = Pick<
  KafkaConnection,
  "broker" | "connect" | "destroy" | "open" | "request" | "sessionEndsAt" | "supports"
>;

interface Link {
  address: BrokerAddress;
  connection: Connection;
  /** Since when, on the clock of `now`, if it was chosen when no broker but those of the bootstrap list was known. */
  bootstrapSince: number | undefined;
  /** When another is to take its place, on the clock of `now`: its login ends soon, or it is not wanted any more. */
  renewAt: number;
}

export interface ClusterLinkParts {
  connect: (host: string, port: number) => Connection;
  /** Milliseconds, monotonic. */
  now: () => number;
  /** In [0, 1). */
  random: () => number;
  after: After;
}

/** Whom not to ask, if anybody else can be asked; undefined: one that has no id. */
export interface Another {
  notFrom: number | undefined;
}

/**
 * So many brokers that the cluster named may fail in a row before the bootstrap list has a turn: should all have moved, and
 * what is at their old addresses say nothing, each of them costs a connect timeout.
 */
const NAMED_IN_A_ROW = 3;
/** One that takes the connection and says nothing is left for another after these ms; longer with each failure: all may be slow. */
const CONNECT_PATIENCE = 3_000;
/** A connection to a broker of the bootstrap list is used at least so long. ms */
const BOOTSTRAP_FOR = 10_000;

export class ClusterLink {
  readonly #parts: ClusterLinkParts;
  #bootstrap: readonly BrokerAddress[];
  #brokers = new Map<number, Broker>();
  #link: Link | undefined;
  /** Addresses that failed since the last success. */
  readonly #tried = new Set<string>();
  /** Failures since then: all may have been tried, more than once. */
  #failures = 0;
  /** The brokers that the cluster named are asked last: the bootstrap list may be of another cluster. */
  #startOver = false;

  /** `bootstrap`: asked first, and later when brokers that the cluster named cannot be reached. At least one. */
  constructor(bootstrap: readonly BrokerAddress[], parts: ClusterLinkParts) {
    this.#bootstrap = bootstrap;
    this.#parts = parts;
  }

  /** The brokers that the cluster named last, by id. */
  get brokers(): ReadonlyMap<number, Broker> {
    return this.#brokers;
  }

  get bootstrap(): readonly BrokerAddress[] {
    return this.#bootstrap;
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
   * The connection in use, or a new one. With `another`, one to another broker than that, if there is any.
   * Rejects with a KafkaFailure; the next call then tries another address.
   */
  async open(another?: Another): Promise<Connection> {
    const link = this.#link;
    const good = link?.connection.open && this.#parts.now() < link.renewAt;
    if (good && !(another && this.#isFrom(link.address, another.notFrom))) return link.connection;
    this.close();
    const address = this.#choose(another);
    const connection = this.#parts.connect(address.host, address.port);
    const bootstrapSince = this.#brokers.size === 0 ? this.#parts.now() : undefined;
    const opened = { address, connection, bootstrapSince, renewAt: Number.POSITIVE_INFINITY };
    this.#link = opened;
    await this.#connect(connection);
    const lifetime = connection.sessionEndsAt - Date.now();
    opened.renewAt = Math.min(opened.renewAt, this.#parts.now() + renewAfter(lifetime, this.#parts.random));
    return connection;
  }

  /** The answer on the connection in use was good; these are the brokers now. */
  succeeded(brokers: readonly Broker[]): void {
    this.#tried.clear();
    this.#failures = 0;
    this.#startOver = false;
    this.#brokers = new Map(brokers.map((broker) => [broker.id, broker]));
  }

  /** The connection in use is no good: the next will be to another address. */
  failed(): void {
    this.#failures++;
    if (this.#link !== undefined) this.#tried.add(nameOf(this.#link.address));
    this.close();
  }

  /** The next open() makes another connection. What is being asked on this one is still answered. */
  renew(): void {
    if (this.#link !== undefined) this.#link.renewAt = Number.NEGATIVE_INFINITY;
  }

  /** Where there are many brokers, the few of the bootstrap list are not to be asked by all hosts for ever. */
  leaveBootstrap(): void {
    const since = this.#link?.bootstrapSince;
    if (since === undefined || this.#brokers.size <= this.#bootstrap.length) return;
    if (this.#parts.now() - since >= BOOTSTRAP_FOR) this.renew();
  }

  /** The next open() asks the bootstrap list again: this one, from now on. */
  startOver(bootstrap = this.#bootstrap): void {
    this.#bootstrap = bootstrap;
    this.#startOver = true;
    this.#tried.clear();
    this.renew();
  }

  close(): void {
    this.#link?.connection.destroy();
    this.#link = undefined;
  }

  async #connect(connection: Connection): Promise<void> {
    const alone = this.#bootstrap.length + this.#brokers.size === 1;
    const patience = alone ? Number.POSITIVE_INFINITY : CONNECT_PATIENCE * 2 ** this.#tried.size;
    let late = false;
    const giveUp = () => {
      late = true;
      connection.destroy();
    };
    const cancel = Number.isFinite(patience) ? this.#parts.after(patience, giveUp) : undefined;
    try {
      await connection.connect(tcpPatience(this.#failures));
    } catch (error) {
      throw late ? new Error(`connecting to ${connection.broker} took over ${patience} ms: is it well?`) : error;
    } finally {
      cancel?.();
    }
  }

  #choose(another: Another | undefined): BrokerAddress {
    const { random } = this.#parts;
    const named = shuffled([...this.#brokers.values()], random);
    const wanted = another ? named.filter((each) => !this.#isFrom(each, another.notFrom)) : named;
    const rest = named.filter((each) => !wanted.includes(each));
    const names = new Set(named.map(nameOf));
    const others = shuffled([...this.#bootstrap], random).filter((each) => !names.has(nameOf(each)));
    const othersFirst = this.#startOver || this.#tried.size % (NAMED_IN_A_ROW + 1) === NAMED_IN_A_ROW;
    const candidates = othersFirst ? [...others, ...wanted, ...rest] : [...wanted, ...rest, ...others];
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

/** The same addresses, in any order? */
export function sameAddresses(a: readonly BrokerAddress[], b: readonly BrokerAddress[]): boolean {
  return a.map(nameOf).sort().join() === b.map(nameOf).sort().join();
}

function shuffled<T>(items: T[], random: () => number): T[] {
  for (let last = items.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [items[last], items[other]] = [items[other] as T, items[last] as T];
  }
  return items;
}
