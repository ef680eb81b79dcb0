// Asks a running daemon for its status over HTTP.
import { get as getHttp, type IncomingMessage } from "node:http";
import { get as getHttps } from "node:https";
import type { DaemonStatus } from "./status.ts";

export type Asked =
  | { status: DaemonStatus }
  /** "away": nobody listens, or no answer came in time; "other": someone answers who is not bruce, or refuses. */
  | { failure: "away" | "other"; message: string };

/** No status is larger, even with 10,000 topics. */
const MAX_BODY = 64 << 20;

/**
 * The status of the daemon at `url`, with at most `topics` of its topics. `timeout` in ms is for the whole answer.
 * Through node:http, since `fetch` would send even a request to loopback to the proxy that the environment names.
 */
export async function askStatus(url: URL, timeout: number, topics?: number): Promise<Asked> {
  const target = new URL("/api/v1/status", url);
  if (topics !== undefined) target.searchParams.set("topics", String(topics));
  let answer: { code: number; body: string };
  try {
    answer = await fetchText(target, timeout);
  } catch (error) {
    return { failure: "away", message: `bruce does not answer at ${url.origin}: ${reasonOf(error)}` };
  }
  if (answer.code !== 200) {
    return { failure: "other", message: `${url.origin} answers with HTTP status ${answer.code}: is it bruce?` };
  }
  const status = parse(answer.body);
  if (status === undefined) {
    return { failure: "other", message: `what answers at ${url.origin} is not bruce, or a version too far from this` };
  }
  return { status };
}

function fetchText(url: URL, timeout: number): Promise<{ code: number; body: string }> {
  const get = url.protocol === "https:" ? getHttps : getHttp;
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(() => request.destroy(new Error(`no answer within ${timeout / 1000} s`)), timeout);
    const fail = (error: Error): void => {
      clearTimeout(deadline);
      reject(error);
    };
    const request = get(url, { agent: false }, (response) => {
      bodyOf(response).then((body) => {
        clearTimeout(deadline);
        resolve({ code: response.statusCode ?? 0, body });
      }, fail);
    });
    request.on("error", fail);
  });
}

async function bodyOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY) throw new Error("the answer does not end");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  switch (code) {
    case "ECONNREFUSED":
      return "nothing listens there. Does it run, and with this HTTP address?";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "there is no host of that name";
    case "ECONNRESET":
      return "the connection was closed";
    default:
      return error instanceof Error ? error.message : String(error);
  }
}

/** The status in `body`; undefined when it is none. Fields that a later version adds do not matter. */
function parse(body: string): DaemonStatus | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return isStatus(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isStatus(value: unknown): value is DaemonStatus {
  if (!isRecord(value) || !isRecord(value.ledger)) return false;
  const { ledger } = value;
  return (
    typeof value.version === "string" &&
    ["received", "delivered", "held", "discarded"].every((field) => typeof ledger[field] === "number") &&
    [value.topics, value.brokers, value.inputs].every((list) => Array.isArray(list) && list.every(isRecord)) &&
    [value.queue, value.buffer, value.memory, value.metadata, ledger.discards_by_reason].every(isRecord)
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
