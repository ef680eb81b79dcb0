// Every error that Kafka is known to answer, answered by a broker: once, several times, for ever, with and without having
// the batch. What must hold is said for each action; which action a code has is said here a second time, so that no row of
// the table can come or change unproven.
import { describe, expect, test } from "bun:test";
import type { Settings } from "../../src/config/settings.ts";
import type { Fault, FaultChoice, FaultRule } from "../../src/dev/faults.ts";
import { CLASSIFIED_CODES, type ErrorAction, errorOf, type Written } from "../../src/kafka/errors.ts";
import { numbered, type TestPipeline, testPipeline } from "../support/testPipeline.ts";

const EXPECTED: Record<string, [action: ErrorAction, written: Written]> = {
  NONE: ["success", "no"],
  DUPLICATE_SEQUENCE_NUMBER: ["success", "no"],
  UNKNOWN_SERVER_ERROR: ["retry", "perhaps"],
  CORRUPT_MESSAGE: ["retry", "no"],
  REQUEST_TIMED_OUT: ["retry", "perhaps"],
  NETWORK_EXCEPTION: ["retry", "perhaps"],
  COORDINATOR_LOAD_IN_PROGRESS: ["retry", "no"],
  COORDINATOR_NOT_AVAILABLE: ["retry", "no"],
  NOT_COORDINATOR: ["retry", "no"],
  NOT_ENOUGH_REPLICAS: ["retry", "no"],
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: ["retry", "perhaps"],
  NOT_CONTROLLER: ["retry", "no"],
  CONCURRENT_TRANSACTIONS: ["retry", "no"],
  KAFKA_STORAGE_ERROR: ["retry", "perhaps"],
  THROTTLING_QUOTA_EXCEEDED: ["retry", "no"],
  UNKNOWN_TOPIC_OR_PARTITION: ["refresh", "acks all"],
  LEADER_NOT_AVAILABLE: ["refresh", "acks all"],
  NOT_LEADER_OR_FOLLOWER: ["refresh", "acks all"],
  BROKER_NOT_AVAILABLE: ["refresh", "acks all"],
  REPLICA_NOT_AVAILABLE: ["refresh", "acks all"],
  LISTENER_NOT_FOUND: ["refresh", "acks all"],
  FENCED_LEADER_EPOCH: ["refresh", "acks all"],
  UNKNOWN_LEADER_EPOCH: ["refresh", "acks all"],
  UNKNOWN_TOPIC_ID: ["refresh", "acks all"],
  INCONSISTENT_TOPIC_ID: ["refresh", "acks all"],
  REBOOTSTRAP_REQUIRED: ["refresh", "acks all"],
  MESSAGE_TOO_LARGE: ["split", "no"],
  RECORD_LIST_TOO_LARGE: ["split", "no"],
  INVALID_TIMESTAMP: ["records", "no"],
  INVALID_RECORD: ["records", "no"],
  OUT_OF_ORDER_SEQUENCE_NUMBER: ["renew", "no"],
  INVALID_PRODUCER_EPOCH: ["renew", "no"],
  UNKNOWN_PRODUCER_ID: ["renew", "no"],
  INVALID_TOPIC_EXCEPTION: ["discard", "no"],
  INVALID_REQUIRED_ACKS: ["hold", "no"],
  TOPIC_AUTHORIZATION_FAILED: ["hold", "no"],
  CLUSTER_AUTHORIZATION_FAILED: ["hold", "no"],
  UNSUPPORTED_SASL_MECHANISM: ["hold", "no"],
  ILLEGAL_SASL_STATE: ["hold", "no"],
  UNSUPPORTED_VERSION: ["hold", "no"],
  INVALID_REQUEST: ["hold", "no"],
  UNSUPPORTED_FOR_MESSAGE_FORMAT: ["hold", "no"],
  POLICY_VIOLATION: ["hold", "no"],
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: ["hold", "no"],
  SECURITY_DISABLED: ["hold", "no"],
  SASL_AUTHENTICATION_FAILED: ["hold", "no"],
  UNSUPPORTED_COMPRESSION_TYPE: ["hold", "no"],
  PRODUCER_FENCED: ["hold", "no"],
};

/** One that nobody has listed stands for all of those. */
const UNLISTED = 30_000;
const COUNT = 30;
const values = numbered(COUNT).map(({ value }) => value);

test("the table has these rows, and each means what is proven here", () => {
  const rows = CLASSIFIED_CODES.map((code) => errorOf(code));
  expect(Object.fromEntries(rows.map(({ name, action, written }) => [name, [action, written]]))).toEqual(EXPECTED);
  expect(errorOf(UNLISTED)).toMatchObject({ action: "hold", written: "perhaps" });
});

