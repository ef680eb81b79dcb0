// Who is compared with whom, and what that takes.
import { join } from "node:path";
import type { Kafka } from "../../test/support/kafka.ts";
import { bareLoop } from "./bare.ts";
import { bruceDatagrams, bruceLines } from "./bruce.ts";
import type { Contender, Missing } from "./contender.ts";
import { findKcat, KCAT_INSTALL, kcat } from "./kcat.ts";
import { writeLines } from "./messages.ts";
import type { ScenarioName } from "./options.ts";
import type { Children } from "./processes.ts";
import { findRsyslog, RSYSLOG_INSTALL, RSYSLOG_QUEUES, rsyslog } from "./rsyslog.ts";
import type { Sender } from "./sender.ts";
import { type BenchTopic, makeTopic } from "./topic.ts";

export interface BenchSurroundings {
  /** For files of the benchmark's own. */
  directory: string;
  children: Children;
  kafka: Kafka;
  /** In each round. */
  messages: number;
  sender: Sender;
  peers: ReturnType<typeof findPeers>;
}

export interface Scenario {
  contenders: Contender[];
  missing: Missing[];
  close(): Promise<void>;
}

/** Those who may not be on this machine. */
export function findPeers() {
  return { rsyslog: findRsyslog(), kcat: findKcat() };
}

export async function prepareScenario(name: ScenarioName, around: BenchSurroundings): Promise<Scenario> {
  switch (name) {
    case "datagrams":
      return await datagrams(around);
    case "lines":
      return await lines(around);
  }
}

async function datagrams(around: BenchSurroundings): Promise<Scenario> {
  const { kafka, sender, directory, children, messages } = around;
  const topic = await makeTopic(kafka, "datagrams");
  const inMemory = await makeTopic(kafka, "datagrams-memory");
  const contenders = [
    await bruceDatagrams({ ...around, topic }, sender, true),
    await bruceDatagrams({ ...around, topic: inMemory }, sender, false),
  ];
  const missing: Missing[] = [];
  const topics = [topic, inMemory];
  const program = around.peers.rsyslog;
  if (program === undefined) {
    missing.push({ name: "rsyslog", install: RSYSLOG_INSTALL });
  } else {
    for (const [at, queue] of RSYSLOG_QUEUES.entries()) {
      const own = await makeTopic(kafka, `rsyslog-${at}`);
      topics.push(own);
      contenders.push(await rsyslog(program, { ...around, topic: own }, sender, queue));
    }
  }
  contenders.push(await bareLoop(directory, children, sender, messages));
  return { contenders, missing, close: () => closeAll(children, topics) };
}

async function lines(around: BenchSurroundings): Promise<Scenario> {
  const { kafka, directory, children, messages } = around;
  const file = join(directory, "lines");
  await writeLines(file, messages);
  const topic = await makeTopic(kafka, "lines");
  const inMemory = await makeTopic(kafka, "lines-memory");
  const contenders = [
    await bruceLines({ ...around, topic }, file, true),
    await bruceLines({ ...around, topic: inMemory }, file, false),
  ];
  const missing: Missing[] = [];
  const topics = [topic, inMemory];
  const program = around.peers.kcat;
  if (program === undefined) {
    missing.push({ name: "kcat", install: KCAT_INSTALL });
  } else {
    const own = await makeTopic(kafka, "kcat");
    topics.push(own);
    contenders.push(kcat(program, { ...around, topic: own }, file));
  }
  return { contenders, missing, close: () => closeAll(children, topics) };
}

/** What one scenario leaves behind must not cost the next one anything. */
async function closeAll(children: Children, topics: BenchTopic[]): Promise<void> {
  await children.endAll();
  for (const topic of topics) await topic.close();
}
