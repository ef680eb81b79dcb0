// Plays acts under load, then reads everything back: what was lost, came twice or out of order, and how long it all took.
import { cpus } from "node:os";
import type { DaemonStatus } from "../../../src/observe/status.ts";
import { type FireVerdict, judgeFire } from "./judge.ts";
import { type Act, type ActRecord, Stage, type StageParts } from "./stage.ts";
import { TOPICS } from "./topics.ts";

export interface FireResult {
  verdict: FireVerdict;
  acts: ActRecord[];
  /** When all was delivered. */
  status: DaemonStatus;
  /** Of the topic that was deleted and made again, where bruce's books say how many must be in the new one. */
  remadeExpected: number | undefined;
  /** Seconds in which messages were written, and how many of them a second there really were. */
  seconds: number;
  rate: number;
  /** Of bruce, bytes. */
  peakMemory: number;
  conditions: string;
}

export async function fire(parts: StageParts, acts: readonly Act[]): Promise<FireResult> {
  const stage = await Stage.open(parts);
  try {
    const began = Date.now();
    const before = sentIn(stage);
    for (const act of acts) await stage.act(act);
    const seconds = (Date.now() - began) / 1000;
    const rate = (sentIn(stage) - before) / seconds;
    const status = await stage.end();
    await stage.cluster.elect(stage.topics);
    const { remade } = stage;
    const verdict = await judgeFire({
      bootstrap: parts.kafka.bootstrap,
      writers: stage.written,
      marks: stage.marks,
      growing: TOPICS.growing.name,
      remade: remade && { topic: TOPICS.remade.name, gone: remade.gone },
    });
    const books = status.topics.find(({ name }) => name === TOPICS.remade.name);
    const remadeExpected = remade?.delivered === undefined || !books ? undefined : books.received - remade.delivered;
    const { peakMemory } = stage;
    const conditions = `${cpus().length} cores for all of it, Kafka ${parts.kafka.version}, Bun ${Bun.version}`;
    return { verdict, acts: stage.acts, status, remadeExpected, seconds, rate, peakMemory, conditions };
  } finally {
    await stage.close();
  }
}

function sentIn(stage: Stage): number {
  return stage.written.reduce((sum, { sent }) => sum + sent, 0);
}

/** Everything that must be 0, or must not differ; empty when all is as it must be. */
export function faultsOf({ verdict, status, remadeExpected }: FireResult): string[] {
  const { lost, twice, outOfOrder, misplaced } = verdict.total;
  const { ledger } = status;
  const facts: Record<string, boolean> = {
    [`${lost} lost`]: lost > 0,
    [`${twice} twice`]: twice > 0,
    [`${outOfOrder} out of order`]: outOfOrder > 0,
    [`${misplaced} in another partition than others of their key`]: misplaced > 0,
    [`${verdict.unexpected} that nobody wrote`]: verdict.unexpected > 0,
    [`the topic made again has ${verdict.remade} messages, and should have ${remadeExpected}`]:
      remadeExpected !== undefined && verdict.remade !== remadeExpected,
    "the books do not balance": !ledger.balanced,
    [`${ledger.discarded} discarded`]: ledger.discarded > 0,
    [`delivered ${ledger.delivered} of ${ledger.received} received`]: ledger.delivered !== ledger.received,
  };
  return Object.entries(facts).flatMap(([fact, isSo]) => (isSo ? [fact] : []));
}
