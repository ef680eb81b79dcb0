// One request and its answer: header, fault, API, response. Knows no sockets.
import type { DecodedBatch } from "../kafka/recordBatchReader.ts";
import { type ApiContext, bound, type Outcome, type ReadRequest, type RequestReader } from "./apis/api.ts";
import { apiVersions, writeUnsupportedApiVersions } from "./apis/apiVersions.ts";
import { createTopics } from "./apis/createTopics.ts";
import { fetch } from "./apis/fetch.ts";
import { initProducerId } from "./apis/initProducerId.ts";
import { listOffsets } from "./apis/listOffsets.ts";
import { metadata } from "./apis/metadata.ts";
import { produce } from "./apis/produce.ts";
import type { Cluster } from "./cluster.ts";
import type { ActingFault, ConnectFault, ErrorFault, Fault, FaultRequest, FaultScript } from "./faults.ts";
import { APIS, type ApiName, apiName } from "./protocol/apiKeys.ts";
import { WireError, WireReader } from "./protocol/wireReader.ts";
import { WireWriter } from "./protocol/wireWriter.ts";

//   Request  => Size INT32, ApiKey INT16, ApiVersion INT16, CorrelationId INT32, ClientId NULLABLE_STRING,
//               TAGS (header v2: only ApiVersions v3 here), body
//   Response => Size INT32, CorrelationId INT32, body

/** What all nodes and connections share. */
export interface Broker {
  cluster: Cluster;
  faults: FaultScript;
  /** How many requests came, by API. */
  requests: Record<ApiName, number>;
  onRecords: ((topic: string, partition: number, batch: DecodedBatch) => void) | undefined;
}

/** Where a request came from. */
export interface Origin {
  node: number;
  connection: number;
  onClose(callback: () => void): () => void;
}

/** Bytes to write, and what becomes of the connection: it goes on, hangs (nothing is answered any more), or ends. */
export interface Reply {
  parts: Buffer[];
  next: "next" | "hang" | "end";
}

const SERVED: { [name in ApiName]: RequestReader } = {
  Produce: bound(produce),
  Fetch: bound(fetch),
  ListOffsets: bound(listOffsets),
  Metadata: bound(metadata),
  ApiVersions: bound(apiVersions),
  CreateTopics: bound(createTopics),
  InitProducerId: bound(initProducerId),
};

const END: Reply = { parts: [], next: "end" };

interface Request {
  name: ApiName;
  version: number;
  correlationId: number;
  clientId: string | null;
  body: ReadRequest;
}

/** Serves a request (without its size field). What a real broker cannot read ends the connection, here as there. */
export function serve(frame: Buffer, origin: Origin, broker: Broker): Reply | Promise<Reply> {
  let request: Request | Reply;
  try {
    request = read(frame);
  } catch (error) {
    if (error instanceof WireError) return END;
    throw error;
  }
  if ("parts" in request) return request;
  broker.requests[request.name] += 1;
  const fault = broker.faults.decide(describe(request, origin, broker));
  if (fault?.kind === "delay") return serveDelayed(request, origin, broker, fault);
  return serveFaulty(request, origin, broker, fault);
}

/** What befalls a connection that was opened just now. */
export function faultOnConnect(node: number, connection: number, { faults }: Broker): ConnectFault | undefined {
  const nothing = { apiVersion: 0, correlationId: 0, clientId: null, attempt: connection, topics: [], partitions: [] };
  const fault = faults.decide({ api: "Connect", node, connection, ...nothing });
  return fault?.kind === "silent" || fault?.kind === "garbage" || fault?.kind === "cut" ? fault : undefined;
}

function read(frame: Buffer): Request | Reply {
  const reader = new WireReader(frame);
  const key = reader.int16();
  const version = reader.int16();
  const correlationId = reader.int32();
  const name = apiName(key);
  if (name === undefined) return END;
  if (version < APIS[name].min || version > APIS[name].max) {
    if (name !== "ApiVersions") return END;
    const out = new WireWriter();
    writeUnsupportedApiVersions(out);
    return { parts: framed(out.parts(), correlationId), next: "next" };
  }
  const clientId = reader.nullableString();
  if (name === "ApiVersions" && version >= 3) reader.taggedFields();
  const body = SERVED[name](reader, version);
  if (reader.left > 0) throw new WireError(reader.at, `${reader.left} bytes follow the request`);
  return { name, version, correlationId, clientId, body };
}

