// Who is compared with whom, and what that takes.
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Kafka } from "../../test/support/kafka.ts";
import { bareLoop } from "./bare.ts";
import { bruceDatagrams, bruceLines } from "./bruce.ts";
import type { Contender, Missing } from "./contender.ts";
import { findKcat, KCAT_INSTALL, kcat } from "./kcat.ts";
import { writeLines } from "./messages.ts";
import type { ScenarioName } from "./options.ts";
import type { Children } from "./processes.ts";
import { findRsyslog, RSYSLOG_INSTALL, rsyslog } from "./rsyslog.ts";
import type { Sender } from "./sender.ts";
import { makeTopic } from "./topic.ts";

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
  /** bruce first, then the one it is compared with. */
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
  const bruce = await bruceDatagrams({ ...around, topic }, sender);
  const scenario: Scenario = {
    contenders: [bruce],
    missing: [],
    async close() {
      await bruce.close();
      await topic.close();
    },
  };
  const { rsyslog: program } = around.peers;
  if (program === undefined) {
    scenario.missing.push({ name: "rsyslog", install: RSYSLOG_INSTALL });
  } else {
    const peerTopic = await makeTopic(kafka, "rsyslog");
    const peer = await rsyslog(program, { ...around, topic: peerTopic }, sender);
    scenario.contenders.push(peer);
  }
  scenario.contenders.push(await bareLoop(directory, children, sender, messages));
  return scenario;
}

async function lines(around: BenchSurroundings): Promise<Scenario> {
  const { kafka, directory, messages } = around;
  const file = join(directory, "lines");
  await writeLines(file, messages);
  const topic = await makeTopic(kafka, "lines");
  const bruce = await bruceLines({ ...around, topic }, file);
  const scenario: Scenario = {
    contenders: [bruce],
    missing: [],
    async close() {
      await bruce.close();
      await topic.close();
      rmSync(file);
    },
  };
  const { kcat: program } = around.peers;
  if (program === undefined) scenario.missing.push({ name: "kcat", install: KCAT_INSTALL });
  else scenario.contenders.push(kcat(program, { ...around, topic: await makeTopic(kafka, "kcat") }, file));
  return scenario;
}
