// The two long scenarios with three real nodes: everything that happens to a cluster, and fifty kills under full load.
import * as acts from "../../test/chaos/fire/acts.ts";
import { faultsOf, fire } from "../../test/chaos/fire/fire.ts";
import { reportOf } from "../../test/chaos/fire/report.ts";
import type { Act } from "../../test/chaos/fire/stage.ts";
import type { Kafka } from "../../test/support/kafka.ts";

export interface FireOptions {
  /** Three nodes. */
  kafka: Kafka;
  directory: string;
  random: () => number;
  /** Broker kills. */
  rounds?: number;
  /** Messages a second. */
  rate?: number;
}

/** Milliseconds; shorter than the default, so that a frozen broker exceeds it in reasonable time. */
const REQUEST_TIMEOUT = 6000;

/** Each act once or twice; answers whether nothing was lost, twice or out of order. */
export function everyAct(options: FireOptions): Promise<boolean> {
  return play(options, { rate: 10_000, calm: 8000, after: 8000 }, [
    acts.killBroker(1, { down: 10_000 }),
    acts.killBroker(3, { down: 10_000 }),
    acts.freezeBroker(2, 20_000),
    acts.freezeBroker(1, 20_000),
    acts.moveLeaders(5),
    acts.addPartitions(5),
    acts.remakeTopic(0),
    // Longer than it takes bruce to believe that a topic is gone, which two brokers must say a minute apart.
    acts.remakeTopic(90_000),
    acts.rollingRestart(),
    acts.allDown(180_000),
    acts.allDown(60_000, { bruceToo: true }),
  ]);
}

/** Brokers killed one at a time, in every fifth round bruce as well. */
export function manyKills({ rounds = 50, ...options }: FireOptions): Promise<boolean> {
  const kills = Array.from({ length: rounds }, (_, round) => {
    const id = 1 + Math.floor(options.random() * 3);
    return acts.killBroker(id, { down: options.random() * 3000, bruceToo: round % 5 === 4 });
  });
  return play(options, { rate: 50_000, calm: 3000, after: 1000 }, kills);
}

async function play(
  { kafka, directory, rate }: FireOptions,
  usual: { rate: number; calm: number; after: number },
  played: Act[],
): Promise<boolean> {
  const say = (line: string) => console.log(`  ${line}`);
  say(
    `${(rate ?? usual.rate).toLocaleString("en")} messages/s wanted, kafka.request_timeout ${REQUEST_TIMEOUT / 1000} s`,
  );
  const parts = { ...usual, kafka, directory, requestTimeout: REQUEST_TIMEOUT, say };
  let enough = false;
  process.once("SIGINT", () => {
    enough = true;
    say("no more acts after this one, on SIGINT; a second one ends all at once");
  });
  const result = await fire({ ...parts, rate: rate ?? usual.rate }, played, () => enough);
  for (const line of reportOf(result)) say(line);
  return faultsOf(result).length === 0;
}
