// `npm run chaos`: the long forms of what `npm test` shows briefly. bruce, Kafka or both are killed again and again under load,
// backlogs grow to millions; then everything is read back from Kafka. Exit 1 when anything was lost, twice or out of order.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { DaemonStatus } from "../../src/observe/status.ts";
import { type BacklogResult, backlog } from "../../test/chaos/backlog.ts";
import { heldMeanwhile } from "../../test/chaos/heldMeanwhile.ts";
import type { Judgement } from "../../test/chaos/judge.ts";
import { type KillVerdict, killRounds } from "../../test/chaos/killRounds.ts";
import { seededRandom } from "../../test/chaos/random.ts";
import { volumeRounds } from "../../test/chaos/volumeRounds.ts";
import { type Kafka, startKafka } from "../../test/support/kafka.ts";
import { ensureExecutable } from "../executable.ts";
import { everyAct, manyKills } from "./fire.ts";

/** buffer.memory by default, and what bruce may need beside it. */
const MEMORY = 128 * 1024 * 1024 + 100_000_000;

interface Surroundings {
  kafka: Kafka;
  directory: string;
  random: () => number;
  /** Instead of their own numbers: rounds of kills, messages of the others, messages a second. */
  rounds: number | undefined;
  count: number | undefined;
  rate: number | undefined;
}

/** Each says what it saw, and answers whether that is as it must be. */
const SCENARIOS: Record<string, (around: Surroundings) => Promise<boolean>> = {
  /** bruce killed in each round, the broker restarted in every fifth. */
  kills: (around) => kills(around, "kills", 50, (round) => (round % 5 === 4 ? "before" : "no")),
  /** Both killed in each round, in random order. */
  both: (around) => kills(around, "both", 20, () => (around.random() < 0.5 ? "before" : "after")),
  held: async ({ kafka, directory, count = 1_000_000 }) => {
    const options = { kafka, directory, prefix: "held", count, held: 20_000 };
    const { others, held, status } = await heldMeanwhile(options);
    say({ others: JSON.stringify(others), held: JSON.stringify(held), balanced: status.ledger.balanced });
    const faults = [others, held].flatMap(({ missing, twice, unexpected }) => [missing, twice, unexpected]);
    return faults.every((each) => each === 0) && status.ledger.balanced;
  },
  backlog: async ({ kafka, directory, count = 5_000_000 }) => {
    const emptyDirectory = join(directory, "empty");
    mkdirSync(emptyDirectory);
    const options = { kafka, directory, emptyDirectory, topic: "backlog", count, size: 200, starts: 7 };
    const result = await backlog({ ...options, set: ["http.enabled=true"] });
    return reportBacklog(result) && result.status.ledger.balanced;
  },
  /** A tmpfs that is filled up and cleared again, for which this must run as root. */
  volume: (around) => volume(around, false),
  /** The same, killed while it is full: the room that the journal has kept must do. */
  fullKills: (around) => volume(around, true),
  /** Everything that happens to a cluster of three nodes, one thing after the other. */
  acts: everyAct,
  /** Three nodes, one of them killed in each round, and bruce in every fifth. */
  fire: manyKills,
};

/** Those that need three nodes. */
const THREE_NODES = new Set(["acts", "fire"]);

const { values } = parseArgs({
  options: {
    only: { type: "string", default: Object.keys(SCENARIOS).join() },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    rounds: { type: "string" },
    count: { type: "string" },
    rate: { type: "string" },
  },
});
const names = values.only.split(",");
const unknown = names.filter((name) => SCENARIOS[name] === undefined);
if (unknown.length > 0) {
  console.error(
    `usage: npm run chaos -- [--only ${Object.keys(SCENARIOS).join()}] [--rounds N] [--count N] [--seed N] [--rate N]`,
  );
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
    const kafka = await startKafka({ nodes: THREE_NODES.has(name) ? 3 : 1 });
    let passed = false;
    try {
      console.log(`\n${name}`);
      const result = await SCENARIOS[name]?.({
        ...{ kafka, directory, random },
        ...{ rounds: numberOf(values.rounds), count: numberOf(values.count), rate: numberOf(values.rate) },
      });
      passed = result === true;
      console.log(passed ? "  good" : "  FAILED");
      good &&= passed;
    } finally {
      await kafka.close();
      if (passed) rmSync(directory, { recursive: true, force: true });
      else console.log(`  what bruce logged is in ${directory}`);
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
    onRound: sayRound,
  });
  const { receipts, lines, status } = verdict;
  sayReceipts({ kills: verdict.kills }, receipts, status);
  say({ "lines sent": lines.sent, "lines in Kafka": lines.inKafka, "first wrong": lines.firstWrong ?? "none" });
  return isClean(verdict);
}

