import { describe, expect, test } from "bun:test";
import type { AnswerSource } from "../../src/deliver/clusterTopic.ts";
import { ClusterTopics } from "../../src/deliver/clusterTopics.ts";
import type { MetadataTopic } from "../../src/kafka/metadata.ts";

const MISSING = 3;
const LEADER_NOT_AVAILABLE = 5;
const INVALID = 17;
const FORBIDDEN = 29;
const INVALID_REPLICATION_FACTOR = 38;

const answer = (name: string, errorCode: number, leaders: number[] = []): MetadataTopic => ({
  errorCode,
  name,
  partitions: leaders.map((leader, id) => ({ errorCode: leader < 0 ? 5 : 0, id, leader, leaderEpoch: 1 })),
});
const from = (brokerId: number | undefined, ...brokerIds: number[]): AnswerSource => ({
  brokerId,
  brokerIds: new Set(brokerIds),
});

/** Without jitter: every wait is the least that it may be. */
function topicsOf({ autoCreate = false, seen = [] as string[], random = () => 0 } = {}) {
  return new ClusterTopics({ kafka: { autoCreateTopics: autoCreate }, topicsSeen: seen, random });
}

/** One topic "t" in a cluster of brokers 1, 2 and 3, at time 0. */
function oneTopic({ autoCreate = false, brokers = [1, 2, 3], seen = [] as string[] } = {}) {
  const topics = topicsOf({ autoCreate, seen });
  topics.want("t", 0);
  return {
    topics,
    /** Asks if it is due, and has broker `brokerId` answer. */
    ask(now: number, errorCode: number, brokerId: number | undefined = brokers[0], leaders: number[] = []) {
      const ask = topics.take(now, 100, brokers.length);
      expect(ask.names).toEqual(["t"]);
      const changed = topics.answered(ask.names, [answer("t", errorCode, leaders)], from(brokerId, ...brokers), now);
      return { ask, changed: changed.has("t"), state: topics.state("t"), wait: topics.nextDue() - now };
    },
  };
}

describe("a topic that exists", () => {
  test("is known by its partitions in ascending order, and not asked for again by itself", () => {
    const topics = topicsOf();
    topics.want("t", 0);
    expect(topics.state("t")).toEqual({ kind: "unknown" });
    const { names } = topics.take(0, 100, 3);
    const { partitions } = answer("t", 0, [2, 3, 1]);
    const shuffled = { ...answer("t", 0), partitions: partitions.toReversed() };
    expect(topics.answered(names, [shuffled], from(1, 1, 2, 3), 0)).toEqual(new Set(["t"]));
    expect(topics.state("t")).toEqual({
      kind: "known",
      partitions: [
        { id: 0, leader: 2 },
        { id: 1, leader: 3 },
        { id: 2, leader: 1 },
      ],
    });
    expect(topics.nextDue()).toBe(Number.POSITIVE_INFINITY);
  });

  test("is told as changed only when something changed, and keeps its state's identity", () => {
    const { topics, ask } = oneTopic();
    expect(ask(0, 0, 1, [1, 2]).changed).toBe(true);
    const before = topics.state("t");
    topics.refresh(10);
    expect(ask(10, 0, 1, [1, 2]).changed).toBe(false);
    expect(topics.state("t")).toBe(before);
    topics.refresh(20);
    expect(ask(20, 0, 1, [2, 2]).changed).toBe(true);
    topics.refresh(30);
    expect(ask(30, 0, 1, [2, 2, 1]).changed).toBe(true);
  });

  test("with a partition without a leader is asked for again soon, and less soon with time", () => {
    const { topics, ask } = oneTopic();
    let now = 0;
    const waits: number[] = [];
    for (let n = 0; n < 6; n++) {
      const { wait, state } = ask(now, 0, 1, [1, -1]);
      expect(state).toEqual({
        kind: "known",
        partitions: [
          { id: 0, leader: 1 },
          { id: 1, leader: -1 },
        ],
      }); // prettier-ignore
      waits.push(wait);
      now += wait;
    }
    expect(waits).toEqual([250, 500, 1000, 2000, 2000, 2000]);
    expect(ask(now, 0, 1, [1, 2]).wait).toBe(Number.POSITIVE_INFINITY);
    topics.refresh(now);
    expect(ask(now, 0, 1, [1, -1]).wait).toBe(250);
  });

  test("led by a broker that the answer does not name counts as without a leader", () => {
    const { state } = oneTopic({ brokers: [1, 2] }).ask(0, 0, 1, [1, 9]);
    expect(state).toMatchObject({ partitions: [{ leader: 1 }, { leader: -1 }] });
  });
});

