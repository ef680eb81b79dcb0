// A connection to a simulated broker: takes as long, and fails, as one over TCP does.
import type { LaneConnection } from "../../src/deliver/lane.ts";
import { KafkaFailure, type KafkaRequest } from "../../src/kafka/connection.ts";
import { METADATA_KEY } from "../../src/kafka/metadata.ts";
import type { SimBroker, SimCluster } from "./simCluster.ts";

/** When the kernel sends the first packet of a connection, and again if nobody says anything, ms: without jitter. */
const SENT_AT = [0, 1_000, 3_000, 7_000];
/** kafka.connect_timeout and kafka.request_timeout, by default. */
const CONNECT_TIMEOUT = 10_000;
const REQUEST_TIMEOUT = 30_000;

/** The network as one host sees it. */
export interface SimNetwork {
  cluster: SimCluster;
  /** Nothing gets through, and nobody says so. */
  cut: boolean;
  /** One way, ms. */
  latency: number;
}

export class SimConnection implements LaneConnection {
  readonly broker: string;
  readonly sessionEndsAt = Number.POSITIVE_INFINITY;
  readonly throttledUntil = 0;
  onClose: ((failure: KafkaFailure) => void) | undefined;
  readonly #network: SimNetwork;
  readonly #to: SimBroker;
  #patience = CONNECT_TIMEOUT;
  #state: "new" | "connecting" | "open" | "closed" = "new";
  #fail: ((failure: KafkaFailure) => void) | undefined;
  #opened: (() => void) | undefined;
  #asked: Set<(failure: KafkaFailure) => void> | undefined;

  constructor(network: SimNetwork, to: SimBroker) {
    this.#network = network;
    this.#to = to;
    this.broker = `broker:${to.id}`;
  }

  get open(): boolean {
    return this.#state === "open";
  }

  supports(): boolean {
    return true;
  }

  connect(tcpWithin = Number.POSITIVE_INFINITY): Promise<void> {
    this.#patience = Math.min(tcpWithin, CONNECT_TIMEOUT);
    this.#state = "connecting";
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      this.#opened = resolve;
      this.#network.cluster.options.meter.count(this.#to.id, "connections");
      this.#arrive(0);
    });
  }

  /** The first packet arrives, sent once or again. */
  #arrive(times: number): void {
    if (this.#state !== "connecting") return;
    const { cluster, cut, latency } = this.#network;
    const { clock, meter, acceptRate, backlog } = cluster.options;
    const to = this.#to;
    if (!cut && !to.up) {
      meter.count(to.id, "refused");
      clock.after(2 * latency, () => this.#end("connect", "nothing listens there"));
      return;
    }
    const since = SENT_AT[times] as number;
    const pause = 1000 / acceptRate;
    const wait = Math.max(0, to.acceptsAt - clock.now());
    if (cut || wait / pause >= backlog) {
      if (!cut) meter.count(to.id, "overflows");
      const again = SENT_AT[times + 1];
      if (again !== undefined && again < this.#patience) clock.after(again - since, () => this.#arrive(times + 1));
      else clock.after(this.#patience - since, () => this.#end("connect", "it took too long"));
      return;
    }
    meter.count(to.id, "accepted");
    to.acceptsAt = clock.now() + wait + pause;
    clock.after(wait + pause + 2 * latency, () => this.#accepted(since + wait));
  }

  #accepted(after: number): void {
    if (this.#state !== "connecting") return;
    if (!this.#to.up) {
      this.#end("connect", "it went away");
      return;
    }
    if (this.#network.cut) {
      this.#network.cluster.options.clock.after(CONNECT_TIMEOUT - after, () =>
        this.#end("connect", "it took too long"),
      );
      return;
    }
    this.#to.connections.add(this);
    this.#state = "open";
    this.#fail = undefined;
    this.#opened?.();
  }

  request<T>(request: KafkaRequest<T>): Promise<T> {
    if (this.#state !== "open") return Promise.reject(this.#failure("closed", "there is no connection"));
    const { cluster, latency } = this.#network;
    const { clock, meter, metadataCost, produceCost } = cluster.options;
    const metadata = request.apiKey === METADATA_KEY;
    return new Promise((resolve, reject) => {
      this.#asked ??= new Set();
      this.#asked.add(reject);
      const tooLong = () => this.#end("timeout", "it does not answer");
      if (this.#network.cut) {
        clock.after(REQUEST_TIMEOUT, tooLong);
        return;
      }
      meter.count(this.#to.id, metadata ? "metadata" : "produce");
      const at = cluster.work(this.#to.id, metadata ? metadataCost : produceCost);
      clock.after(at - clock.now() + 2 * latency, () => {
        if (this.#network.cut) clock.after(REQUEST_TIMEOUT, tooLong);
        else if (this.#asked?.delete(reject)) resolve((metadata ? cluster.metadata(namesIn(request)) : undefined) as T);
      });
    });
  }

  destroy(): void {
    this.#end("closed", "given up", true);
  }

  /** The broker closed it. */
  cut(): void {
    if (!this.#network.cut)
      this.#network.cluster.options.clock.after(this.#network.latency, () => this.#end("closed", "it closed"));
  }

  #end(kind: KafkaFailure["kind"], why: string, deliberate = false): void {
    if (this.#state === "closed") return;
    const wasOpen = this.#state === "open";
    this.#state = "closed";
    this.#to.connections.delete(this);
    const failure = this.#failure(kind, why);
    this.#fail?.(failure);
    for (const give of this.#asked ?? []) give(failure);
    this.#asked = undefined;
    if (wasOpen && !deliberate) this.onClose?.(failure);
  }

  #failure(kind: KafkaFailure["kind"], why: string): KafkaFailure {
    return new KafkaFailure(kind, this.broker, why);
  }
}

function namesIn(request: KafkaRequest<unknown>): string[] {
  const body = Buffer.concat(request.parts());
  const names: string[] = [];
  for (let at = 4, left = body.readInt32BE(0); left > 0; left--) {
    const size = body.readInt16BE(at);
    names.push(body.toString("latin1", at + 2, at + 2 + size));
    at += 2 + size;
  }
  return names;
}
