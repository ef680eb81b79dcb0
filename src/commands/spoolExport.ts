// `bruce spool export`: every message that is not known to be delivered, as JSON lines or as frames.
import { isUtf8 } from "node:buffer";
import { formatCount } from "../observe/statusUnits.ts";
import { nodeFiles } from "../spool/files.ts";
import { FrameReader, PARTITION_KEY } from "../wire/frame.ts";
import { EXIT, type SpoolOutput, type SpoolSurroundings } from "./spoolIo.ts";
import { lockHolder } from "./spoolLock.ts";
import { type WaitingMessage, waitingMessages } from "./spoolMessages.ts";
import { readView } from "./spoolView.ts";

export interface ExportOptions {
  /** None: all topics. */
  topics: string[];
  frames: boolean;
}

/** Bytes gathered before they are written. */
const CHUNK = 256 * 1024;

/** The exit code: 1 when something could not be read. */
export async function exportSpool(
  directory: string,
  { topics, frames }: ExportOptions,
  { stdout, stderr }: SpoolSurroundings,
): Promise<number> {
  const view = readView(nodeFiles, directory);
  const damaged = new Set<string>();
  const source = {
    files: nodeFiles,
    topics: topics.length === 0 ? undefined : new Set(topics),
    onDamage: (path: string, offset: number) => void damaged.add(`${path} ${offset}`),
  };
  const encode = frames ? ({ bytes, start, end }: WaitingMessage) => bytes.subarray(start, end) : jsonLine;
  let count = 0;
  let chunk: Buffer[] = [];
  let size = 0;
  for (const message of waitingMessages(view, source)) {
    // Copied, since the bytes are good only until the next message.
    const encoded = Buffer.from(encode(message));
    chunk.push(encoded);
    size += encoded.length;
    count++;
    if (size < CHUNK) continue;
    await written(stdout, Buffer.concat(chunk));
    chunk = [];
    size = 0;
  }
  if (size > 0) await written(stdout, Buffer.concat(chunk));
  if (stderr.isTTY === true) {
    const running = lockHolder(directory).state === "running";
    const notice = running ? "; a daemon is at work: what it delivered just now may be among them" : "";
    stderr.write(`bruce spool: ${formatCount(count)} ${count === 1 ? "message" : "messages"} exported${notice}\n`);
  }
  if (damaged.size === 0) return EXIT.done;
  const places = damaged.size === 1 ? "1 damaged place was" : `${formatCount(damaged.size)} damaged places were`;
  stderr.write(`bruce spool: ${places} passed over; "bruce spool verify --path ${directory}" names them\n`);
  return EXIT.failed;
}

/** Resolves when more may be written, so that a slow reader does not fill the memory. */
function written(output: SpoolOutput, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => output.write(bytes, () => resolve()));
}

const frame = new FrameReader();

function jsonLine({ number, topic, bytes, start, end }: WaitingMessage): string {
  frame.locate(bytes, start, end);
  const { keyStart, keyEnd, valueStart, valueEnd } = frame;
  const partitionKey = frame.apiKey === PARTITION_KEY ? frame.partitionKey : null;
  const key = keyStart === keyEnd ? '"key":null' : textField("key", bytes.subarray(keyStart, keyEnd));
  const value = textField("value", bytes.subarray(valueStart, valueEnd));
  // Any int64 is a legal timestamp, and JSON has all of them where numbers of JavaScript have not.
  const timestamp = bytes.readBigInt64BE(frame.timestampAt);
  const head = `"number":${number},"topic":${JSON.stringify(topic)},"partition_key":${partitionKey}`;
  return `{${head},"timestamp":${timestamp},${key},${value}}\n`;
}

function textField(name: string, bytes: Buffer): string {
  return isUtf8(bytes)
    ? `"${name}":${JSON.stringify(bytes.toString("utf8"))}`
    : `"${name}_base64":"${bytes.toString("base64")}"`;
}
