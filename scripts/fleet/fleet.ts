// A fleet of hosts and the cluster that they send to, on one clock.
import { Clock, chance } from "./clock.ts";
import { Meter } from "./meter.ts";
import { SimCluster } from "./simCluster.ts";
import type { SimNetwork } from "./simConnection.ts";
import { SimHost } from "./simHost.ts";

export interface FleetOptions {
  hosts: number;
  brokers: number;
  /** Of the cluster; each host sends to some of them. */
  topics: number;
  partitions: number;
  topicsPerHost: number;
  bootstrap: number;
  acceptRate: number;
  backlog: number;
  metadataCost: number;
  produceCost: number;
  seed: number;
  /** "none": whatever waits, waits the longest that it may. */
  jitter: "shipped" | "none";
  /** A topic that every host wants and that does not exist. */
  missing?: boolean;
}

export const DEFAULTS: FleetOptions = {
  hosts: 10_000,
  brokers: 30,
  topics: 300,
  partitions: 3,
  topicsPerHost: 2,
  bootstrap: 3,
  acceptRate: 500,
  backlog: 50,
  metadataCost: 0.2,
  produceCost: 0.1,
  seed: 1,
  jitter: "shipped",
};

/** A host that starts calmly does so within these ms. */
const CALM_START = 60_000;

export class Fleet {
  readonly options: FleetOptions;
  readonly clock = new Clock();
  readonly meter: Meter;
  readonly cluster: SimCluster;
  readonly hosts: SimHost[];
  readonly networks: SimNetwork[];
  readonly random: () => number;
  /** How long each host, each time, could not send to all its partitions; from `since` on. ms */
  stalls: number[] = [];
  since = 0;

  constructor(options: FleetOptions) {
    this.options = options;
    const { clock } = this;
    this.random = chance(options.seed);
    this.meter = new Meter(options.brokers, clock.now);
    this.cluster = new SimCluster({ ...options, clock, meter: this.meter, random: this.random });
    this.networks = Array.from({ length: options.hosts }, () => ({
      cluster: this.cluster,
      cut: false,
      latency: 0.5 + this.random(),
    }));
    this.hosts = this.networks.map((network, n) => this.#host(network, chance(options.seed * 1_000_003 + n)));
    this.cluster.onMoved = (partition) => {
      // Those who send find out with their next batch.
      for (const host of this.#sendersTo(partition.topic)) {
        clock.after(50 * this.random(), () => host.kick((each) => each === partition));
      }
    };
  }

  get whole(): boolean {
    return this.hosts.every((host) => host.whole);
  }

  /** All hosts have started, calmly, and been well for a while. */
  calm(): void {
    for (const host of this.hosts) this.clock.after(CALM_START * this.random(), () => host.start());
    this.clock.run(CALM_START);
    this.clock.run(CALM_START * 10, () => this.whole);
    this.wait(30_000);
    this.begin();
  }

  /** From now on stalls count. */
  begin(): void {
    this.since = this.clock.now();
    this.stalls = [];
  }

  wait(ms: number): number {
    return this.clock.run(this.clock.now() + ms);
  }

  /** Until every host can send to all its partitions; at most `ms`. */
  recovered(ms: number): number {
    return this.clock.run(this.clock.now() + ms, () => this.whole);
  }

  #host(network: SimNetwork, random: () => number): SimHost {
    const { options, clock } = this;
    const first = Math.floor(random() * options.topics);
    const topics = Array.from(
      { length: options.topicsPerHost },
      (_, n) => `topic-${(first + n * 37) % options.topics}`,
    );
    const host = new SimHost({
      network,
      topics: options.missing ? [...topics, "nowhere"] : topics,
      bootstrap: Array.from({ length: options.bootstrap }, (_, n) => n),
      random,
      jitter: options.jitter === "none" ? () => 1 : random,
      onWhole: (since) => this.stalls.push(clock.now() - Math.max(since, this.since)),
    });
    for (const topic of topics) this.#byTopic.set(topic, [...(this.#byTopic.get(topic) ?? []), host]);
    return host;
  }

  readonly #byTopic = new Map<string, SimHost[]>();

  #sendersTo(topic: string): SimHost[] {
    return this.#byTopic.get(topic) ?? [];
  }
}
