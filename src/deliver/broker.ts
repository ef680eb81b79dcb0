// A broker as delivery sees it: its address and its two lanes. Kafka answers one connection strictly in order, so what
// failed or was slow goes by a connection of its own and delays nothing else.
import { Lane, type LaneParts } from "./lane.ts";
import type { Outbox } from "./outbox.ts";

export class Broker {
  readonly id: number;
  readonly host: string;
  readonly port: number;
  readonly fast: Lane;
  readonly slow: Lane;

  constructor(id: number, host: string, port: number, parts: LaneParts) {
    this.id = id;
    this.host = host;
    this.port = port;
    this.fast = new Lane(parts);
    this.slow = new Lane(parts);
  }

  laneFor(outbox: Outbox): Lane {
    return outbox.slow ? this.slow : this.fast;
  }

  /** Closes both lanes; returns the partitions that stood in their lines. */
  stop(): Outbox[] {
    this.fast.stop();
    this.slow.stop();
    return [...this.fast.line.splice(0), ...this.slow.line.splice(0)];
  }
}
