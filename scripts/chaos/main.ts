// `npm run chaos`: the long forms of what `npm test` shows briefly. bruce, Kafka or both are killed again and again under load,
// backlogs grow to millions; then everything is read back from Kafka. Exit 1 when anything was lost, twice or out of order.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type BacklogResult, backlog } from "../../test/chaos/backlog.ts";
import { heldMeanwhile } from "../../test/chaos/heldMeanwhile.ts";
import { type KillVerdict, killRounds } from "../../test/chaos/killRounds.ts";
import { seededRandom } from "../../test/chaos/random.ts";
import { type Kafka, startKafka } from "../../test/support/kafka.ts";
import { ensureExecutable } from "../executable.ts";

interface Surroundings {
  kafka: Kafka;
  directory: string;
  random: () => number;
  /** Of the kill rounds, instead of their own numbers. */
  rounds: number | undefined;
}

/** Each says what it saw, and answers whether that is as it must be. */
const SCENARIOS: Record<string, (around: Surroundings) => Promise<boolean>> = {
  /** bruce killed in each round, the broker restarted in every fifth. */
  kills: (around) => kills(around, "kills", 50, (round) => (round % 5 === 4 ? "before" : "no")),
  /** Both killed in each round, in random order. */
  both: (around) => kills(around, "both", 20, () => (around.random() < 0.5 ? "before" : "after")),
  held: async ({ kafka, directory }) => {
    const { others, held, status } = await heldMeanwhile({
      kafka,
      directory,
      prefix: "held",
      count: 1_000_000,
      held: 20_000,
    });
    say({ others: JSON.stringify(others), held: JSON.stringify(held), balanced: status.ledger.balanced });
    const faults = [others, held].flatMap(({ missing, twice, unexpected }) => [missing, twice, unexpected]);
    return faults.every((each) => each === 0) && status.ledger.balanced;
  },
  backlog: async ({ kafka, directory }) => {
    const emptyDirectory = join(directory, "empty");
    mkdirSync(emptyDirectory);
    const count = 5_000_000;
    const options = { kafka, directory, emptyDirectory, topic: "backlog", count, size: 200, starts: 7 };
    const result = await backlog({ ...options, set: ["http.enabled=true"] });
    reportBacklog(result);
    return result.missing + result.twice + result.unexpected === 0 && result.status.ledger.balanced;
  },
};

const { values } = parseArgs({
  options: {
    only: { type: "string", default: Object.keys(SCENARIOS).join() },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    rounds: { type: "string" },
  },
});
const names = values.only.split(",");
const unknown = names.filter((name) => SCENARIOS[name] === undefined);
if (unknown.length > 0) {
  console.error(`usage: npm run chaos -- [--only ${Object.keys(SCENARIOS).join()}] [--rounds N] [--seed N]`);
  process.exitCode = 2;
} else {
  process.exitCode = ensureExecutable() && (await main()) ? 0 : 1;
}

async function main(): Promise<boolean> {
  console.log(`seed ${values.seed}`);
  const random = seededRandom(Number(values.seed));
  let good = true;
  for (const name of names) {
    const directory = mkdtempSync(join(tmpdir(), "bruce-chaos-"));
    const kafka = await startKafka();
    try {
      console.log(`\n${name}`);
      const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
      const passed = await SCENARIOS[name]?.({ kafka, directory, random, rounds });
      console.log(passed ? "  good" : "  FAILED");
      good &&= passed === true;
    } finally {
      await kafka.close();
      rmSync(directory, { recursive: true, force: true });
    }
  }
  return good;
}

async function kills(
  { kafka, directory, random, rounds }: Surroundings,
  prefix: string,
  usual: number,
  killsBroker: (round: number) => "no" | "before" | "after",
): Promise<boolean> {
  const verdict = await killRounds({
    ...{ kafka, directory, prefix, random, killsBroker },
    ...{ rounds: rounds ?? usual, rate: 5000, lineRate: 20_000 },
    onRound: (round, { ledger }) =>
      console.log(`  round ${round + 1}: ${ledger.delivered} delivered, ${ledger.held} held`),
  });
  const { receipts, lines, status } = verdict;
  const { examples, ...numbers } = receipts;
  say({ kills: verdict.kills, ...numbers, "possible duplicates": status.ledger.possible_duplicates });
  say({ "lines sent": lines.sent, "lines in Kafka": lines.inKafka, "first wrong": lines.firstWrong ?? "none" });
  for (const example of examples) console.log(`    ${example}`);
  return isClean(verdict);
}

function isClean({ receipts, lines, status }: KillVerdict): boolean {
  const faults = receipts.lost + receipts.twice + receipts.outOfOrder + receipts.unexpected;
  const same = lines.inKafka === lines.sent && lines.firstWrong === undefined && lines.exitCode === 0;
  return faults === 0 && same && status.ledger.balanced;
}

function reportBacklog(result: BacklogResult): void {
  const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
  const rate = (perSecond: number) => `${Math.round(perSecond).toLocaleString("en")}/s`;
  say({ missing: result.missing, twice: result.twice, unexpected: result.unexpected });
  say({ "peak memory while writing": megabytes(result.peakWriting), "while draining": megabytes(result.peakDraining) });
  const ratio = (result.startWithBacklog / result.startEmpty).toFixed(2);
  say({
    "start ratio to an empty one": ratio,
    "drain ratio to direct": (result.drainRate / result.directRate).toFixed(2),
  });
  say({ written: rate(result.writeRate), drained: rate(result.drainRate), direct: rate(result.directRate) });
}

function say(facts: Record<string, string | number | boolean>): void {
  console.log(
    `  ${Object.entries(facts)
      .map(([name, value]) => `${name} ${value}`)
      .join(", ")}`,
  );
}
