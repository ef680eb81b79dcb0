// Consumers that others wrote, as witnesses of what bruce writes: kcat (librdkafka) and Kafka's own console consumer (Java).
import { kafkaJars } from "./kafkaJars.ts";

export const KCAT_INSTALL = "apt-get install kcat";

/** A record as all consumers can show it, in texts without tabs and line breaks; a key that is null is "NULL". */
export interface ShownRecord {
  partition: number;
  offset: number;
  key: string;
  value: string;
}

export function findKcat(): string | undefined {
  return Bun.which("kcat") ?? Bun.which("kafkacat") ?? undefined;
}

/** All that the topic has, in the order of partitions and offsets. */
export async function readWithKcat(kcat: string, bootstrap: string, topic: string): Promise<ShownRecord[]> {
  // -e: ends at the end of the last partition. -Z: a null is not an empty string.
  const args = ["-C", "-b", bootstrap, "-t", topic, "-o", "beginning", "-e", "-q", "-Z", "-f", "%p\\t%o\\t%k\\t%s\\n"];
  const lines = await linesOf([kcat, ...args, "-X", "check.crcs=true"]);
  return inOrder(lines.map((line) => shown(line.split("\t"))));
}

/** `count` records of the topics that match the regular expression, in the order of partitions and offsets. */
export async function readWithJava(bootstrap: string, pattern: string, count: number): Promise<ShownRecord[]> {
  const printed = ["partition", "offset", "key", "value"].flatMap((part) => ["--property", `print.${part}=true`]);
  const lines = await linesOf([
    "java",
    ...["-XX:-UsePerfData", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"],
    ...["-cp", `${kafkaJars("4.1.0")}/*`, "org.apache.kafka.tools.consumer.ConsoleConsumer"],
    ...["--bootstrap-server", bootstrap, "--include", pattern, "--from-beginning", "--max-messages", String(count)],
    // Gives up when nothing comes for so long, ms.
    ...["--timeout-ms", "120000"],
    ...["--consumer-property", "check.crcs=true", "--property", "null.literal=NULL", ...printed],
  ]);
  return inOrder(lines.map((line) => shown(line.replace(/^Partition:(\d+)\tOffset:(\d+)\t/, "$1\t$2\t").split("\t"))));
}

function shown([partition, offset, key, value]: string[]): ShownRecord {
  if (key === undefined || value === undefined) throw new Error(`this is no record: ${partition} ${offset} ${key}`);
  return { partition: Number(partition), offset: Number(offset), key, value };
}

function inOrder(records: ShownRecord[]): ShownRecord[] {
  return records.sort((a, b) => a.partition - b.partition || a.offset - b.offset);
}

/** The lines of its output. Rejects with what it said when it fails. */
async function linesOf(command: string[]): Promise<string[]> {
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`${command[0]} exited with ${code}:\n${stderr}`);
  return stdout.split("\n").filter((line) => line !== "");
}
