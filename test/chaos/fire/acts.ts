// What is done to Kafka, and to bruce.
import type { TopicStatus } from "../../../src/observe/status.ts";
import { type Act, bystandersOf, type Scene, type Stage } from "./stage.ts";
import { BYSTANDERS, createFireTopic, TOPICS } from "./topics.ts";

/** `down`: how long it is away after its leaders moved, ms. `bruceToo`: bruce is killed as well, while it is away. */
export function killBroker(id: number, { down = 0, bruceToo = false } = {}): Act {
  return {
    name: bruceToo ? "kill -9 of a broker, and of bruce" : "kill -9 of a broker",
    bystanders: bystandersOf(id),
    async play(scene) {
      const { stage, milestone, returning, withBruce } = scene;
      const { cluster } = stage;
      await cluster.kafka.kill(id);
      if (bruceToo) {
        withBruce();
        await stage.killBruce();
      }
      await cluster.ledByOthers(id, stage.topics);
      milestone("others led");
      await Bun.sleep(down);
      returning();
      await cluster.kafka.start(id);
      await backInStep(scene);
    },
  };
}

/** Stopped for `frozen` ms: its connections stay open, and nothing is answered. */
export function freezeBroker(id: number, frozen: number): Act {
  return {
    name: `a broker frozen for ${frozen / 1000} s`,
    bystanders: bystandersOf(id),
    async play(scene) {
      const { stage, milestone, returning } = scene;
      const { cluster } = stage;
      cluster.freeze(id);
      const thawed = Bun.sleep(frozen);
      try {
        await cluster.ledByOthers(id, stage.topics);
        milestone("others led");
        await thawed;
      } finally {
        returning();
        cluster.thaw(id);
      }
      await backInStep(scene);
    },
  };
}

/** Every leader of three topics to the next replica, `times` times. */
export function moveLeaders(times: number): Act {
  return {
    name: `leaders moved ${times} times`,
    bystanders: BYSTANDERS,
    async play({ stage, milestone }) {
      const moving = [TOPICS.keyed, TOPICS.hashed, TOPICS.any].map(({ name }) => stage.topic(name));
      for (let time = 0; time < times; time++) {
        await stage.cluster.rotate(moving);
        milestone("leaders moved");
        await Bun.sleep(1000); // for what the next move interrupts to be going on
      }
    },
  };
}

export function addPartitions(total: number): Act {
  const { growing } = TOPICS;
  return {
    name: `${growing.replicas.length} partitions made ${total}`,
    aims: [growing],
    bystanders: BYSTANDERS,
    async play({ stage, milestone }) {
      await stage.cluster.kafka.addPartitions(growing.name, total);
      milestone("Kafka had them");
    },
  };
}

/** `gap`: how long there is no such topic, ms; with 0 it is made again at once. Each of the two once in a fire. */
export function remakeTopic(gap: number): Act {
  const topic = gap === 0 ? TOPICS.remade : TOPICS.remadeLater;
  return {
    name: gap === 0 ? "a topic deleted, made again at once" : `a topic deleted, made again after ${gap / 1000} s`,
    aims: [topic],
    bystanders: BYSTANDERS,
    async play({ stage, milestone }) {
      await stage.cluster.kafka.deleteTopic(topic.name);
      const gone = stage.mark();
      const over = Bun.sleep(gap);
      stage.remade.set(topic.name, {
        gone,
        delivered: gap === 0 ? undefined : await deliveredInAll(stage, topic.name),
      });
      await over;
      await createFireTopic(stage.cluster.kafka, topic);
      milestone("made again");
    },
  };
}

/** In good order, one after the other. */
export function rollingRestart(): Act {
  return {
    name: "all brokers restarted, one after the other",
    async play(scene) {
      const { stage, milestone, returning } = scene;
      const { cluster } = stage;
      for (const { id } of cluster.kafka.brokers) {
        await cluster.kafka.stop(id);
        returning();
        await cluster.kafka.start(id);
        await cluster.whole(stage.topics);
        milestone("one was back");
      }
      await cluster.elect(stage.topics);
      milestone("whole");
    },
  };
}

/** kill -9 of all, which are then away for `away` ms. */
export function allDown(away: number, { bruceToo = false } = {}): Act {
  return {
    name: `all brokers down for ${away / 1000} s${bruceToo ? ", and bruce killed meanwhile" : ""}`,
    async play(scene) {
      const { stage, returning, withBruce } = scene;
      const { kafka } = stage.cluster;
      await Promise.all(kafka.brokers.map(({ id }) => kafka.kill(id)));
      const over = Bun.sleep(away);
      if (bruceToo) {
        withBruce();
        await stage.killBruce();
      }
      await over;
      returning();
      await Promise.all(kafka.brokers.map(({ id }) => kafka.start(id)));
      await backInStep(scene);
    },
  };
}

async function backInStep({ stage, milestone }: Scene): Promise<void> {
  await stage.cluster.whole(stage.topics);
  await stage.cluster.elect(stage.topics);
  milestone("whole");
}

/** What bruce has delivered to the topic, when that grows no more because there is no such topic. */
async function deliveredInAll({ bruce }: Stage, name: string): Promise<number> {
  const delivered = async () =>
    (await bruce.status()).topics.find((topic: TopicStatus) => topic.name === name)?.delivered ?? 0;
  let before = -1;
  for (let now = await delivered(); now !== before; now = await delivered()) {
    before = now;
    await Bun.sleep(1000); // that nothing comes any more has no event
  }
  return before;
}
