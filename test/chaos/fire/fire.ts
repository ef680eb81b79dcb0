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
  /** Of topics that were deleted and made again: how many messages the new one must have, by bruce's books. */
  remade: { topic: string; expected: number; found: number }[];
  /** Seconds in which messages were written, and how many of them a second there really were. */
  seconds: number;
  rate: number;
  /** Of bruce, bytes. */
  peakMemory: number;
  conditions: string;
}

/** `enough`: asked before each act; with true that one and all others are left out. */
export async function fire(
  parts: StageParts,
  acts: readonly Act[],
  enough: () => boolean = () => false,
): Promise<FireResult> {
  const stage = await Stage.open(parts);
  try {
    const began = Date.now();
    const before = sentIn(stage);
    for (const act of acts) if (!enough()) await stage.act(act);
    const seconds = (Date.now() - began) / 1000;
    const rate = (sentIn(stage) - before) / seconds;
    const status = await stage.end();
    await stage.cluster.elect(stage.topics);
    const verdict = await judgeFire({
      bootstrap: parts.kafka.bootstrap,
      writers: stage.written,
      marks: stage.marks,
      growing: TOPICS.growing.name,
      gone: new Map([...stage.remade].map(([topic, { gone }]) => [topic, gone])),
    });
    const remade = [...stage.remade].flatMap(([topic, { delivered }]) => {
      const books = status.topics.find(({ name }) => name === topic);
      const found = verdict.inTopic.get(topic) ?? 0;
      return delivered === undefined || !books ? [] : [{ topic, expected: books.received - delivered, found }];
    });
    const { peakMemory } = stage;
    const conditions = `${cpus().length} cores for all of it, Kafka ${parts.kafka.version}, Bun ${Bun.version}`;
    return { verdict, acts: stage.acts, status, remade, seconds, rate, peakMemory, conditions };
  } finally {
    await stage.close();
  }
}

function sentIn(stage: Stage): number {
  return stage.written.reduce((sum, { sent }) => sum + sent, 0);
}

/** Everything that must be 0, or must not differ; empty when all is as it must be. */
export function faultsOf({ verdict, status, remade }: FireResult): string[] {
  const { lost, twice, outOfOrder, misplaced } = verdict.total;
  const { ledger } = status;
  const facts: Record<string, boolean> = {
    [`${lost} lost`]: lost > 0,
    [`${twice} twice`]: twice > 0,
    [`${outOfOrder} out of order`]: outOfOrder > 0,
    [`${misplaced} in another partition than others of their key`]: misplaced > 0,
    [`${verdict.unexpected} that nobody wrote`]: verdict.unexpected > 0,
    ...Object.fromEntries(
      remade.map(({ topic, expected, found }) => [
        `${topic} has ${found}, should have ${expected}`,
        found !== expected,
      ]),
    ),
    "the books do not balance": !ledger.balanced,
    [`${ledger.discarded} discarded`]: ledger.discarded > 0,
    [`delivered ${ledger.delivered} of ${ledger.received} received`]: ledger.delivered !== ledger.received,
  };
  return Object.entries(facts).flatMap(([fact, isSo]) => (isSo ? [fact] : []));
}
