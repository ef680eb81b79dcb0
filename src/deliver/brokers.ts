// The brokers that batches go to, each made when a partition that it leads has something to send.
import { connectSpread } from "./backoff.ts";
import { Broker, type BrokerParts } from "./broker.ts";
import type { Cluster } from "./cluster.ts";
import type { Lane, LaneConnection } from "./lane.ts";
import type { Outbox } from "./outbox.ts";

export interface BrokersParts
  extends Omit<BrokerParts, "connect" | "spread" | "onReady" | "onFailure" | "keepsWaiting"> {
  cluster: Pick<Cluster, "broker" | "brokers">;
  connect: (host: string, port: number) => LaneConnection;
  /** A lane opened, or may be opened. */
  onReady: (broker: Broker, lane: Lane) => void;
  /** A broker cannot be reached; it is tried again after `delay` ms. */
  onFailure: (broker: Broker, lane: Lane, why: string, delay: number) => void;
}

export class Brokers {
  readonly #parts: BrokersParts;
  readonly #byId = new Map<number, Broker>();

  constructor(parts: BrokersParts) {
    this.#parts = parts;
  }

  /** The broker with that node id, if the cluster knows it. */
  get(id: number): Broker | undefined {
    const known = this.#byId.get(id);
    if (known !== undefined) return known;
    const address = id < 0 ? undefined : this.#parts.cluster.broker(id);
    if (address === undefined) return undefined;
    const { connect, onReady, onFailure, ...rest } = this.#parts;
    const { host, port } = address;
    const broker: Broker = new Broker(id, host, port, {
      ...rest,
      connect: () => connect(host, port),
      spread: () => connectSpread(this.#parts.cluster.brokers().length),
      keepsWaiting: (other) => this.#byId.get(other)?.lanes.some(isSilent) ?? false,
      onReady: (lane) => onReady(broker, lane),
      onFailure: (lane, why, delay) => onFailure(broker, lane, why, delay),
    });
    this.#byId.set(id, broker);
    return broker;
  }

  /** Whether partitions stand in line for one that cannot be reached: should others lead them by now? */
  get anyWaitedFor(): boolean {
    for (const { lanes } of this.#byId.values()) if (lanes.some(isWaitedFor)) return true;
    return false;
  }

  /** Drops those that have gone or moved to another address; returns the partitions that stood in line for them. */
  dropMoved(): Outbox[] {
    const stranded: Outbox[] = [];
    for (const broker of [...this.#byId.values()]) {
      const known = this.#parts.cluster.broker(broker.id);
      if (known !== undefined && known.host === broker.host && known.port === broker.port) continue;
      this.#byId.delete(broker.id);
      stranded.push(...broker.stop());
    }
    return stranded;
  }

  values(): IterableIterator<Broker> {
    return this.#byId.values();
  }

  stop(): void {
    for (const broker of this.#byId.values()) broker.stop();
  }
}

function isWaitedFor({ failing, line }: Lane): boolean {
  return failing && line.length > 0;
}

function isSilent({ late, failing, state }: Lane): boolean {
  return late || failing || state.kind === "connecting";
}
