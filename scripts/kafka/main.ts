// `npm run kafka -- [--nodes 3] [--version 3.9] [--set KEY=VALUE]…`: a real Kafka for trying things by hand, until Ctrl-C.
import { parseArgs } from "node:util";
import { startKafka } from "../../test/support/kafka.ts";

const usage = "npm run kafka -- [--nodes 1|3] [--version 4.1|3.9] [--topic NAME[:PARTITIONS]]… [--set KEY=VALUE]…";
const versions = { "4.1": "4.1.0", "4.1.0": "4.1.0", "3.9": "3.9.1", "3.9.1": "3.9.1" } as const;

const { values } = parseArgs({
  options: {
    nodes: { type: "string", default: "1" },
    version: { type: "string", default: "4.1" },
    topic: { type: "string", multiple: true, default: [] },
    set: { type: "string", multiple: true, default: [] },
    help: { type: "boolean", short: "h", default: false },
  },
});
const version = Object.entries(versions).find(([name]) => name === values.version)?.[1];
const nodes = ([1, 3] as const).find((count) => String(count) === values.nodes);

if (values.help) {
  console.log(`usage: ${usage}`);
} else if (version === undefined || nodes === undefined) {
  console.error(`usage: ${usage}`);
  process.exitCode = 2;
} else {
  const properties = Object.fromEntries(values.set.map((pair) => pair.split(/=(.*)/s).slice(0, 2) as [string, string]));
  const kafka = await startKafka({
    version,
    nodes,
    properties: { "auto.create.topics.enable": "true", ...properties },
  });
  for (const topic of values.topic) {
    const [name = "", partitions = "1"] = topic.split(":");
    await kafka.createTopic(name, Number(partitions), nodes);
  }
  for (const { id, host, port, pid } of kafka.brokers) console.error(`node ${id}: ${host}:${port}, pid ${pid}`);
  console.error(`Kafka ${version} runs until Ctrl-C`);
  console.log(kafka.bootstrap);
  await new Promise((resolve) => process.once("SIGINT", resolve).once("SIGTERM", resolve));
  await kafka.close();
}
