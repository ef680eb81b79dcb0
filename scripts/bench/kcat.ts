// kcat, from a file to Kafka directly: no forwarder between.
import type { Kafka } from "../../test/support/kafka.ts";
import { type Contender, rateOf } from "./contender.ts";
import { type Children, exitedWell } from "./processes.ts";
import { type BenchTopic, untilCounted } from "./topic.ts";

export const KCAT_INSTALL = "apt-get install kcat";

export interface Kcat {
  program: string;
  version: string;
}

export function findKcat(): Kcat | undefined {
  const program = Bun.which("kcat") ?? Bun.which("kafkacat");
  if (program === null) return undefined;
  const { stdout } = Bun.spawnSync([program, "-V"]);
  const [, version = "", library = ""] = /Version (\S+) .*librdkafka ([\d.]+)/.exec(stdout.toString()) ?? [];
  return { program, version: `${version} (librdkafka ${library})` };
}

interface Surroundings {
  kafka: Kafka;
  topic: BenchTopic;
  children: Children;
  messages: number;
}

/** The time counts from the start of its process to its end, when Kafka has acknowledged everything. */
export function kcat({ program }: Kcat, { kafka, topic, children, messages }: Surroundings, file: string): Contender {
  const name = "kcat, file to Kafka directly";
  let wanted = 0;
  let peak: number | undefined;
  return {
    name,
    async round() {
      wanted += messages;
      const start = performance.now();
      const child = children.spawn([program, "-P", "-b", kafka.bootstrap, "-t", topic.name, "-l", file]);
      await exitedWell(child, name);
      const end = performance.now();
      await untilCounted(topic.count, wanted, name);
      const used = child.resourceUsage();
      if (used !== undefined) peak = Math.max(peak ?? 0, used.maxRSS);
      return { rate: rateOf(messages, start, end), cpu: used && Number(used.cpuTime.total) / messages };
    },
    peak: () => peak,
  };
}
