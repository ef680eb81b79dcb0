// The record printer on standard output: coloured and as wide as the terminal, or plain for a pipe or a file.
import { createRecordPrinter, type RecordPrinter } from "./print.ts";
import { type OutputStream, stdoutSink } from "./printSink.ts";

/** Columns of a line where no terminal sets a limit. */
const UNLIMITED = 4096;

/** `onClosed` is called once when the reader has gone, as `| head` does. */
export function printToStdout(
  stdout: OutputStream & { columns?: number },
  env: Record<string, string | undefined>,
  onClosed?: () => void,
): RecordPrinter {
  const terminal = stdout.isTTY === true;
  const colors = terminal && (env.NO_COLOR ?? "") === "" && env.TERM !== "dumb";
  const style = () => ({ colors, width: terminal ? (stdout.columns ?? 80) : UNLIMITED });
  return createRecordPrinter({ sink: stdoutSink(stdout), style, onClosed });
}
