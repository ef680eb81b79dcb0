// The upper bound for datagrams: a loop that receives them and does nothing else.
import { join } from "node:path";
import { type Contender, rateOf } from "./contender.ts";
import { bruceDatagram } from "./messages.ts";
import { type Children, cpuTime, peakMemory } from "./processes.ts";
import type { Sender } from "./sender.ts";

/** Milliseconds. */
const PATIENCE = 30_000;

export async function bareLoop(
  directory: string,
  children: Children,
  sender: Sender,
  messages: number,
): Promise<Contender> {
  const path = join(directory, "bare");
  const command = [process.execPath, new URL("./bareLoop.ts", import.meta.url).pathname, path, String(messages)];
  const child = children.spawn(command, { stdout: "pipe" });
  const lines = linesOf(child.stdout as ReadableStream<Uint8Array>);
  await lines.next();
  const name = "bare receive loop, no Kafka";
  const { content, digitsAt } = bruceDatagram("datagrams");
  return {
    name,
    async round() {
      const before = cpuTime(child.pid);
      const start = await sender.send(path, messages, content, digitsAt);
      const timeout = Bun.sleep(PATIENCE).then(() => ({ value: undefined }));
      const { value: end } = await Promise.race([lines.next(), timeout]);
      if (end === undefined) throw new Error(`${name}: messages were lost`);
      return { rate: rateOf(messages, start, Number(end)), cpu: (cpuTime(child.pid) - before) / messages };
    },
    peak: () => peakMemory(child.pid),
  };
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  return undefined;
}
