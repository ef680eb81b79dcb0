// A buffer's directory for tests, made by the writers that the daemon uses.
import { afterEach } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ledger } from "../../src/observe/ledger.ts";
import { type CheckpointState, CheckpointStore } from "../../src/spool/checkpoint.ts";
import { nodeFiles } from "../../src/spool/files.ts";
import { BLOCK_HEADER, BlockKind, numbersLength, writeBlockHeader, writeNumbers } from "../../src/spool/format.ts";
import { Journal } from "../../src/spool/journal.ts";
import { NumberSet } from "../../src/spool/numberSet.ts";
import { MessageNumbers } from "../../src/spool/numbers.ts";
import { SegmentWriter } from "../../src/spool/segmentWriter.ts";
import { encodeAnyPartition, encodePartitionKey } from "../../src/wire/frame.ts";

const DIRECTORY_ID = "00112233445566778899aabbccddeeff";
const MACHINE_ID = "ffeeddccbbaa99887766554433221100";

export interface TestMessage {
  number: number;
  topic: string;
  value?: string | Uint8Array;
  key?: string | Uint8Array;
  partitionKey?: number;
}

export function makeDirectory(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), "bruce-spool-"));
  for (const name of ["log", "held", "journal", "quarantine"]) nodeFiles.makeDirectory(join(path, name));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** For all tests of a file: makes such directories, and removes them after each test. */
export function directoriesOfTests(): () => string {
  const made: (() => void)[] = [];
  afterEach(() => {
    for (const remove of made.splice(0)) remove();
  });
  return () => {
    const { path, remove } = makeDirectory();
    made.push(remove);
    return path;
  };
}

/** `count` messages of one topic, with the values v1, v2, … by their numbers. */
export function messages(topic: string, from: number, count: number): TestMessage[] {
  return Array.from({ length: count }, (_, i) => ({ number: from + i, topic, value: `v${from + i}` }));
}

export interface TestSegment {
  path: string;
  /** Where each block begins. */
  offsets: number[];
  /** Where the last block ends. */
  end: number;
  head: { number: number; segment: number; offset: number };
}

/** One segment of `log` ("log", "held/t"), each list of messages a block. Numbers may have gaps only in held logs. */
export function writeSegment(
  directory: string,
  log: string,
  ordinal: number,
  blocks: TestMessage[][],
  { seal = true, previousEnd }: { seal?: boolean; previousEnd?: number } = {},
): TestSegment {
  const firstNumber = blocks[0]?.[0]?.number ?? 1;
  nodeFiles.makeDirectory(join(directory, log));
  const writer = SegmentWriter.create(nodeFiles, {
    directory: join(directory, log),
    ordinal,
    firstNumber,
    previousEnd: previousEnd ?? firstNumber,
    directoryId: DIRECTORY_ID,
  });
  const offsets = blocks.map((block) => {
    const bytes = encodeBlock(block, log !== "log", writer.seed);
    return writer.append(bytes, 0, bytes.length);
  });
  const end = writer.offset;
  const head = { number: writer.end, segment: ordinal, offset: end };
  if (seal) writer.seal();
  writer.close();
  return { path: writer.path, offsets, end, head };
}

export function encodeBlock(block: TestMessage[], numbered: boolean, seed: number): Buffer {
  const frames = Buffer.concat(block.map(encodeFrame));
  const numbers = new MessageNumbers();
  for (const { number } of block) numbers.append(number);
  const front = numbered ? numbersLength(numbers) : 0;
  const bytes = Buffer.alloc(BLOCK_HEADER + front + frames.length);
  if (numbered) writeNumbers(bytes, BLOCK_HEADER, numbers);
  frames.copy(bytes, BLOCK_HEADER + front);
  const fields = {
    kind: numbered ? BlockKind.Numbered : BlockKind.Messages,
    count: block.length,
    source: 0,
    firstNumber: numbers.first,
    receivedAt: 1_700_000_000_000,
    session: undefined,
    position: 0,
  };
  writeBlockHeader(bytes, 0, fields, front + frames.length, seed);
  return bytes;
}

export function encodeFrame({ topic, value = "", key = "", partitionKey }: TestMessage): Buffer {
  const message = { topic, timestamp: 1_700_000_000_000, key: Buffer.from(key), value: Buffer.from(value) };
  return partitionKey === undefined ? encodeAnyPartition(message) : encodePartitionKey({ ...message, partitionKey });
}

/** What a checkpoint says of a directory without anything but what is given. */
export function checkpointOf(state: Pick<CheckpointState, "log"> & Partial<CheckpointState>): CheckpointState {
  return {
    directoryId: DIRECTORY_ID,
    machineId: MACHINE_ID,
    clean: false,
    reserved: 1_000_000,
    journal: 1,
    unsettled: new NumberSet(),
    settled: new NumberSet(),
    held: [],
    ledger: new Ledger(100),
    topicsSeen: [],
    sessions: [],
    ...state,
  };
}

/** Writes a checkpoint slot. */
export async function writeCheckpoint(directory: string, state: Parameters<typeof checkpointOf>[0]): Promise<void> {
  const store = new CheckpointStore(nodeFiles, directory);
  store.load();
  await store.write(checkpointOf(state));
  store.close();
}

export function setOf(...numbers: number[]): NumberSet {
  const set = new NumberSet();
  for (const number of numbers) set.add(number);
  return set;
}

/** A journal file that says that these batches were sent, and whether they were delivered. */
export function writeJournal(
  directory: string,
  batches: { topic: string; partition?: number; numbers: number[]; delivered: boolean }[],
  ordinal = 1,
): void {
  const journal = Journal.open({
    files: nodeFiles,
    directory: join(directory, "journal"),
    ordinal,
    directoryId: DIRECTORY_ID,
    machineId: MACHINE_ID,
    carried: [],
    wallClock: () => 1_700_000_000_000,
    onFailing: () => {},
  });
  for (const { topic, partition = 0, numbers, delivered } of batches) {
    const coded = new MessageNumbers();
    for (const number of numbers) coded.append(number);
    const ids = { clusterId: "c", producerId: 1n, producerEpoch: 0, baseSequence: 0 };
    journal.sending([
      { topic, partition, ...ids, sentAt: 1_700_000_000_000, numbers: coded, checksum: 1, repeats: false },
    ]);
    if (delivered) journal.ended(topic, partition, { kind: "delivered" });
  }
  journal.flush();
  journal.close();
}
