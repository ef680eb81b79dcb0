// Applications write while bruce, Kafka or both are killed again and again; then everything is read back and judged.
import type { DaemonStatus } from "../../src/observe/status.ts";
import { type Bruce, startBruce } from "../support/bruce.ts";
import type { Kafka } from "../support/kafka.ts";
import { readBack } from "../support/readBack.ts";
import { COMPILED, startSend } from "../support/sendProcess.ts";
import { startDatagramWriter } from "./datagramWriter.ts";
import { type Judgement, judge } from "./judge.ts";
import { startWriter } from "./receiptWriter.ts";

export interface KillRounds {
  kafka: Kafka;
  /** Where bruce keeps its sockets and its buffer; exists. */
  directory: string;
  /** Names topics apart from those of other runs on the same Kafka. */
  prefix: string;
  rounds: number;
  /** Messages a second of each writer. */
  rate: number;
  /** Lines a second that `bruce send` gets on its standard input meanwhile. */
  lineRate: number;
  /** Which rounds also kill the broker, before bruce or after it. */
  killsBroker: (round: number) => "no" | "before" | "after";
  /** In [0, 1): where in its round a kill comes. */
  random: () => number;
  /** KEY=VALUE. */
  set?: string[];
  onRound?: (round: number, status: DaemonStatus) => void;
}

export interface KillVerdict {
  receipts: Judgement;
  /** Lines given to `bruce send`, those in the topic, and the first that is not the one it should be. */
  lines: { sent: number; inKafka: number; firstWrong: string | undefined; exitCode: number | null; stderr: string };
  /** Of the last bruce, when all was delivered. */
  status: DaemonStatus;
  kills: number;
}

const PARTITIONS = 4;

/** Runs it to the end: all is delivered when it resolves. The last bruce is stopped in good order. */
export async function killRounds(parts: KillRounds): Promise<KillVerdict> {
  const { kafka, directory, prefix, rounds, rate, random } = parts;
  const topics = {
    keyed: `${prefix}-keyed`,
    other: `${prefix}-other`,
    held: `${prefix}-held`,
    lines: `${prefix}-lines`,
  };
  for (const topic of [topics.keyed, topics.other]) await kafka.createTopic(topic, PARTITIONS);
  await kafka.createTopic(topics.lines, 1);
  const set = ['input.datagram.when_full="block"', 'batch.linger="5ms"', ...(parts.set ?? [])];
  const start = () => startBruce({ bootstrap: kafka.bootstrap, directory, set });
  let bruce: Bruce = await start();

  const { stream, datagram } = bruce.sockets;
  const writers = [
    startWriter("a", topics.keyed, stream, rate),
    startWriter("b", topics.keyed, stream, rate, 1000),
    startWriter("c", topics.other, stream, rate),
    startWriter("held", topics.held, stream, rate / 4),
  ];
  const datagrams = startDatagramWriter("d", topics.other, datagram, rate);
  const lines = feedLines(topics.lines, stream, parts.lineRate);

  for (let round = 0; round < rounds; round++) {
    // The kill comes while this many more messages are being confirmed: events, so that a slow machine does the same.
    await Promise.all(writers.slice(0, 3).map((writer) => writer.confirmed(Math.ceil(rate * random() * 0.5) + 50)));
    const broker = parts.killsBroker(round);
    if (broker === "before") await kafka.kill(1);
    if (broker === "before" && random() < 0.5) await writers[0]?.confirmed(50);
    const status = await bruce.status();
    parts.onRound?.(round, status);
    await bruce.kill("SIGKILL");
    if (broker === "after") await kafka.kill(1);
    const startsFirst = random() < 0.5;
    if (broker !== "no" && !startsFirst) await kafka.start(1);
    bruce = await start();
    if (broker !== "no" && startsFirst) await kafka.start(1);
  }

  await Promise.all([...writers.map((writer) => writer.stop()), datagrams.stop()]);
  const fed = await lines.stop();
  await kafka.createTopic(topics.held, PARTITIONS);
  const status = await bruce.until(({ ledger }) => ledger.held === 0);
  const receipts = await judge(kafka.bootstrap, [...writers.map(({ written }) => written), datagrams.written]);
  const found = await judgeLines(kafka.bootstrap, topics.lines);
  await bruce.stop();
  return { receipts, lines: { ...fed, ...found }, status, kills: rounds };
}

const lineOf = (index: number) => `line ${index} of them`;

/** Gives `bruce send` line after line, until it is stopped. */
function feedLines(topic: string, socket: string, rate: number) {
  const process = startSend({ topic, socket, retry: "10m", wait: "spooled" }, { command: COMPILED });
  let going = true;
  let sent = 0;
  const feeding = (async () => {
    const began = performance.now();
    while (going) {
      const due = Math.ceil(((performance.now() - began) * rate) / 1000);
      const lines = Array.from({ length: Math.max(0, due - sent) }, (_, at) => `${lineOf(sent + at)}\n`);
      await process.write(lines.join(""));
      sent += lines.length;
      await Bun.sleep(10); // the pace
    }
    await process.end();
  })();
  return {
    async stop() {
      going = false;
      await feeding;
      const { code, stderr } = await process.finished;
      return { sent, exitCode: code, stderr };
    },
  };
}

/** The topic must hold what was given: every line once, in its order. */
async function judgeLines(bootstrap: string, topic: string) {
  let inKafka = 0;
  let firstWrong: string | undefined;
  await readBack(bootstrap, topic, ({ value }) => {
    const line = value?.toString() ?? "";
    if (line !== lineOf(inKafka)) firstWrong ??= `"${line}" in place of line ${inKafka}`;
    inKafka++;
  });
  return { inKafka, firstWrong };
}
