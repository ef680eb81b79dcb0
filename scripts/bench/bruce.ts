// bruce between the sockets and Kafka, with the settings that it has by itself.
import type { DaemonStatus } from "../../src/observe/status.ts";
import { type Bruce, startBruce } from "../../test/support/bruce.ts";
import type { Kafka } from "../../test/support/kafka.ts";
import { BRUCE } from "../executable.ts";
import { type Contender, type Measured, rateOf } from "./contender.ts";
import { bruceDatagram } from "./messages.ts";
import { type Children, cpuTime, exitedWell, peakMemory } from "./processes.ts";
import type { Sender } from "./sender.ts";
import { type BenchTopic, untilCounted } from "./topic.ts";

interface Surroundings {
  kafka: Kafka;
  topic: BenchTopic;
  children: Children;
  /** In each round. */
  messages: number;
}

/** What a contender without the disk buffer has at the end of its name. */
export const MEMORY_ONLY = ", memory only";

/** `disk`: with the disk buffer, as by itself. */
export async function bruceDatagrams(around: Surroundings, sender: Sender, disk: boolean): Promise<Contender> {
  return await bruceContender("bruce", around, disk, async (bruce) => {
    const { content, digitsAt } = bruceDatagram(around.topic.name);
    return { start: await sender.send(bruce.sockets.datagram, around.messages, content, digitsAt) };
  });
}

/** The time counts from the start of the client's process. */
export async function bruceLines(around: Surroundings, file: string, disk: boolean): Promise<Contender> {
  return await bruceContender("bruce send to bruce serve", around, disk, async (bruce) => {
    const start = performance.timeOrigin + performance.now();
    const command = [BRUCE, "send", around.topic.name, "--socket", bruce.sockets.stream];
    const client = around.children.spawn(command, { stdin: Bun.file(file) });
    await exitedWell(client, "bruce send");
    const { cpuTime: used } = client.resourceUsage() ?? {};
    return { start, clientCpu: used === undefined ? undefined : Number(used.total) };
  });
}

/** `send` hands all messages over; the time of the first, and the CPU time of the client in microseconds. */
async function bruceContender(
  what: string,
  { kafka, topic, children, messages }: Surroundings,
  disk: boolean,
  send: (bruce: Bruce) => Promise<{ start: number; clientCpu?: number }>,
): Promise<Contender> {
  const name = disk ? what : `${what}${MEMORY_ONLY}`;
  const bruce = await startBruce({
    bootstrap: kafka.bootstrap,
    set: ['compression.codec="none"', 'input.datagram.when_full="block"', ...(disk ? [] : ["buffer.disk=0"])],
  });
  children.alsoEnd(() => bruce.close());
  let wanted = 0;
  return {
    name,
    async round(): Promise<Measured> {
      wanted += messages;
      const before = cpuTime(bruce.pid);
      const { start, clientCpu } = await send(bruce);
      const end = await untilCounted(async () => deliveredOf(await bruce.status()), wanted, name);
      const used = cpuTime(bruce.pid) - before;
      await untilCounted(topic.count, wanted, `${name}, in Kafka`);
      return {
        rate: rateOf(messages, start, end),
        cpu: used / messages,
        clientCpu: clientCpu === undefined ? undefined : clientCpu / messages,
      };
    },
    peak: () => peakMemory(bruce.pid),
  };
}

function deliveredOf({ ledger }: DaemonStatus): number {
  if (ledger.discarded > 0 || !ledger.balanced) {
    const why = JSON.stringify(ledger.discards_by_reason);
    throw new Error(`bruce lost messages: ${ledger.discarded} were discarded ${why}, balanced: ${ledger.balanced}`);
  }
  return ledger.delivered;
}

/** The line of `bruce --version`. */
export function bruceVersion(): string {
  return Bun.spawnSync([BRUCE, "--version"]).stdout.toString().trim();
}
