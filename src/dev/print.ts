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

/** Waiting text, in characters: a terminal should not show what happened long ago, a pipe should miss nothing of a burst
 * (300,000 lines of a log in under a second were 25 million). */
const MAX_WAITING = { terminal: 256 * 1024, stream: 32 * 1024 * 1024 };
/** Text is written in pieces of about this length, also within a batch: a terminal that keeps up misses nothing. */
const PIECE = 64 * 1024;

export function createRecordPrinter({ sink, style, onClosed }: PrinterOptions): RecordPrinter {
  const limit = sink.terminal ? MAX_WAITING.terminal : MAX_WAITING.stream;
  /** Whole pieces, oldest first, and the one that grows behind them. */
  let pieces: string[] = [];
  let growing = "";
  /** Length of all of them. */
  let waiting = 0;
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
      if (waiting >= PIECE) flush();
      if (waiting >= limit) {
        drop(batch.records.length - index);
        break;
      }
      tellDropped();
      add(formatRecord(topic, partition, record, lineStyle));
    }
    flush();
  }

  function add(line: string): void {
    growing += `${line}\n`;
    waiting += line.length + 1;
    if (growing.length < PIECE) return;
    pieces.push(growing);
    growing = "";
  }

  function take(): string {
    let text = pieces.shift();
    if (text === undefined) {
      text = growing;
      growing = "";
    }
    waiting -= text.length;
    return text;
  }

  function drop(lines: number): void {
    dropped += lines;
    untold += lines;
  }

  function tellDropped(): void {
    if (untold === 0) return;
    const lines = untold === 1 ? "line" : "lines";
    add(`… ${untold} ${lines} left out: messages come faster than they are read here`);
    untold = 0;
  }

  /** One write at a time; what comes meanwhile goes with the next. */
  function flush(): void {
    if (writing || closed) return;
    if (waiting === 0) tellDropped();
    if (waiting === 0) {
      onIdle?.();
      return;
    }
    writing = true;
    sink.write(take(), (error) => {
      writing = false;
      if (error === undefined) flush();
      else close();
    });
  }

  function close(): void {
    closed = true;
    pieces = [];
    growing = "";
    waiting = 0;
    onIdle?.();
    onClosed?.();
  }

  async function stop(patience: number): Promise<void> {
    if (!closed && (writing || waiting > 0 || untold > 0)) {
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
