// A small volume that others fill up and clear again while applications write, with kill -9 now and then.
import { join } from "node:path";
import type { DaemonStatus } from "../../src/observe/status.ts";
import { type Bruce, startBruce } from "../support/bruce.ts";
import type { Kafka } from "../support/kafka.ts";
import { startDatagramWriter } from "./datagramWriter.ts";
import { type Judgement, judge } from "./judge.ts";
import { startWriter } from "./receiptWriter.ts";
import { mountSmallVolume } from "./smallVolume.ts";

export interface VolumeRounds {
  kafka: Kafka;
  /** Where bruce keeps its sockets, and the volume is mounted; exists. */
  directory: string;
  prefix: string;
  rounds: number;
  /** Messages a second of each writer. */
  rate: number;
  /**
   * Whether bruce is killed while the volume is full, and half of the time started on one that still is, or while there is
   * room. Either way nothing may come twice: without room, the journal has what was kept for it.
   */
  killsWhenFull: boolean;
  /** In [0, 1): whether bruce, Kafka or both are killed in a round. */
  random: () => number;
  onRound?: (round: number, status: DaemonStatus) => void;
}

export interface VolumeVerdict {
  receipts: Judgement;
  status: DaemonStatus;
  /** Of bruce, and of Kafka. */
  kills: number;
  away: number;
}

const MEGABYTES = 32;
const PARTITIONS = 4;

/** Runs it to the end: all is delivered when it resolves. Throws when no volume can be mounted. */
export async function volumeRounds(parts: VolumeRounds): Promise<VolumeVerdict> {
  const { kafka, directory, prefix, rounds, rate, random } = parts;
  const volume = mountSmallVolume(directory, MEGABYTES);
  if ("problem" in volume) throw new Error(volume.problem);
  const topics = { keyed: `${prefix}-keyed`, other: `${prefix}-other` };
  for (const topic of Object.values(topics)) await kafka.createTopic(topic, PARTITIONS);
  const set = [
    ...[`buffer.path="${join(volume.path, "state")}"`, "buffer.segment=1m", "buffer.memory=16m"],
    ...["buffer.min_free_disk=0", 'batch.linger="5ms"'],
  ];
  const start = () => startBruce({ bootstrap: kafka.bootstrap, directory, set });
  let bruce: Bruce | undefined;
  try {
    bruce = await start();
    const { stream, datagram } = bruce.sockets;
    const writers = [
      startWriter("a", topics.keyed, stream, rate),
      startWriter("b", topics.keyed, stream, rate, 1000),
      startWriter("c", topics.other, stream, rate),
    ];
    const datagrams = startDatagramWriter("d", topics.other, datagram, rate);
    let kills = 0;
    let away = 0;
    for (let round = 0; round < rounds; round++) {
      await Promise.all(writers.map((writer) => writer.confirmed(Math.ceil(rate * random() * 0.5) + 50)));
      const killed = random() < 0.5;
      if (killed && !parts.killsWhenFull) {
        await bruce.kill("SIGKILL");
        kills++;
        bruce = await start();
      }
      const withoutKafka = random() < 0.3;
      if (withoutKafka) await kafka.kill(1);
      volume.fill();
      parts.onRound?.(round, await bruce.until(({ buffer }) => buffer.mode === "degraded" || buffer.full));
      if (killed && parts.killsWhenFull) {
        await bruce.kill("SIGKILL");
        kills++;
        if (random() < 0.5) volume.relieve();
        bruce = await start();
      }
      volume.relieve();
      if (withoutKafka) {
        away++;
        await kafka.start(1);
      }
      await bruce.until(({ buffer }) => buffer.mode === "disk" && !buffer.full);
    }
    await Promise.all([...writers.map((writer) => writer.stop()), datagrams.stop()]);
    const status = await bruce.until(({ ledger }) => ledger.held === 0);
    const receipts = await judge(kafka.bootstrap, [...writers.map(({ written }) => written), datagrams.written]);
    await bruce.stop();
    return { receipts, status, kills, away };
  } finally {
    await bruce?.close();
    volume.close();
  }
}
