// What one API of the embedded broker consists of.
import type { DecodedBatch } from "../../kafka/recordBatchReader.ts";
import type { Cluster } from "../cluster.ts";
import { type ErrorFault, type FaultRequest, isTarget } from "../faults.ts";
import type { WireReader } from "../protocol/wireReader.ts";
import type { WireWriter } from "../protocol/wireWriter.ts";

/** What an API's code may use to answer one request. */
export interface ApiContext {
  cluster: Cluster;
  /** The node that got the request. */
  node: number;
  version: number;
  /** The error ordered for this request, if any. */
  error: ErrorFault | undefined;
  /** Milliseconds, for the response. */
  throttleTime: number;
  /** The response's body. */
  out: WireWriter;
  /** Calls back when the connection closes, until the function returned is called. */
  onClose(callback: () => void): () => void;
  onRecords: ((topic: string, partition: number, batch: DecodedBatch) => void) | undefined;
}

/** "answered": the body is in `out`. "silent": this request has no answer (acks = 0). "close": the connection goes. */
export type Outcome = "answered" | "silent" | "close";

export interface Api<Request> {
  /** Throws a WireError. */
  decode(reader: WireReader, version: number): Request;
  /** What a fault rule may want to know of it. */
  targets(request: Request): Pick<FaultRequest, "topics" | "partitions">;
  answer(request: Request, context: ApiContext): Outcome | Promise<Outcome>;
}

/** A request that was read, with its type hidden, so that all APIs go into one table. */
export interface ReadRequest {
  targets(): Pick<FaultRequest, "topics" | "partitions">;
  answer(context: ApiContext): Outcome | Promise<Outcome>;
}

export type RequestReader = (reader: WireReader, version: number) => ReadRequest;

export function bound<Request>(api: Api<Request>): RequestReader {
  return (reader, version) => {
    const request = api.decode(reader, version);
    return { targets: () => api.targets(request), answer: (context) => api.answer(request, context) };
  };
}

/** The error ordered for a topic as a whole (no partition given) or for a partition. */
export function orderedError(context: ApiContext, topic: string, partition?: number): ErrorFault | undefined {
  return context.error !== undefined && isTarget(context.error.only, topic, partition) ? context.error : undefined;
}
