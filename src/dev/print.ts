// Prints records as they arrive, for `bruce serve --dev`. A reader that is too slow misses lines and is told how many;
// it never makes anyone wait, and what waits for it is bounded.
import type { DecodedBatch } from "../kafka/recordBatchReader.ts";
import { formatRecord, type LineStyle } from "./formatRecord.ts";
import type { PrintSink } from "./printSink.ts";

export interface PrinterOptions {
  sink: PrintSink;
  /** Asked for each batch, as terminals change their size. */
  style(): LineStyle;
  /** The reader has gone (`| head`): nothing is printed any more. Called once. */
  onClosed?(): void;
}

export interface RecordPrinter {
  print(topic: string, partition: number, batch: DecodedBatch): void;
  /** Lines that were not printed so far. */
  readonly dropped: number;
  /** Resolves when all lines are out, or after `patience` milliseconds, and lets go of the sink. */
  stop(patience: number): Promise<void>;
}

/** Waiting text, in characters: a terminal should not show what happened long ago, a file should miss nothing of a
 * burst. */
const MAX_WAITING = { terminal: 256 * 1024, stream: 8 * 1024 * 1024 };

/** Within a batch, text is written from this length on: a terminal that keeps up misses nothing. */
const WRITE_SIZE = 64 * 1024;

export function createRecordPrinter({ sink, style, onClosed }: PrinterOptions): RecordPrinter {
  const limit = sink.terminal ? MAX_WAITING.terminal : MAX_WAITING.stream;
  let waiting = "";
  let writing = false;
  let closed = false;
  let dropped = 0;
  /** Dropped lines that nobody was told of yet. */
  let untold = 0;
  let onIdle: (() => void) | undefined;

  function print(topic: string, partition: number, batch: DecodedBatch): void {
    if (closed) return;
    const lineStyle = style();
    for (const [index, record] of batch.records.entries()) {
      if (waiting.length >= WRITE_SIZE) flush();
      if (waiting.length >= limit) {
        drop(batch.records.length - index);
        break;
      }
      tellDropped();
      waiting += `${formatRecord(topic, partition, record, lineStyle)}\n`;
    }
    flush();
  }

  function drop(lines: number): void {
    dropped += lines;
    untold += lines;
  }

  function tellDropped(): void {
    if (untold === 0) return;
    waiting += `… ${untold} ${untold === 1 ? "line" : "lines"} left out: messages come faster than they are read here\n`;
    untold = 0;
  }

  /** One write at a time; what comes meanwhile goes with the next. */
  function flush(): void {
    if (writing || closed) return;
    if (waiting === "") tellDropped();
    if (waiting === "") {
      onIdle?.();
      return;
    }
    const text = waiting;
    waiting = "";
    writing = true;
    sink.write(text, (error) => {
      writing = false;
      if (error === undefined) flush();
      else close();
    });
  }

  function close(): void {
    closed = true;
    waiting = "";
    onIdle?.();
    onClosed?.();
  }

  async function stop(patience: number): Promise<void> {
    if (!closed && (writing || waiting !== "" || untold > 0)) {
      const idle = Promise.withResolvers<void>();
      onIdle = idle.resolve;
      const timer = setTimeout(idle.resolve, patience);
      flush();
      await idle.promise;
      clearTimeout(timer);
    }
    closed = true;
    sink.close();
  }

  return {
    print,
    get dropped() {
      return dropped;
    },
    stop,
  };
}
