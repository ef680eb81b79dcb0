// The picture of the cluster: its brokers, and the leaders of the topics that are wanted. Kept fresh on a connection of
// its own. What to ask for when is decided in clusterTopics.ts, whom to ask in clusterLink.ts.
import type { Settings } from "../config/settings.ts";
import { KafkaFailure } from "../kafka/connectionFailure.ts";
import { ErrorCode } from "../kafka/errors.ts";
import { METADATA_KEY, METADATA_VERSIONS, type MetadataResponse, metadataRequest } from "../kafka/metadata.ts";
import type { Log } from "../observe/log.ts";
import { type After, afterDelay } from "./after.ts";
import { backoffDelay } from "./backoff.ts";
import { type Broker, type BrokerAddress, ClusterLink, type Connection, sameAddresses } from "./clusterLink.ts";
import type { TopicState } from "./clusterTopic.ts";
import { type Ask, ClusterTopics } from "./clusterTopics.ts";

export type { TopicState } from "./clusterTopic.ts";

export interface ClusterParts {
  /** Read when they are needed: they may change. But see `Cluster.setBootstrap` for the brokers. */
  kafka: Pick<Settings["kafka"], "brokers" | "metadataRefresh" | "requestTimeout" | "autoCreateTopics">;
  log: Pick<Log, "debug" | "info" | "warn">;
  connect: (host: string, port: number) => Connection;
  /** Milliseconds, monotonic. */
  now: () => number;
  /** In [0, 1). */
  random: () => number;
  /** The same, for waiting only: a simulation may want none. Default: `random`. */
  jitter?: () => number;
  after?: After;
  /** Between failing brokers, and between refreshes. */
  delivery?: Pick<Settings["delivery"], "backoff" | "backoffMax">;
  /** Topics that existed when an earlier run ended. */
  topicsSeen?: Iterable<string>;
}

/** Topics in one request. More are asked for in the next: an answer is taken in at one go, and must not hold up all else. */
const TOPICS_AT_ONCE = 1_000;
/** With topics of many partitions, about so many partitions: taking in 20,000 takes some 20 ms. */
const PARTITIONS_AT_ONCE = 10_000;
/** Topics that are wanted within so many ms go into one request. */
const GATHER = 2;
/** However often something contradicts the picture, all is asked for at most this often while nothing new is learnt. ms */
const REFRESH_APART = 2_000;
/** While that goes on, after another quarter of the time that it has gone on for; at most so many ms. */
const SHARE_OF_TROUBLE = 1 / 4;
const REFRESH_APART_IN_THE_LONG_RUN = 10_000;
/** When nothing contradicted the picture for so long, the trouble was over. ms */
const CALM = 20_000;
/** After so many answers with nothing new another broker is asked: the one in use may have lost touch with the others. */
const FRUITLESS_AT_ONE = 5;
/** A broker that is silent for so long is left for another, even where a produce request may take longer. ms */
const PATIENCE = 10_000;

export class Cluster {
  /** Called after each answer with the topics of which it said something new; brokers may have changed as well. */
  onChange: ((changedTopics: Set<string>) => void) | undefined;
  /** Whether what a refresh was wanted for is still so: then all is asked for again without being told. */
  stillWrong: (() => boolean) | undefined;
  /** When the last answer came, and when one last said anything new; ms since the epoch. */
  lastUpdated: number | undefined;
  lastModified: number | undefined;
  clusterId: string | undefined;
  /** Attempts without an answer, in total. */
  failures = 0;

  readonly #parts: Required<ClusterParts>;
  readonly #topics: ClusterTopics;
  readonly #link: ClusterLink;
  #state: "new" | "waiting" | "asking" | "stopped" = "new";
  /** When all is to be asked for again, whatever happens; the brokers too, if no topic is wanted. */
  #refreshAt: number;
  /** Not before: backoff after a failure. */
  #notBefore: number;
  #lastAsked = Number.NEGATIVE_INFINITY;
  /** Something contradicts the picture, and `#refreshAt` is soon. */
  #urgent = false;
  /** Since when something contradicted it, again and again, how often that was looked into, and when last it did. */
  #trouble = { since: 0, fruitless: 0, last: Number.NEGATIVE_INFINITY };
  #topicsAtOnce = TOPICS_AT_ONCE;
  #failuresInARow = 0;
  /** Why the last attempt failed. */
  #lastFailure: Error | undefined;
  #timer: { at: number; cancel: () => void } | undefined;

