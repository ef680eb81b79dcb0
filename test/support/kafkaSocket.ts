// Requests to a broker over a plain socket, for tests. It shares nothing with bruce's own connections and encoders, so that
// a mistake there cannot hide here.
import { connect, type Socket } from "node:net";
import { WireReader } from "../../src/dev/protocol/wireReader.ts";
import { WireWriter } from "../../src/dev/protocol/wireWriter.ts";

export interface Address {
  host: string;
  port: number;
}

/** One request, and how its response is read. */
export interface Question<T> {
  apiKey: number;
  apiVersion: number;
  /** A version with tagged fields: they are in the headers as well. */
  flexible?: true;
  write(to: WireWriter): void;
  read(from: WireReader): T;
}

export interface KafkaSocket {
  /** Several may be outstanding; rejects when the connection fails first. */
  ask<T>(question: Question<T>): Promise<T>;
  close(): void;
}

/** "host:port", or the first of several with commas between. */
export function parseAddress(bootstrap: string): Address {
  const [, host = "", port] = bootstrap.match(/^(.+?):(\d+)(,|$)/) ?? [];
  if (port === undefined) throw new Error(`"${bootstrap}" is not host:port`);
  return { host, port: Number(port) };
}

/** Asks one question on a connection of its own. */
export async function askKafka<T>(address: Address, question: Question<T>): Promise<T> {
  const socket = await connectKafka(address);
  try {
    return await socket.ask(question);
  } finally {
    socket.close();
  }
}

/** Rejects when nobody listens there. */
export async function connectKafka(address: Address): Promise<KafkaSocket> {
  const socket = await connected(address);
  const waiting: { resolve(response: WireReader): void; reject(error: Error): void }[] = [];
  let correlationId = 0;

  const fail = (error: Error) => {
    for (const { reject } of waiting.splice(0)) reject(error);
    socket.destroy();
  };
  const closed = () => new Error(`${address.host}:${address.port} closed the connection`);
  socket.on("error", fail);
  socket.on("close", () => fail(closed()));
  onFrames(socket, (frame) => {
    const response = new WireReader(frame);
    response.int32(); // the correlation id: Kafka answers one connection in order
    waiting.shift()?.resolve(response);
  });

  return {
    async ask({ apiKey, apiVersion, flexible, write, read }) {
      if (socket.destroyed) throw closed();
      const request = new WireWriter().int16(apiKey).int16(apiVersion).int32(correlationId++).string("bruce-test");
      if (flexible) request.noTaggedFields();
      write(request);
      const parts = request.parts();
      const size = parts.reduce((sum, part) => sum + part.length, 0);
      socket.write(Buffer.concat([...new WireWriter().int32(size).parts(), ...parts]));
      const response = await new Promise<WireReader>((resolve, reject) => waiting.push({ resolve, reject }));
      if (flexible) response.taggedFields();
      return read(response);
    },
    close: () => socket.destroy(),
  };
}

function connected({ host, port }: Address): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true }, () => {
      socket.off("error", reject);
      resolve(socket);
    });
    socket.once("error", reject);
  });
}

/** Cuts what arrives into frames, each behind four bytes with its size. */
function onFrames(socket: Socket, onFrame: (frame: Buffer) => void): void {
  let chunks: Buffer[] = [];
  let size = 0;
  socket.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    size += chunk.length;
    while (size >= 4) {
      const first = chunks[0] as Buffer;
      const end = 4 + (first.length >= 4 ? first : Buffer.concat(chunks)).readInt32BE();
      if (size < end) return;
      const bytes = Buffer.concat(chunks);
      chunks = end < size ? [bytes.subarray(end)] : [];
      size -= end;
      onFrame(bytes.subarray(4, end));
    }
  });
}