type Times = 1 | 3 | "for ever";
const ALL_TIMES: readonly Times[] = [1, 3, "for ever"];

/** All of it runs at once, and what the broker answers must not come too late for that. */
function patient(settings: Settings): void {
  settings.kafka.requestTimeout = 30_000;
}

/** A pipeline whose broker answers `fault` to what comes for the topic "t", so often; messages for "t" are sent. */
async function faulty(times: Times, fault: FaultChoice, change?: (settings: Settings) => void) {
  const it = await testPipeline((settings) => {
    patient(settings);
    change?.(settings);
  });
  for (const topic of ["t", "other"]) it.broker.createTopic(topic);
  const rule = it.broker.faults.times(
    times === "for ever" ? Number.POSITIVE_INFINITY : times,
    { api: "Produce", topic: "t" },
    fault,
  );
  it.send(...numbered(COUNT));
  return { it, rule };
}

const only = [{ topic: "t" }];

/** While "t" gets nowhere: other topics do, nothing is lost, it takes no more memory, and there is time between attempts. */
async function getsNowhere(it: TestPipeline, rule: FaultRule): Promise<void> {
  await rule.hit;
  const begin = performance.now();
  await it.until(() => rule.hits >= 3);
  const memory = it.pipeline.around.memory.used + it.pipeline.around.heldMemory.used;
  await goesOn(it);
  await it.until(() => rule.hits >= 7);
  // Between half of the longest backoff (50 ms) and all of it lies between two attempts, but for the first few.
  expect(rule.hits).toBeLessThanOrEqual(8 + (performance.now() - begin) / 22);
  expect(it.pipeline.around.memory.used + it.pipeline.around.heldMemory.used).toBeLessThanOrEqual(memory + 4096);
  expect(it.balance()).toEqual({ received: COUNT + 20, delivered: 20, held: COUNT, discarded: 0, agrees: true });
}

/** What comes for another topic is delivered. */
async function goesOn(it: TestPipeline): Promise<void> {
  it.send(...numbered(20, { topic: "other" }));
  await it.until(() => it.values("other").length === 20);
  await it.until(() => (it.pipeline.topics.get("other")?.account.delivered ?? 0) === 20);
}

/** All of "t" is in Kafka `copies` times, the books agree, and `twice` messages are on record as possible duplicates. */
async function arrives(it: TestPipeline, twice = 0, copies = 1): Promise<void> {
  await it.settled();
  const found = it.values();
  expect(found.toSorted()).toEqual(Array(copies).fill(values).flat().toSorted());
  if (copies === 1) expect(found).toEqual(values);
  expect(it.discards).toEqual([]);
  expect(it.balance()).toMatchObject({ held: 0, discarded: 0, agrees: true });
  expect(it.pipeline.ledger.total.possibleDuplicates).toBe(twice);
}

const plain = (acks: "all" | 1) => (settings: Settings) => {
  settings.kafka.idempotence = false;
  settings.kafka.acks = acks;
};

/** Sent again as it was, until it is taken. */
async function sentAgain(code: number, times: Times, append: boolean): Promise<void> {
  const { it, rule } = await faulty(times, { kind: "error", code, only, append });
  await using _ = it;
  if (times === "for ever") {
    await getsNowhere(it, rule);
    rule.remove();
  }
  const metadata = it.broker.requests.Metadata;
  await rule.hit;
  await arrives(it);
  if (times === 3) expect(rule.hits).toBe(3);
  if (errorOf(code).action !== "refresh") return;
  await it.until(() => it.broker.requests.Metadata > (times === "for ever" ? 1 : Math.min(metadata, 1)));
}

/** Without idempotence: there as often as the broker took it, and on record if it may be there more than once. */
async function onRecord(code: number, acks: "all" | 1): Promise<void> {
  const { written } = errorOf(code);
  const maybe = written === "perhaps" || (written === "acks all" && acks === "all");
  const { it } = await faulty(3, { kind: "error", code, only, append: maybe }, plain(acks));
  await using _ = it;
  await arrives(it, maybe ? 3 * COUNT : 0, maybe ? 4 : 1);
}

async function again(code: number): Promise<void> {
  const variants = errorOf(code).written === "no" ? [false] : [false, true];
  await Promise.all([
    ...ALL_TIMES.flatMap((times) => variants.map((append) => sentAgain(code, times, append))),
    onRecord(code, 1),
    onRecord(code, "all"),
  ]);
}

