// Which brokers cannot be reached while another can. A broker that is alone is not among them: then all waits for it.
import type { Broker } from "./broker.ts";
import type { Lane } from "./lane.ts";

export class Unreachable {
  /** Failed when last tried, and has not answered since. */
  #down = new Set<number>();
  #anyUp = false;

  /** To be called once in a while: a lane that failed is closed, and opened, again and again. */
  look(brokers: Iterable<Broker>): void {
    const before = this.#down;
    this.#down = new Set();
    this.#anyUp = false;
    for (const { id, fast, slow } of brokers) {
      const lanes = [fast, slow];
      // One that takes connections and then says nothing is down as well, for as long as an answer is awaited.
      const answers = ({ state: { kind }, failing, inFlight }: Lane) =>
        (kind === "open" || kind === "draining") && (!failing || inFlight === 0);
      if (lanes.some(answers)) this.#anyUp = true;
      else if (before.has(id) || lanes.some(({ failing }) => failing)) this.#down.add(id);
    }
  }

  has(broker: number): boolean {
    return this.#anyUp && this.#down.has(broker);
  }
}