describe("a topic never seen", () => {
  test("is missing when fresh metadata says so, and asked for every 5 s, in the long run every 30 s", () => {
    const { ask } = oneTopic();
    expect(ask(0, MISSING)).toMatchObject({ changed: true, state: { kind: "missing", since: 0 }, wait: 5_000 });
    expect(ask(5_000, MISSING)).toMatchObject({ changed: false, state: { since: 0 }, wait: 5_000 });
    expect(ask(60_000, MISSING).wait).toBe(15_000);
    expect(ask(600_000, MISSING).wait).toBe(30_000);
  });

  test("is known as soon as it is made", () => {
    const { ask } = oneTopic();
    ask(0, MISSING);
    expect(ask(5_000, 0, 1, [1])).toMatchObject({ changed: true, state: { kind: "known" } });
  });

  test("and being made is not missing: it is asked for again soon", () => {
    const { ask } = oneTopic();
    expect(ask(0, LEADER_NOT_AVAILABLE)).toMatchObject({ changed: false, state: { kind: "unknown" }, wait: 250 });
    expect(ask(250, LEADER_NOT_AVAILABLE).wait).toBe(500);
    expect(ask(750, 0, 1, [1])).toMatchObject({ changed: true, state: { kind: "known" } });
  });

  test("that the broker is to make gets 10 s before it is missing", () => {
    const { ask } = oneTopic({ autoCreate: true });
    expect(ask(0, MISSING)).toMatchObject({ state: { kind: "unknown" }, wait: 250 });
    expect(ask(9_999, MISSING).state.kind).toBe("unknown");
    expect(ask(12_000, MISSING)).toMatchObject({ changed: true, state: { kind: "missing" }, wait: 5_000 });
  });

  test("may be forbidden or invalid", () => {
    expect(oneTopic().ask(0, FORBIDDEN)).toMatchObject({
      changed: true,
      state: { kind: "forbidden", errorCode: FORBIDDEN, since: 0 },
      wait: 5_000,
    });
    expect(oneTopic().ask(0, INVALID)).toMatchObject({ state: { kind: "invalid", errorCode: INVALID }, wait: 5_000 });
  });

  test("answered with an error that says nothing of it stays unknown", () => {
    expect(oneTopic().ask(0, -1)).toMatchObject({ changed: false, state: { kind: "unknown" }, wait: 250 });
    expect(oneTopic().ask(0, 0)).toMatchObject({ changed: false, state: { kind: "unknown" } });
  });

  test("that is answered for with nothing of use for 10 s is unclear from then on, until it is known", () => {
    const { topics, ask } = oneTopic({ autoCreate: true });
    for (let now = 0; now < 10_000; now += topics.nextDue() - now) ask(now, INVALID_REPLICATION_FACTOR);
    const now = topics.nextDue();
    expect(ask(now, INVALID_REPLICATION_FACTOR)).toMatchObject({
      changed: true,
      state: { kind: "unclear" },
      wait: 5_000,
    });
    expect(ask(now + 5_000, LEADER_NOT_AVAILABLE)).toMatchObject({ changed: false, state: { kind: "unclear" } });
    expect(ask(now + 10_000, 0, 1, [1])).toMatchObject({ changed: true, state: { kind: "known" } });
    topics.refresh(now + 20_000);
    expect(ask(now + 20_000, LEADER_NOT_AVAILABLE)).toMatchObject({ changed: false, state: { kind: "known" } });
  });

  test("has its 10 s from the first answer on, however long the cluster was away before", () => {
    const { topics, ask } = oneTopic({ autoCreate: true });
    topics.failed(topics.take(0, 100, 0).names, 60_000);
    expect(ask(60_000, MISSING)).toMatchObject({ changed: false, state: { kind: "unknown" } });
  });

  test("left out of the answer stays unknown and is asked for again", () => {
    const topics = topicsOf();
    topics.want("t", 0);
    topics.answered(topics.take(0, 100, 1).names, [answer("other", 0, [1])], from(1, 1), 0);
    expect(topics.state("t")).toEqual({ kind: "unknown" });
    expect(topics.nextDue()).toBe(250);
    expect(topics.state("other")).toEqual({ kind: "unknown" });
  });
});

