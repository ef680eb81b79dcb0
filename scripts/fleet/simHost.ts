// A host of the fleet: bruce's own Cluster and Lanes, and in place of its messages a few partitions that want to send.
import { backoffDelay, connectSpread } from "../../src/deliver/backoff.ts";
import { Cluster } from "../../src/deliver/cluster.ts";
import { Lane, type LaneConnection } from "../../src/deliver/lane.ts";
import type { Outbox } from "../../src/deliver/outbox.ts";
import type { KafkaRequest } from "../../src/kafka/connection.ts";
import type { SimPartition } from "./simCluster.ts";
import { SimConnection, type SimNetwork } from "./simConnection.ts";

export interface SimHostOptions {
  network: SimNetwork;
  topics: readonly string[];
  /** Ids of brokers that the configuration names. */
  bootstrap: readonly number[];
  /** For choices, in [0, 1); and for what is up to chance in waiting. */
  random: () => number;
  jitter: () => number;
  /** All of its partitions can send again, after so long. ms */
  onWhole: (since: number) => void;
}

/** The defaults of kafka and delivery. */
const SETTINGS = {
  kafka: { metadataRefresh: 300_000, requestTimeout: 30_000, autoCreateTopics: false },
  delivery: { backoff: 100, backoffMax: 10_000 },
};

const PRODUCE = { apiKey: 0, apiVersion: 8, name: "Produce" } as KafkaRequest<void>;
const NO_SETS: ReadonlySet<never> = new Set();
const quiet = { debug: () => {}, info: () => {}, warn: () => {} };

/** Stands in for an Outbox: all a lane does with one is to have it in line. */
interface Sender {
  at: SimPartition;
  state: "idle" | "queued" | "in flight" | "backing off";
  lane: Lane | undefined;
  failures: number;
  delivered: boolean;
}

export class SimHost {
  readonly cluster: Cluster;
  readonly #options: SimHostOptions;
  readonly #lanes = new Map<number, Lane>();
  readonly #senders: Sender[] = [];
  #undelivered = 0;
  #troubledSince = 0;

  constructor(options: SimHostOptions) {
    this.#options = options;
    const { network, topics, bootstrap, random, jitter } = options;
    const { clock } = network.cluster.options;
    for (const name of topics) {
      for (const at of network.cluster.topics.get(name) ?? []) {
        this.#senders.push({ at, state: "idle", lane: undefined, failures: 0, delivered: true });
      }
    }
    const brokers = bootstrap.map((id) => ({ host: "broker", port: id }));
    this.cluster = new Cluster({
      kafka: { ...SETTINGS.kafka, brokers },
      delivery: SETTINGS.delivery,
      log: quiet,
      connect: (_, port) => new SimConnection(network, network.cluster.broker(port)),
      ...{ now: clock.now, after: clock.after, random, jitter },
    });
    this.cluster.onChange = () => this.#follow();
    this.cluster.stillWrong = () => [...this.#lanes.values()].some((lane) => lane.failing && lane.line.length > 0);
  }

  get whole(): boolean {
    return this.#undelivered === 0;
  }

  start(): void {
    for (const name of this.#options.topics) this.cluster.want(name);
    this.kick(() => true);
    this.cluster.start();
  }

  /** There is something to send to these partitions. */
  kick(which: (partition: SimPartition) => boolean): void {
    for (const sender of this.#senders) {
      if (!which(sender.at)) continue;
      if (sender.delivered) {
        if (this.#undelivered++ === 0) this.#troubledSince = this.#now();
        sender.delivered = false;
      }
      this.#send(sender);
    }
  }

  get #now(): () => number {
    return this.#options.network.cluster.options.clock.now;
  }

  #leaderOf({ topic, id }: SimPartition): number {
    const state = this.cluster.topic(topic);
    return state.kind === "known" ? (state.partitions[id]?.leader ?? -1) : -1;
  }

  #lane(broker: number): Lane | undefined {
    if (this.cluster.broker(broker) === undefined) return undefined;
    let lane = this.#lanes.get(broker);
    if (lane === undefined) {
      const { network, jitter } = this.#options;
      lane = new Lane({
        connect: () => new SimConnection(network, network.cluster.broker(broker)),
        settings: SETTINGS,
        random: jitter,
        after: network.cluster.options.clock.after,
        spread: () => connectSpread(this.cluster.brokers().length),
        onReady: (ready) => this.#pump(ready),
        onFailure: (_, why) => this.cluster.refresh(why),
      });
      this.#lanes.set(broker, lane);
    }
    return lane;
  }

  #send(sender: Sender): void {
    if (sender.state !== "idle" || sender.delivered) return;
    const lane = this.#lane(this.#leaderOf(sender.at));
    if (lane === undefined) return;
    sender.state = "queued";
    sender.lane = lane;
    lane.line.push(sender as unknown as Outbox);
    this.#pump(lane);
  }

  #pump(lane: Lane): void {
    if (lane.line.length === 0) return;
    const connection = lane.connection();
    if (connection === undefined) return;
    const senders = lane.line.splice(0) as unknown as Sender[];
    for (const sender of senders) sender.state = "in flight";
    const { wire } = lane;
    const flight = wire?.begin([], NO_SETS, this.#now());
    connection.request(PRODUCE).then(
      () => {
        if (flight !== undefined) wire?.answered(flight, this.#now());
        lane.succeeded();
        for (const sender of senders) this.#answered(sender, connection);
      },
      (failure: Error) => {
        if (flight !== undefined) wire?.leave(flight);
        lane.lost(connection, failure.message);
        for (const sender of senders) {
          sender.state = "idle";
          this.#send(sender);
        }
      },
    );
  }

  #answered(sender: Sender, { broker }: LaneConnection): void {
    sender.state = "idle";
    if (broker === `broker:${sender.at.leader}`) {
      sender.failures = 0;
      sender.delivered = true;
      if (--this.#undelivered === 0) this.#options.onWhole(this.#troubledSince);
      return;
    }
    this.cluster.refresh("not the leader");
    sender.state = "backing off";
    const { backoff, backoffMax } = SETTINGS.delivery;
    const delay = backoffDelay(++sender.failures, backoff, backoffMax, this.#options.jitter);
    this.#options.network.cluster.options.clock.after(delay, () => {
      sender.state = "idle";
      this.#send(sender);
    });
  }

  /** The cluster says something new: what waits goes where it should. */
  #follow(): void {
    for (const sender of this.#senders) {
      if (sender.state === "queued" && sender.lane !== this.#lane(this.#leaderOf(sender.at))) {
        sender.lane?.leave(sender as unknown as Outbox);
        sender.state = "idle";
      }
      this.#send(sender);
    }
  }
}
