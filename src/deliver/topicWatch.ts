// Makes topics follow what the cluster says of them: live, held or refused, as their settings want it.
import type { Settings } from "../config/settings.ts";
import { errorOf } from "../kafka/errors.ts";
import type { DiscardReason } from "../observe/discards.ts";
import type { Log } from "../observe/log.ts";
import type { Topic } from "../route/topic.ts";
import { heldByBroker } from "./answers.ts";
import type { Cluster, TopicState } from "./cluster.ts";
import type { Dispatcher } from "./dispatcher.ts";

export interface TopicWatchParts {
  /** Read when they are needed: they may change. */
  kafka: Pick<Settings["kafka"], "autoCreateTopics">;
  cluster: Cluster;
  dispatcher: Dispatcher;
  topic: (name: string) => Topic | undefined;
  /** What waits for the topic can move now. */
  drainWaiting: (topic: Topic) => void;
  log: Log;
}

const UNCLEAR = "Kafka does not say which partitions the topic has: can the brokers make it?";

/** What else can make a topic change its standing. */
export interface TopicWatch {
  /**
   * To be called after `topic.settings` was replaced. The new ones hold for all that was not sent yet: a held topic may have to
   * be given up, or a refused one be held; open batches are sent as the new limits may want it.
   */
  settingsChanged(topic: Topic): void;
}

/** Takes over each answer of the cluster. */
export function watchTopics(parts: TopicWatchParts): TopicWatch {
  const { cluster, dispatcher, topic: find } = parts;
  cluster.onChange = (names) => {
    const changed: Topic[] = [];
    for (const name of names) {
      const topic = find(name);
      if (topic === undefined) continue;
      follow(topic, cluster.topic(name), parts);
      changed.push(topic);
    }
    dispatcher.clusterChanged(changed);
  };
  return {
    settingsChanged(topic) {
      follow(topic, cluster.topic(topic.name), parts);
      // The deadlines of open batches are those of the settings before.
      topic.hurry();
      dispatcher.topicChanged(topic);
    },
  };
}

function follow(topic: Topic, state: TopicState, parts: TopicWatchParts): void {
  const { log, dispatcher, drainWaiting } = parts;
  const before = topic.standing;
  switch (state.kind) {
    case "unknown":
      return;
    case "known":
      topic.setPartitions(state.partitions);
      if (before.kind === "live" || heldByBroker(topic)) return;
      if (before.kind === "held" || before.kind === "refused")
        log.info("a topic can be written now", { topic: topic.name });
      topic.setStanding({ kind: "live" });
      break;
    case "unclear":
      if (before.kind === "held" && before.reason === UNCLEAR) return;
      log.warn("a topic is held", { topic: topic.name, why: UNCLEAR, error: errorOf(state.errorCode).name });
      topic.setStanding({ kind: "held", by: "metadata", reason: UNCLEAR });
      return;
    case "missing":
    case "forbidden": {
      const unknown = state.kind === "missing";
      const policy = unknown ? topic.settings.unknownTopic : topic.settings.unauthorizedTopic;
      const reason = whyHeld(state.kind, parts.kafka);
      if (policy === "hold") {
        if (before.kind === "held" && before.reason === reason) return;
        log.warn("a topic is held", { topic: topic.name, why: reason });
        topic.setStanding({ kind: "held", by: "metadata", reason });
        return;
      }
      const discard = unknown ? "unknown_topic" : "unauthorized_topic";
      if (before.kind === "refused" && before.discard === discard) return;
      log.warn("messages of a topic are discarded, as its settings say", { topic: topic.name, why: reason });
      refuse(topic, discard, dispatcher);
      break;
    }
    case "invalid":
      refuse(topic, "bad_topic", dispatcher);
      break;
  }
  drainWaiting(topic);
}

/** With what to do. */
function whyHeld(kind: "missing" | "forbidden", { autoCreateTopics }: TopicWatchParts["kafka"]): string {
  if (kind === "forbidden") return "not allowed to see the topic: grant DESCRIBE and WRITE on it";
  if (!autoCreateTopics) return "the topic does not exist: create it, or set kafka.auto_create_topics";
  return "the topic does not exist, and the brokers do not make it: create it, or set auto.create.topics.enable there";
}

/** Gives up what the topic has, and what will come. */
function refuse(topic: Topic, reason: DiscardReason, dispatcher: Dispatcher): void {
  topic.setStanding({ kind: "refused", discard: reason });
  dispatcher.discardTopic(topic, reason);
}