/** Only for batches of several records. */
function several(fault: Fault): FaultChoice {
  return ({ partitions }) =>
    partitions.some(({ topic, batch }) => topic === "t" && (batch?.readInt32BE(57) ?? 0) > 1) ? fault : undefined;
}

/** All of "t" is given up for that reason, one by one, in no more requests than halving takes. */
async function givenUp(it: TestPipeline, rule: FaultRule, reason: string): Promise<void> {
  await it.settled();
  await goesOn(it);
  expect(it.discards.reduce((sum, { count }) => sum + count, 0)).toBe(COUNT);
  expect(new Set(it.discards.map(({ topic, reason }) => `${topic} ${reason}`))).toEqual(new Set([`t ${reason}`]));
  expect(it.values()).toEqual([]);
  expect(rule.hits).toBeLessThanOrEqual(2 * COUNT);
  expect(it.balance()).toMatchObject({ received: COUNT + 20, delivered: 20, held: 0, discarded: COUNT, agrees: true });
}

const PROOFS: Record<ErrorAction, (code: number) => Promise<void>> = {
  async success(code) {
    if (code === 0) return;
    for (const times of ALL_TIMES) {
      const { it, rule } = await faulty(times, { kind: "error", code, only, append: true });
      await using _ = it;
      await rule.hit;
      await arrives(it);
    }
  },

  retry: again,
  refresh: again,

  async split(code) {
    const error = { kind: "error", code, only } as const;
    const parted = async (times: Times, fault: FaultChoice) => {
      const { it, rule } = await faulty(times, fault);
      await using _ = it;
      await rule.hit;
      await arrives(it);
      expect(it.pipeline.topics.get("t")?.limit.refusals).toBe(rule.hits);
    };
    const alone = async () => {
      const { it, rule } = await faulty("for ever", error);
      await using _ = it;
      await givenUp(it, rule, "too_large");
    };
    await Promise.all([parted(1, error), ...ALL_TIMES.map((times) => parted(times, several(error))), alone()]);
  },

  async records(code) {
    const error = { kind: "error", code, only } as const;
    const named = { ...error, recordErrors: [{ index: 0, message: "no good" }] };
    const removed = async (times: 1 | 3) => {
      const { it, rule } = await faulty(times, named);
      await using _ = it;
      await rule.done;
      await it.settled();
      expect(it.values()).toEqual(values.slice(times));
      expect(it.discards).toEqual(Array(times).fill({ topic: "t", count: 1, reason: "rejected_by_broker" }));
      expect(it.balance()).toMatchObject({ held: 0, discarded: times, agrees: true });
      expect(it.log()).toContain("no good");
    };
    const halved = async (times: 1 | 3) => {
      const { it, rule } = await faulty(times, several(error));
      await using _ = it;
      await rule.done;
      await arrives(it);
    };
    const found = async () => {
      const bad: FaultChoice = ({ partitions }) =>
        partitions.some(({ batch }) => batch?.includes("bad")) ? error : undefined;
      const { it } = await faulty("for ever", bad, (settings) => {
        settings.compression.codec = "none";
      });
      await using _ = it;
      it.send({ value: "a bad one" }, ...numbered(5), { value: "bad, too" });
      await it.settled();
      expect(it.values()).toEqual([...values, ...values.slice(0, 5)]);
      expect(it.discards).toEqual(Array(2).fill({ topic: "t", count: 1, reason: "rejected_by_broker" }));
      expect(it.pipeline.topics.get("t")?.limit.refusals).toBe(0);
    };
    const all = async (fault: FaultChoice) => {
      const { it, rule } = await faulty("for ever", fault);
      await using _ = it;
      await givenUp(it, rule, "rejected_by_broker");
    };
    await Promise.all([removed(1), removed(3), halved(1), halved(3), found(), all(named), all(error)]);
  },

  async renew(code) {
    const renewed = async (times: 1 | 3, append: boolean) => {
      const { it, rule } = await faulty(times, { kind: "error", code, only, append });
      await using _ = it;
      await rule.done;
      await arrives(it, times * COUNT, append ? times + 1 : 1);
      expect(it.broker.requests.InitProducerId).toBe(times + 1);
    };
    const never = async () => {
      const { it, rule } = await faulty("for ever", { kind: "error", code, only });
      await using _ = it;
      await getsNowhere(it, rule);
      rule.remove();
      await arrives(it, rule.hits * COUNT);
    };
    await Promise.all([renewed(1, false), renewed(3, false), renewed(1, true), renewed(3, true), never()]);
  },

  async discard(code) {
    for (const times of [1, "for ever"] as const) {
      const { it, rule } = await faulty(times, { kind: "error", code, only });
      await using _ = it;
      await givenUp(it, rule, "bad_topic");
    }
  },

  async hold(code) {
    const { name, todo = "" } = errorOf(code);
    const held = async (times: Times, append: boolean) => {
      const { it, rule } = await faulty(times, { kind: "error", code, only, append });
      await using _ = it;
      await rule.hit;
      const standing = () => it.pipeline.topics.get("t")?.standing;
      if (times === "for ever") {
        await it.until(() => standing()?.kind === "held");
        const reason = it.pipeline.topics.get("t")?.whyApart(undefined);
        expect(reason).toContain(name);
        expect(reason).toContain(todo);
        await getsNowhere(it, rule);
        rule.remove();
      }
      await arrives(it);
      expect(standing()?.kind).toBe("live");
    };
    const variants = errorOf(code).written === "no" ? [false] : [false, true];
    await Promise.all([
      ...ALL_TIMES.flatMap((times) => variants.map((append) => held(times, append))),
      onRecord(code, 1),
    ]);
  },
};