  constructor(parts: ClusterParts) {
    this.#parts = {
      after: afterDelay,
      delivery: { backoff: 100, backoffMax: 5_000 },
      topicsSeen: [],
      jitter: parts.random,
      ...parts,
    };
    this.#topics = new ClusterTopics({ ...parts, random: this.#parts.jitter });
    this.#link = new ClusterLink(parts.kafka.brokers, this.#parts);
    this.#refreshAt = this.#notBefore = parts.now();
  }

  start(): void {
    if (this.#state !== "new") return;
    this.#state = "waiting";
    this.#arm();
  }

  /** Closes the connection at once; nothing is called back any more. */
  stop(): void {
    this.#state = "stopped";
    this.#timer?.cancel();
    this.#link.close();
  }

  broker(id: number): Broker | undefined {
    return this.#link.brokers.get(id);
  }

  brokers(): Broker[] {
    return [...this.#link.brokers.values()];
  }

  /** host:port that metadata is asked of now. */
  get address(): string | undefined {
    return this.#link.address;
  }

  /** Nobody answered when last asked. */
  get failing(): boolean {
    return this.#failuresInARow > 0;
  }

  /** Why nobody answered when last asked. */
  get failure(): string | undefined {
    return this.failing ? this.#lastFailure?.message : undefined;
  }

  /** Names of topics that exist, for the next run: one broker that lags behind is not believed that they are gone. */
  topicsSeen(): string[] {
    return this.#topics.seen();
  }

  /** What is known of a topic; only of those wanted. */
  topic(name: string): TopicState {
    return this.#topics.state(name);
  }

  /** Asks for the topic soon, and keeps it fresh until forget(). */
  want(name: string): void {
    const at = this.#parts.now() + GATHER;
    this.#topics.want(name, at);
    this.#wakeAt(at);
  }

  forget(name: string): void {
    this.#topics.forget(name);
  }

  /**
   * Something contradicts the picture: asks for all of it soon, but less and less so while that teaches nothing new. Many calls
   * make one request. What is wrong here is often wrong for every host there is, at this very instant: so by chance a bit later.
   */
  refresh(why: string): void {
    const { now, jitter, delivery, log } = this.#parts;
    const time = now();
    const trouble = this.#trouble;
    if (time - trouble.last > CALM) trouble.fruitless = 0;
    if (trouble.fruitless === 0) trouble.since = time;
    trouble.last = time;
    if (this.#urgent) return;
    const inTheLongRun = Math.min((time - trouble.since) * SHARE_OF_TROUBLE, REFRESH_APART_IN_THE_LONG_RUN);
    const most = Math.max(delivery.backoff, REFRESH_APART, inTheLongRun);
    const pause = backoffDelay(trouble.fruitless + 1, delivery.backoff, most, jitter);
    const at = Math.max(time + GATHER + delivery.backoff * jitter(), this.#lastAsked + pause);
    if (at >= this.#refreshAt) return;
    log.debug("metadata is to be refreshed", { why });
    this.#urgent = true;
    this.#refreshAt = at;
    this.#wakeAt(at);
  }

  /** Other brokers to begin with: they are asked soon. The same ones as before change nothing. */
  setBootstrap(brokers: readonly BrokerAddress[]): void {
    if (sameAddresses(brokers, this.#link.bootstrap)) return;
    this.#link.startOver(brokers);
    this.#again("kafka.brokers changed");
  }

  /**
   * How to connect has changed: what is being asked is still answered, then the connection is closed, and all is asked for on
   * a new one; what was forbidden may be allowed now. After failures too this need not wait.
   */
  renewConnection(why: string): void {
    if (this.#state === "asking") this.#link.renew();
    else this.#link.close();
    this.#again(why);
  }

  /** Whatever stood in the way of an answer may be gone. */
  #again(why: string): void {
    this.#failuresInARow = Math.min(this.#failuresInARow, 1);
    this.#notBefore = this.#parts.now();
    this.refresh(why);
    this.#arm();
  }

  #arm(): void {
    this.#wakeAt(Math.min(this.#topics.nextDue(), this.#refreshAt));
  }

  #wakeAt(time: number): void {
    const at = Math.max(time, this.#notBefore);
    if (this.#state !== "waiting" || (this.#timer !== undefined && this.#timer.at <= at)) return;
    this.#timer?.cancel();
    const wake = () => {
      this.#timer = undefined;
      void this.#ask();
    };
    this.#timer = { at, cancel: this.#parts.after(Math.max(0, at - this.#parts.now()), wake) };
  }

  /** One request, if one is due, and what follows from it. Never rejects. */
  async #ask(): Promise<void> {
    const { now, jitter, kafka } = this.#parts;
    const time = now();
    const full = this.#refreshAt <= time;
    const urgent = full && this.#urgent;
    if (full) {
      this.#urgent = false;
      this.#topics.refresh(time);
      this.#refreshAt = time + kafka.metadataRefresh * (0.9 + 0.2 * jitter());
    }
    const ask = this.#topics.take(time, this.#topicsAtOnce, this.#link.brokers.size);
    const { fruitless } = this.#trouble;
    if (urgent && fruitless > 0 && fruitless % FRUITLESS_AT_ONE === 0) ask.confirm ??= { notFrom: this.#link.brokerId };
    if (!full && ask.names.length === 0) return this.#arm();
    if (!urgent) this.#link.leaveBootstrap();
    this.#state = "asking";
    this.#lastAsked = time;
    let changed: Set<string> | undefined;
    try {
      const response = await this.#request(ask);
      if (this.#stopped) return;
      changed = this.#answered(ask, response, urgent);
    } catch (error) {
      if (this.#stopped) return;
      this.#failed(ask, error as Error, full);
    }
    this.#state = "waiting";
    if (changed !== undefined) this.onChange?.(changed);
    this.#arm();
  }

  async #request({ names, confirm }: Ask): Promise<MetadataResponse> {
    const { kafka, after } = this.#parts;
    const connection = await this.#link.open(confirm);
    if (this.#stopped) throw new Error("stopped");
    const version = METADATA_VERSIONS.find((each) => connection.supports(METADATA_KEY, each));
    const request = metadataRequest({ topics: names, allowAutoTopicCreation: kafka.autoCreateTopics, version });
    const patience = Math.min(PATIENCE, kafka.requestTimeout);
    return new Promise((resolve, reject) => {
      const cancel = after(patience, () => {
        connection.destroy();
        reject(new Error(`${connection.broker} did not answer Metadata within ${patience} ms`));
      });
      connection.request(request).then(resolve, reject).finally(cancel);
    });
  }

  #answered({ names }: Ask, response: MetadataResponse, urgent: boolean): Set<string> {
    const { now, log } = this.#parts;
    // A broker that is just starting may know of nobody, not even of itself.
    if (response.brokers.length === 0) throw new Error("the broker names no brokers");
    if (response.topics.some(({ errorCode }) => errorCode === ErrorCode.REBOOTSTRAP_REQUIRED)) {
      this.#link.startOver();
      throw new Error("the broker wants us to begin again at kafka.brokers");
    }
    const clusterId = response.clusterId ?? undefined;
    const another = this.clusterId !== undefined && this.clusterId !== clusterId;
    if (another) this.#topics.forgetEpochs();
    const modified = this.#brokersDiffer(response);
    this.#link.succeeded(response.brokers);
    const source = { brokerId: this.#link.brokerId, brokerIds: new Set(this.#link.brokers.keys()) };
    const changed = this.#topics.answered(names, response.topics, source, now());
    const partitions = response.topics.reduce((sum, topic) => sum + topic.partitions.length, 0);
    const share = PARTITIONS_AT_ONCE / Math.max(1, partitions / response.topics.length || 1);
    this.#topicsAtOnce = Math.ceil(Math.min(TOPICS_AT_ONCE, share));
    this.lastUpdated = Date.now();
    const news = modified || changed.size > 0;
    if (news) this.lastModified = this.lastUpdated;
    if (news) this.#trouble.fruitless = 0;
    else if (urgent) {
      this.#trouble.fruitless++;
      if (this.stillWrong?.()) this.refresh("it is still so");
    }
    const fields = { address: this.address, cluster_id: clusterId, brokers: response.brokers.length };
    if (another) {
      log.warn("another cluster answers than before: is kafka.brokers right?", { ...fields, before: this.clusterId });
    } else if (this.#failuresInARow > 0 || this.clusterId === undefined) {
      log.info("the cluster answers", fields);
    }
    this.clusterId = clusterId;
    this.#failuresInARow = 0;
    return changed;
  }

  #failed({ names }: Ask, error: Error, full: boolean): void {
    const { now, log, delivery, jitter } = this.#parts;
    this.failures++;
    this.#failuresInARow++;
    const delay = backoffDelay(this.#failuresInARow, delivery.backoff, delivery.backoffMax, jitter);
    const fields = { address: this.address, why: error.message, in_ms: Math.round(delay) };
    // Once per failure of the whole cluster, not per attempt: that of a broker in use is warned of where it matters. Where
    // nothing is in use yet, one that no waiting mends is told of too: brokers may have been down before.
    const refused = error instanceof KafkaFailure && error.kind === "authentication";
    const news = refused && this.#link.brokers.size === 0 && error.message !== this.#lastFailure?.message;
    this.#lastFailure = error;
    if (news || this.#failuresInARow === Math.max(1, this.#link.brokers.size)) {
      log.warn("metadata cannot be had, trying again", fields);
    } else {
      log.debug("metadata cannot be had, trying again", fields);
    }
    this.#link.failed();
    this.#topics.failed(names, now());
    if (full) this.#refreshAt = now();
    this.#notBefore = now() + delay;
  }

  #brokersDiffer({ brokers }: MetadataResponse): boolean {
    if (brokers.length !== this.#link.brokers.size) return true;
    return brokers.some(({ id, host, port }) => {
      const known = this.broker(id);
      return known?.host !== host || known.port !== port;
    });
  }

  /** A getter, because stop() may come while an answer is awaited. */
  get #stopped(): boolean {
    return this.#state === "stopped";
  }
}
