// Where lines go without ever making the process wait: pipes and files through the stream, terminals by themselves.
import { closeSync, constants, openSync, writeSync } from "node:fs";

export interface PrintSink {
  terminal: boolean;
  /** Writes all of it; `done` is called once, later or at once, with the error when the reader is gone. One at a time. */
  write(text: string, done: (error?: Error) => void): void;
  close(): void;
}

/** What is needed of process.stdout. */
export interface OutputStream {
  isTTY?: boolean;
  write(text: string, done: (error?: Error | null) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
}

/** Milliseconds: a terminal takes some 4 KiB at a time, so this allows about 1 MB/s. */
const RETRY = 4;

/** The sink for standard output. */
export function stdoutSink(stdout: OutputStream): PrintSink {
  return stdout.isTTY === true ? terminalSink("/proc/self/fd/1") : streamSink(stdout);
}

/** Pipes and files: Bun writes them without blocking and calls back when they took it. */
function streamSink(stream: OutputStream): PrintSink {
  // The callback of the write says it too; without a listener the error would be an uncaught one.
  stream.on("error", () => {});
  return {
    terminal: false,
    write: (text, done) => {
      stream.write(text, (error) => done(error ?? undefined));
    },
    close: () => {},
  };
}

/** A terminal: a write to process.stdout blocks for as long as someone holds Ctrl-S (seen for 4 s), so it is opened once
 * more, non-blocking, which leaves the mode of the one that others share as it is. */
export function terminalSink(path: string): PrintSink {
  const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  let retry: ReturnType<typeof setTimeout> | undefined;

  function write(bytes: Buffer, done: (error?: Error) => void): void {
    let rest = bytes;
    try {
      while (rest.length > 0) rest = rest.subarray(writeSync(fd, rest));
      done();
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === "EAGAIN") retry = setTimeout(write, RETRY, rest, done);
      else done(error instanceof Error ? error : new Error(String(error)));
    }
  }

  return {
    terminal: true,
    write: (text, done) => write(Buffer.from(text), done),
    close: () => {
      clearTimeout(retry);
      closeSync(fd);
    },
  };
}