describe("a produce request answered", () => {
  test.concurrent.each([...CLASSIFIED_CODES, UNLISTED].map((code) => [errorOf(code).name, code] as const))(
    "%s",
    async (_, code) => {
      await PROOFS[errorOf(code).action](code);
    },
  );
});

describe("a request for a producer id answered", () => {
  const codes = [...CLASSIFIED_CODES, UNLISTED].filter((code) => code !== 0);
  test.concurrent.each(codes.map((code) => [errorOf(code).name, code] as const))(
    "%s is made again later",
    async (_, code) => {
      await Promise.all([1, 3].map((times) => askedAgain(code, times)));
      await using it = await testPipeline(patient);
      const rule = it.broker.faults.always("InitProducerId", { kind: "error", code });
      it.send(...numbered(COUNT));
      await rule.hit;
      const begin = performance.now();
      await it.until(() => rule.hits >= 7);
      expect(rule.hits).toBeLessThanOrEqual(8 + (performance.now() - begin) / 22);
      expect(it.balance()).toEqual({ received: COUNT, delivered: 0, held: COUNT, discarded: 0, agrees: true });
      expect(it.broker.requests.Produce).toBe(0);
      expect(it.log()).toContain(errorOf(code).name);
      rule.remove();
      await arrives(it);
    },
  );

  async function askedAgain(code: number, times: number): Promise<void> {
    await using it = await testPipeline(patient);
    it.broker.faults.times(times, "InitProducerId", { kind: "error", code });
    it.send(...numbered(COUNT));
    await arrives(it);
    expect(it.broker.requests.InitProducerId).toBe(times + 1);
  }
});

describe("a topic answered for in metadata with", () => {
  // What settles that a topic is not there, or may not be seen, is asked again only seconds later: so all at once.
  const codes = [...CLASSIFIED_CODES, UNLISTED].filter((code) => code !== 0);
  const invalid = codes.filter((code) => errorOf(code).name === "INVALID_TOPIC_EXCEPTION");

  async function asked(code: number, times: Times): Promise<void> {
    await using it = await testPipeline();
    for (const topic of ["t", "other"]) it.broker.createTopic(topic);
    const match = { api: "Metadata", topic: "t" } as const;
    const rule = it.broker.faults.times(times === "for ever" ? Infinity : times, match, { kind: "error", code, only });
    it.send(...numbered(COUNT));
    await rule.hit;
    const begin = performance.now();
    // That one is about the broker, which then says nothing of any topic.
    const silent = errorOf(code).name === "REBOOTSTRAP_REQUIRED";
    if (!silent || times !== "for ever") await goesOn(it);
    if (invalid.includes(code)) {
      await it.settled();
      expect(it.discards.reduce((sum, { count }) => sum + count, 0)).toBe(COUNT);
      expect(it.pipeline.ledger.total.discardsByReason).toEqual(new Map([["bad_topic", COUNT]]));
      return;
    }
    if (times === "for ever") {
      await it.until(() => rule.hits >= 2);
      expect(rule.hits).toBeLessThanOrEqual(3 + (performance.now() - begin) / 100);
      expect(it.balance()).toMatchObject({ held: COUNT, discarded: 0, agrees: true });
      rule.remove();
    }
    await arrives(it);
  }

  test.each(ALL_TIMES.map((times) => [`${times}`, times] as const))(
    "any error, so often: %s, loses nothing, and delays no other topic",
    async (_, times) => {
      const some = times === 3 ? codes.filter((code) => errorOf(code).name !== "TOPIC_AUTHORIZATION_FAILED") : codes;
      await Promise.all(some.map((code) => asked(code, times)));
    },
  );
});