function describe(request: Request, origin: Origin, broker: Broker): FaultRequest {
  return {
    api: request.name,
    apiVersion: request.version,
    correlationId: request.correlationId,
    clientId: request.clientId,
    node: origin.node,
    connection: origin.connection,
    attempt: broker.requests[request.name],
    ...request.body.targets(),
  };
}

async function serveDelayed(request: Request, origin: Origin, broker: Broker, fault: Fault): Promise<Reply> {
  const beforeAnswer: Promise<unknown>[] = [];
  let acting: Fault | undefined = fault;
  while (acting?.kind === "delay") {
    if (acting.append === true) beforeAnswer.push(acting.until);
    else await acting.until;
    acting = acting.andThen;
  }
  const reply = await serveFaulty(request, origin, broker, acting);
  await Promise.all(beforeAnswer);
  return reply;
}

function serveFaulty(
  request: Request,
  origin: Origin,
  broker: Broker,
  fault: ActingFault | undefined,
): Reply | Promise<Reply> {
  if (fault === undefined) return run(request, origin, broker);
  switch (fault.kind) {
    case "error":
      return run(request, origin, broker, fault.throttleTime, fault);
    case "throttle":
      return run(request, origin, broker, fault.time);
    case "silent":
      if (fault.append !== true) return { parts: [], next: "hang" };
      return changed(run(request, origin, broker), () => ({ parts: [], next: "hang" }));
    case "cut":
      if (fault.append !== true && (fault.after ?? 0) === 0) return END;
      return changed(run(request, origin, broker), (reply) => ({
        parts: [joined(reply).subarray(0, fault.after ?? 0)],
        next: "end",
      }));
    case "garbage": {
      const garbage: Reply = { parts: [Buffer.from(fault.bytes)], next: "next" };
      return fault.append === true ? changed(run(request, origin, broker), () => garbage) : garbage;
    }
    case "size":
      return changed(run(request, origin, broker), (reply) => patched(reply, 0, fault.size));
    case "change":
      return changed(run(request, origin, broker), ({ parts, next }) => ({
        parts: [Buffer.from(fault.change(Buffer.concat(parts)))],
        next,
      }));
    case "correlationId":
      return changed(run(request, origin, broker), (reply) => patched(reply, 4, fault.id));
  }
}

function run(
  request: Request,
  origin: Origin,
  broker: Broker,
  throttleTime = 0,
  error?: ErrorFault,
): Reply | Promise<Reply> {
  const { version, correlationId } = request;
  const { cluster, onRecords } = broker;
  const { node, onClose } = origin;
  const out = new WireWriter();
  const context: ApiContext = { cluster, node, version, error, throttleTime, out, onClose, onRecords };
  const finish = (outcome: Outcome): Reply => {
    if (outcome === "close") return END;
    return { parts: outcome === "answered" ? framed(out.parts(), correlationId) : [], next: "next" };
  };
  const outcome = request.body.answer(context);
  return outcome instanceof Promise ? outcome.then(finish) : finish(outcome);
}

function framed(body: Buffer[], correlationId: number): Buffer[] {
  const head = Buffer.allocUnsafe(8);
  head.writeInt32BE(
    body.reduce((sum, part) => sum + part.length, 4),
    0,
  );
  head.writeInt32BE(correlationId, 4);
  return [head, ...body];
}

function changed(reply: Reply | Promise<Reply>, change: (reply: Reply) => Reply): Reply | Promise<Reply> {
  return reply instanceof Promise ? reply.then(change) : change(reply);
}

function patched(reply: Reply, at: number, value: number): Reply {
  const bytes = joined(reply);
  if (bytes.length > 0) bytes.writeInt32BE(value, at);
  return { parts: [bytes], next: reply.next };
}

function joined(reply: Reply): Buffer {
  return Buffer.concat(reply.parts);
}
