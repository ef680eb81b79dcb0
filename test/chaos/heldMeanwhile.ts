// One topic is held while very many messages go by on others; then bruce is killed, and started again.
import type { DaemonStatus } from "../../src/observe/status.ts";
import { startBruce } from "../support/bruce.ts";
import type { Kafka } from "../support/kafka.ts";
import { readBack } from "../support/readBack.ts";
import { BulkAccount, writeBulk } from "./bulk.ts";

export interface HeldMeanwhileOptions {
  kafka: Kafka;
  directory: string;
  prefix: string;
  /** Messages on the other topics. */
  count: number;
  /** Messages of the held topic, a part of them after the others. */
  held: number;
}

export interface HeldMeanwhileResult {
  others: { missing: number; twice: number; unexpected: number };
  held: { missing: number; twice: number; unexpected: number };
  /** Right after the restart. */
  restarted: DaemonStatus;
  status: DaemonStatus;
}

export async function heldMeanwhile(options: HeldMeanwhileOptions): Promise<HeldMeanwhileResult> {
  const { kafka, directory, prefix, count, held } = options;
  const other = `${prefix}-other`;
  const missing = `${prefix}-missing`;
  await kafka.createTopic(other, 4);
  const start = () => startBruce({ bootstrap: kafka.bootstrap, directory });
  let bruce = await start();
  const { stream } = bruce.sockets;
  await writeBulk(stream, { topic: missing, count: held / 2, size: 100 });
  await bruce.until(({ topics }) => topics.some(({ name, state }) => name === missing && state === "held"));
  await writeBulk(stream, { topic: other, count, size: 100 });
  await writeBulk(stream, { topic: missing, count: held / 2, size: 100, first: held / 2 });
  await bruce.until(({ ledger }) => ledger.delivered === count);
  await bruce.kill("SIGKILL");

  bruce = await start();
  const restarted = await bruce.status();
  await kafka.createTopic(missing, 1);
  const status = await bruce.until(({ ledger }) => ledger.held === 0);
  await bruce.stop();
  const look = async (topic: string, expected: number) => {
    const account = new BulkAccount(expected);
    await readBack(kafka.bootstrap, topic, ({ value }) => account.found(value ?? Buffer.alloc(0)));
    return { missing: account.missing, twice: account.twice, unexpected: account.unexpected };
  };
  return { others: await look(other, count), held: await look(missing, held), restarted, status };
}
