// `npm run bench`: bruce between its sockets and a real Kafka, beside others that do the same; what it measures and how is in
// docs/benchmarks.md. Exit 0 when everything worked, whether goals are met or not; 1 when messages were lost.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Kafka, startKafka } from "../../test/support/kafka.ts";
import { ensureExecutable } from "../executable.ts";
import { bruceVersion } from "./bruce.ts";
import { javaVersion, loadAverage, machine } from "./conditions.ts";
import { goalsOf } from "./goals.ts";
import { VALUE_SIZE } from "./messages.ts";
import { type BenchOptions, parseOptions, USAGE } from "./options.ts";
import { createChildren } from "./processes.ts";
import { goalTable, microseconds, resultTable, thousands } from "./report.ts";
import { runRounds } from "./rounds.ts";
import { type BenchSurroundings, findPeers, prepareScenario } from "./scenarios.ts";
import { prepareSender } from "./sender.ts";
import { PARTITIONS } from "./topic.ts";

const options = parseOptions(process.argv.slice(2));
if (options === undefined) {
  console.error(USAGE);
  process.exitCode = 2;
} else {
  process.exitCode = await main(options);
}

async function main(given: BenchOptions): Promise<number> {
  const conditions = machine();
  const interrupted = new Promise<never>((_, reject) => {
    for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => reject(new Error(`ended by ${signal}`)));
  });
  interrupted.catch(() => {});
  if (!ensureExecutable()) return 1;
  const children = createChildren();
  const directory = mkdtempSync(join(tmpdir(), "bruce-bench-"));
  let kafka: Kafka | undefined;
  const work = async () => {
    // Deleted topics give their space back at once, instead of after a minute.
    kafka = await startKafka({ version: "4.1.0", properties: { "log.segment.delete.delay.ms": "0" } });
    await measure(given, { directory, children, kafka, messages: given.messages, conditions });
  };
  try {
    await Promise.race([work(), interrupted]);
    return 0;
  } catch (error) {
    console.error(`bench: ${(error as Error).message}`);
    return 1;
  } finally {
    await children.endAll();
    await kafka?.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function measure(
  { rounds, only, messages }: BenchOptions,
  around: Omit<BenchSurroundings, "sender" | "peers"> & { conditions: [string, string][] },
): Promise<void> {
  const sender = prepareSender(around.directory, around.children);
  const peers = findPeers();
  const conditions = [
    ...around.conditions,
    ["bruce", bruceVersion()],
    ["Kafka", `${around.kafka.version}, one broker on this machine, ${PARTITIONS} partitions, Java ${javaVersion()}`],
    ...Object.entries(peers).map(([name, peer]) => [name, peer === undefined ? "not installed" : peer.version]),
    ["sender", sender.name],
    ["messages", `${thousands(messages)} of ${VALUE_SIZE} bytes in each round, codec none, acks all`],
    ["rounds", `${rounds}, after one of each that does not count (bruce's compiler warms up)`],
  ];
  for (const [name, value] of conditions) console.log(`- ${name}: ${value}`);
  console.log("");

  const goals = [];
  for (const name of only) {
    const { contenders, missing, close } = await prepareScenario(name, { ...around, sender, peers });
    const results = await runRounds(contenders, rounds, (round, contender, { rate, cpu }) => {
      const what = round === 0 ? "warm-up" : `round ${round}`;
      console.error(`${name}, ${what}: ${contender}: ${thousands(rate)}/s, ${microseconds(cpu)} µs`);
    });
    await close();
    console.error("");
    console.log(`${resultTable(name, results, missing)}\n`);
    goals.push(...goalsOf(name, results));
  }
  console.log(`${goalTable(goals)}\n\n- load average at the end: ${loadAverage()}`);
}
