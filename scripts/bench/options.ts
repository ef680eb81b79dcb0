// The command line of the benchmark.
import { parseArgs } from "node:util";

export const SCENARIOS = ["datagrams", "lines"] as const;
export type ScenarioName = (typeof SCENARIOS)[number];

export interface BenchOptions {
  /** In each round, for each contender. */
  messages: number;
  /** That count. */
  rounds: number;
  only: ScenarioName[];
}

export const USAGE = `usage: npm run bench -- [--messages N] [--rounds N] [--only ${SCENARIOS.join(",")}] [--quick]
  --messages N   messages in each round (default 1,000,000)
  --rounds N     rounds that count, after one for warming up (default 5)
  --only NAMES   some of the scenarios: ${SCENARIOS.join(", ")}
  --quick        100,000 messages and 2 rounds: whether it works, not how fast`;

/** undefined when they make no sense. */
export function parseOptions(args: string[]): BenchOptions | undefined {
  try {
    const { values } = parseArgs({
      args,
      options: {
        messages: { type: "string" },
        rounds: { type: "string" },
        only: { type: "string", default: SCENARIOS.join() },
        quick: { type: "boolean", default: false },
      },
    });
    const messages = Number(values.messages ?? (values.quick ? 100_000 : 1_000_000));
    const rounds = Number(values.rounds ?? (values.quick ? 2 : 5));
    const names = values.only.split(",");
    const only = SCENARIOS.filter((name) => names.includes(name));
    const sound = [messages, rounds].every((number) => Number.isSafeInteger(number) && number > 0);
    return sound && only.length === names.length ? { messages, rounds, only } : undefined;
  } catch {
    return undefined;
  }
}
