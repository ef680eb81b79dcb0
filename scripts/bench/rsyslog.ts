// rsyslog between a datagram socket and Kafka (imuxsock to omkafka), set up so that it neither drops nor limits anything:
// with a queue between its threads, or with none, where one thread does it all. Which is faster depends on the machine.
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Kafka } from "../../test/support/kafka.ts";
import { type Contender, rateOf } from "./contender.ts";
import { syslogDatagram } from "./messages.ts";
import { type Children, cpuTime, peakMemory } from "./processes.ts";
import type { Sender } from "./sender.ts";
import { type BenchTopic, untilCounted } from "./topic.ts";

export const RSYSLOG_INSTALL = "apt-get install rsyslog rsyslog-kafka";

/**
 * By themselves its queues would drop what finds them full for 2 s. Larger batches than the default are faster.
 */
const QUEUES = {
  queue: 'queue.type="FixedArray" queue.size="200000" queue.dequeueBatchSize="4096" queue.timeoutEnqueue="600000"',
  "no queue": 'queue.type="Direct"',
};
export type RsyslogQueue = keyof typeof QUEUES;
export const RSYSLOG_QUEUES = Object.keys(QUEUES) as RsyslogQueue[];

export interface Rsyslog {
  program: string;
  version: string;
}

/** undefined when it, or its module for Kafka, is not on this machine. */
export function findRsyslog(): Rsyslog | undefined {
  // Not in the PATH of everyone.
  const program = Bun.which("rsyslogd", { PATH: `${process.env.PATH}:/usr/sbin:/sbin` });
  if (program === null) return undefined;
  const check = Bun.spawnSync([program, "-N1", "-f", "/dev/stdin"], {
    stdin: Buffer.from(
      'module(load="imuxsock" SysSock.Use="off")\nmodule(load="omkafka")\naction(type="omkafka" topic="t")\n',
    ),
    stderr: "pipe",
  });
  if (check.stderr.toString().includes("could not load module")) return undefined;
  const version = Bun.spawnSync([program, "-v"]).stdout.toString().split(/\s+/, 2)[1] ?? "";
  return { program, version };
}

interface Surroundings {
  directory: string;
  kafka: Kafka;
  topic: BenchTopic;
  children: Children;
  messages: number;
}

export async function rsyslog(
  { program }: Rsyslog,
  { directory, kafka, topic, children, messages }: Surroundings,
  sender: Sender,
  queue: RsyslogQueue,
): Promise<Contender> {
  const own = join(directory, topic.name);
  mkdirSync(own);
  const socket = join(own, "log");
  const file = join(own, "rsyslog.conf");
  writeFileSync(file, configuration(own, socket, kafka.bootstrap, topic.name, QUEUES[queue]));
  const child = children.spawn([program, "-n", "-f", file, "-i", join(own, "pid")]);
  while (!existsSync(socket)) {
    if (child.exitCode !== null) throw new Error("rsyslogd ended before it was ready");
    await Bun.sleep(20); // it tells nobody when it is
  }
  const name = `rsyslog, imuxsock to omkafka, ${queue}`;
  let wanted = 0;
  return {
    name,
    async round() {
      wanted += messages;
      const { content, digitsAt } = syslogDatagram();
      const before = cpuTime(child.pid);
      const start = await sender.send(socket, messages, content, digitsAt);
      const end = await untilCounted(topic.count, wanted, name);
      return { rate: rateOf(messages, start, end), cpu: (cpuTime(child.pid) - before) / messages };
    },
    peak: () => peakMemory(child.pid),
  };
}

/**
 * Its defaults would limit the rate of one process, and rest for 30 s when librdkafka's queue is full: neither may happen
 * here.
 */
function configuration(directory: string, socket: string, bootstrap: string, topic: string, queue: string): string {
  return `global(workDirectory="${directory}")
main_queue(${queue})
module(load="imuxsock" SysSock.Use="off")
module(load="omkafka")
template(name="message" type="string" string="%msg%")
input(type="imuxsock" Socket="${socket}" RateLimit.Interval="0")
action(type="omkafka" broker=["${bootstrap}"] topic="${topic}" template="message" partitions.auto="on"
  resubmitOnFailure="on" action.resumeInterval="1" action.resumeRetryCount="-1"
  confParam=["queue.buffering.max.messages=1000000", "compression.codec=none", "acks=all"])
`;
}