describe("a topic seen before", () => {
  test("a broker that lags behind is contradicted by the next answer", () => {
    const { topics, ask } = oneTopic();
    ask(0, 0, 1, [1]);
    topics.refresh(1_000);
    expect(ask(1_000, MISSING, 1)).toMatchObject({ changed: false, state: { kind: "known" }, wait: 5_000 });
    expect(ask(6_000, 0, 1, [1])).toMatchObject({ changed: false, wait: Number.POSITIVE_INFINITY });
    topics.refresh(70_000);
    expect(ask(70_000, MISSING, 2)).toMatchObject({ state: { kind: "known" } });
  });

  test("is missing when two brokers say so 60 s apart, never by the word of one: another is asked for", () => {
    const { topics, ask } = oneTopic();
    ask(0, 0, 1, [1]);
    topics.refresh(1_000);
    let now = 1_000;
    for (; now < 61_000; now += 5_000) expect(ask(now, MISSING, 1).ask.confirm).toBeUndefined();
    expect(ask(now, MISSING, 1)).toMatchObject({ ask: { confirm: { notFrom: 1 } }, state: { kind: "known" } });
    now += 5_000;
    expect(ask(now, MISSING, 2)).toMatchObject({ changed: true, state: { kind: "missing", since: now } });
  });

  test("two brokers less than 60 s apart are not enough", () => {
    const { topics, ask } = oneTopic();
    ask(0, 0, 1, [1]);
    topics.refresh(1_000);
    ask(1_000, MISSING, 1);
    expect(ask(60_999, MISSING, 2).state.kind).toBe("known");
    expect(ask(65_999, MISSING, 2).state.kind).toBe("missing");
  });

  test("in a cluster of one broker: twice, 60 s apart", () => {
    const { topics, ask } = oneTopic({ brokers: [1] });
    ask(0, 0, 1, [1]);
    topics.refresh(1_000);
    expect(ask(1_000, MISSING, 1).state.kind).toBe("known");
    expect(ask(60_000, MISSING, 1).state.kind).toBe("known");
    expect(ask(65_000, MISSING, 1)).toMatchObject({ ask: { names: ["t"] }, state: { kind: "missing" } });
  });

  test("a broker of which we do not know who it is counts for nothing", () => {
    const { topics, ask } = oneTopic();
    ask(0, 0, 1, [1]);
    topics.refresh(1_000);
    ask(1_000, MISSING, undefined);
    expect(ask(61_000, MISSING, 1).state.kind).toBe("known");
    expect(ask(121_000, MISSING, undefined).state.kind).toBe("known");
    expect(ask(126_000, MISSING, 2).state.kind).toBe("missing");
  });

  test("is forbidden as soon as one broker says so", () => {
    const { topics, ask } = oneTopic();
    ask(0, 0, 1, [1]);
    topics.refresh(1_000);
    expect(ask(1_000, FORBIDDEN)).toMatchObject({ changed: true, state: { kind: "forbidden" } });
    expect(ask(6_000, 0, 1, [1])).toMatchObject({ changed: true, state: { kind: "known" } });
  });
});