async function volume(
  { kafka, directory, random, rounds = 20 }: Surroundings,
  killsWhenFull: boolean,
): Promise<boolean> {
  const verdict = await volumeRounds({
    ...{ kafka, directory, prefix: "volume", rounds, rate: 3000, random, killsWhenFull },
    onRound: sayRound,
  });
  const { kills: killed, away, receipts, status } = verdict;
  sayReceipts({ kills: killed, "Kafka away": away }, receipts, status);
  return faultsOf(receipts) === 0 && status.ledger.balanced;
}

function numberOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}

function sayRound(round: number, { ledger, buffer }: DaemonStatus): void {
  const mode = `${buffer.mode}${buffer.full ? ", full" : ""}`;
  console.log(`  round ${round + 1}: ${ledger.delivered} delivered, ${ledger.held} held, ${mode}`);
}

function sayReceipts(facts: Record<string, number>, receipts: Judgement, { ledger }: DaemonStatus): void {
  const { examples, ...numbers } = receipts;
  say({ ...facts, ...numbers, "possible duplicates": ledger.possible_duplicates, balanced: ledger.balanced });
  for (const example of examples) console.log(`    ${example}`);
}

function faultsOf({ lost, twice, outOfOrder, unexpected }: Judgement): number {
  return lost + twice + outOfOrder + unexpected;
}

function isClean({ receipts, lines, status }: KillVerdict): boolean {
  const same = lines.inKafka === lines.sent && lines.firstWrong === undefined && lines.exitCode === 0;
  return faultsOf(receipts) === 0 && same && status.ledger.balanced;
}

/** Says what was measured, and answers whether it is as it must be. */
function reportBacklog(result: BacklogResult): boolean {
  const { missing, twice, unexpected, peakWriting, peakDraining } = result;
  const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
  const rate = (perSecond: number) => `${Math.round(perSecond).toLocaleString("en")}/s`;
  const startRatio = result.startWithBacklog / result.startEmpty;
  const drainRatio = result.drainRate / result.directRate;
  say({ missing, twice, unexpected });
  say({ "peak memory while writing": megabytes(peakWriting), "while draining": megabytes(peakDraining) });
  say({ "start ratio to an empty one": startRatio.toFixed(2), "drain ratio to direct": drainRatio.toFixed(2) });
  say({ written: rate(result.writeRate), drained: rate(result.drainRate), direct: rate(result.directRate) });
  const failures = {
    "messages were lost, or came twice": missing + twice + unexpected > 0,
    [`memory while writing is beyond ${megabytes(MEMORY)}`]: peakWriting > MEMORY,
    [`memory while draining is beyond ${megabytes(MEMORY)}`]: peakDraining > MEMORY,
    "a start takes more than 1.5 times that of an empty one": startRatio > 1.5,
    "draining is slower than 0.8 of the rate without a backlog": drainRatio < 0.8,
  };
  const failed = Object.entries(failures).filter(([, isSo]) => isSo);
  for (const [what] of failed) console.log(`    ${what}`);
  return failed.length === 0;
}

function say(facts: Record<string, string | number | boolean>): void {
  console.log(
    `  ${Object.entries(facts)
      .map(([name, value]) => `${name} ${value}`)
      .join(", ")}`,
  );
}
