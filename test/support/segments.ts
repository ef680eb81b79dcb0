// Blocks and segments for tests.
import {
  BLOCK_HEADER,
  type BlockFields,
  BlockKind,
  numbersLength,
  writeBlockHeader,
  writeNumbers,
} from "../../src/spool/format.ts";
import { MessageNumbers } from "../../src/spool/numbers.ts";
import { encodeAnyPartition } from "../../src/wire/frame.ts";

/** A frame of topic `topic` with that value. */
export function frameOf(topic: string, value: string): Buffer {
  return encodeAnyPartition({ topic, timestamp: 1, key: Buffer.alloc(0), value: Buffer.from(value) });
}

/** A whole block with consecutive numbers from `fields.firstNumber` on, or with `numbers`. */
export function blockOf(seed: number, frames: Buffer[], fields: Partial<BlockFields>, numbers?: number[]): Buffer {
  const coded = new MessageNumbers();
  for (const number of numbers ?? []) coded.append(number);
  const prefix = Buffer.alloc(numbers === undefined ? 0 : numbersLength(coded));
  if (numbers !== undefined) writeNumbers(prefix, 0, coded);
  const payload = Buffer.concat([prefix, ...frames]);
  const bytes = Buffer.concat([Buffer.alloc(BLOCK_HEADER), payload]);
  const all: BlockFields = {
    kind: numbers === undefined ? BlockKind.Messages : BlockKind.Numbered,
    count: frames.length,
    source: 0,
    firstNumber: numbers?.[0] ?? 1,
    receivedAt: 1_795_338_076_304,
    session: undefined,
    position: 0,
    ...fields,
  };
  writeBlockHeader(bytes, 0, all, payload.length, seed);
  return bytes;
}