describe("a topic seen before a restart", () => {
  test("is unclear when one broker says that it is gone, and missing when another says so 60 s later", () => {
    const { topics, ask } = oneTopic({ seen: ["t", "other"] });
    expect(ask(0, MISSING, 1)).toMatchObject({ changed: true, state: { kind: "unclear", errorCode: MISSING } });
    expect(ask(5_000, MISSING, 2)).toMatchObject({ changed: false, state: { kind: "unclear" } });
    expect(topics.seen()).toEqual(["t", "other"]);
    expect(ask(60_000, MISSING, 2)).toMatchObject({ ask: { confirm: { notFrom: 1 } }, state: { kind: "missing" } });
    expect(topics.seen()).toEqual(["other"]);
  });

  test("is known again as soon as one broker knows it", () => {
    const { topics, ask } = oneTopic({ seen: ["t"] });
    ask(0, MISSING, 1);
    expect(ask(5_000, 0, 2, [2])).toMatchObject({ changed: true, state: { kind: "known" } });
    expect(topics.seen()).toEqual(["t"]);
  });

  test("gets its time when the broker makes topics", () => {
    const { ask } = oneTopic({ seen: ["t"], autoCreate: true });
    expect(ask(0, MISSING, 1).state.kind).toBe("unknown");
    expect(ask(10_000, MISSING, 1).state.kind).toBe("unclear");
  });

  test("is remembered for the next one, wanted or not", () => {
    const { topics, ask } = oneTopic({ seen: ["other"] });
    expect(topics.seen()).toEqual(["other"]);
    ask(0, 0, 1, [1]);
    expect(topics.seen()).toEqual(["t", "other"]);
    topics.forget("t");
    expect(topics.seen().toSorted()).toEqual(["other", "t"]);
  });
});

describe("asking", () => {
  test("puts all that is due into one request, up to the most, and the rest into the next", () => {
    const topics = topicsOf();
    for (let n = 0; n < 250; n++) topics.want(`t${n}`, 0);
    topics.want("later", 50);
    expect(topics.take(0, 100, 1).names).toHaveLength(100);
    expect(topics.take(0, 100, 1).names).toHaveLength(100);
    expect(topics.take(0, 100, 1).names).toHaveLength(50);
    expect(topics.take(0, 100, 1).names).toEqual([]);
    expect(topics.nextDue()).toBe(50);
  });

  test("without an answer makes them due again", () => {
    const topics = topicsOf();
    topics.want("t", 0);
    const { names } = topics.take(0, 100, 1);
    topics.failed(names, 30);
    expect(topics.nextDue()).toBe(30);
  });

  test("a refresh spares what is not there for 5 s after it was asked for", () => {
    const topics = topicsOf();
    for (const name of ["here", "gone", "secret"]) topics.want(name, 0);
    const { names } = topics.take(0, 100, 1);
    const answers = [answer("here", 0, [1]), answer("gone", MISSING), answer("secret", FORBIDDEN)];
    topics.answered(names, answers, from(1, 1), 0);
    topics.refresh(100);
    expect(topics.take(100, 100, 1).names).toEqual(["here"]);
    topics.refresh(5_000);
    expect(topics.take(5_000, 100, 1).names.toSorted()).toEqual(["gone", "here", "secret"]);
  });

  test("a refresh wanted while the answer is under way is not lost", () => {
    const topics = topicsOf();
    topics.want("t", 0);
    const { names } = topics.take(0, 100, 1);
    topics.refresh(5);
    topics.answered(names, [answer("t", 0, [1])], from(1, 1), 6);
    expect(topics.nextDue()).toBe(5);
  });

  test("a topic forgotten is asked for no more, whatever is under way", () => {
    const topics = topicsOf();
    topics.want("t", 0);
    const { names } = topics.take(0, 100, 1);
    topics.forget("t");
    expect(topics.answered(names, [answer("t", 0, [1])], from(1, 1), 1).size).toBe(0);
    expect(topics.state("t")).toEqual({ kind: "unknown" });
    topics.failed(names, 1);
    expect(topics.nextDue()).toBe(Number.POSITIVE_INFINITY);
  });
});
