// ACLs of a real Kafka: what may not be written is held with the reason, delays nothing else, and goes once it is allowed.
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { type Bruce, type BruceOptions, startBruce } from "../support/bruce.ts";
import { type Kafka, startKafka } from "../support/kafka.ts";
import { type Acl, allow, disallow } from "../support/kafkaAccess.ts";
import { loginListener, WITH_ACLS } from "../support/kafkaListeners.ts";
import { askKafka, parseAddress } from "../support/kafkaSocket.ts";
import { expectBalanced } from "./books.ts";
import { expectOnce, sendFew, untilDelivered } from "./securityBed.ts";

let kafka: Kafka;
let bruce: Bruce;

/** Each test has a user, and topics, of its own. */
const users = ["writer", "watcher", "maker", "careless", "former"] as const;

beforeAll(async () => {
  const plain = Object.fromEntries(users.map((user) => [user, "password"]));
  kafka = await startKafka({
    listeners: { LOGIN: loginListener({ plain }) },
    properties: { ...WITH_ACLS, "auto.create.topics.enable": "true", "num.partitions": "2" },
  });
});
afterAll(() => kafka?.close());
afterEach(() => bruce?.close());

async function start(user: (typeof users)[number], more: Partial<BruceOptions> = {}): Promise<void> {
  const login = [
    'delivery.backoff_max="1s"',
    "kafka.sasl.mechanism=plain",
    `kafka.sasl.username=${user}`,
    "kafka.sasl.password=password",
  ];
  bruce = await startBruce({ bootstrap: kafka.at("LOGIN"), ...more, set: [...login, ...(more.set ?? [])] });
}

const of = (user: string, ...operations: Acl["operation"][]) => {
  return (topic: string): Acl[] => operations.map((operation) => ({ principal: `User:${user}`, operation, topic }));
};
const grant = (acls: Acl[]) => askKafka(parseAddress(kafka.bootstrap), allow(...acls));
const revoke = (acls: Acl[]) => askKafka(parseAddress(kafka.bootstrap), disallow(...acls));

async function untilHeld(topic: string, reason: string) {
  const now = await bruce.until(({ topics }) => {
    return topics.some(
      (each) => each.name === topic && each.state === "held" && each.reason?.includes(reason) === true,
    );
  });
  expectBalanced(now);
  return now.topics.find(({ name }) => name === topic);
}

test("a topic that may not be seen, or only not be written, is held; others go on; both go once they are allowed", async () => {
  for (const topic of ["open", "unseen", "readable"]) await kafka.createTopic(topic, 2);
  await grant([...of("writer", "WRITE")("open"), ...of("writer", "DESCRIBE")("readable")]);
  await start("writer");
  const sent = new Map<string, string[]>();
  for (const topic of ["unseen", "readable", "open"]) sent.set(topic, await sendFew(bruce, topic));

  await bruce.until(({ topics }) => topics.some(({ name, delivered }) => name === "open" && delivered === 50));
  const unseen = await untilHeld("unseen", "not allowed to see the topic: grant DESCRIBE and WRITE on it");
  const readable = await untilHeld("readable", "not allowed to write to the topic: grant WRITE");
  for (const topic of [unseen, readable]) expect(topic).toMatchObject({ held: 50, delivered: 0, discarded: 0 });
  expect((await fetch(`${bruce.url}/readyz`)).status).toBe(200);
  await bruce.untilLogged("a topic is held");

  // What comes meanwhile waits behind what is there, and the others still go.
  for (const topic of ["unseen", "readable", "open"]) sent.get(topic)?.push(...(await sendFew(bruce, topic, "more")));
  await bruce.until(({ topics }) => topics.some(({ name, delivered }) => name === "open" && delivered === 100));
  await grant([...of("writer", "WRITE")("unseen"), ...of("writer", "WRITE")("readable")]);
  const after = await untilDelivered(bruce, 300);
  expect(after.ledger).toMatchObject({ delivered: 300, held: 0, discarded: 0, possible_duplicates: 0 });
  expect(after.topics.map(({ state }) => state)).toEqual(["live", "live", "live"]);
  for (const [topic, ids] of sent) await expectOnce(kafka, topic, ids);
  expect(await bruce.stop()).toBe(0);
});

test("a user who may write no topic at all gets no producer id either: held with what to grant, delivered once it is", async () => {
  await kafka.createTopic("watched", 2);
  await grant(of("watcher", "DESCRIBE")("watched"));
  await start("watcher");
  const ids = await sendFew(bruce, "watched");
  await untilHeld("watched", "grant WRITE");
  await grant(of("watcher", "WRITE")("watched"));
  await untilDelivered(bruce, ids.length);
  await expectOnce(kafka, "watched", ids);
  expect(await bruce.stop()).toBe(0);
});

test("WRITE that is taken away while bruce runs holds the topic, and nothing is lost or comes twice", async () => {
  await kafka.createTopic("former", 2);
  await grant(of("former", "WRITE")("former"));
  await start("former");
  const ids = await sendFew(bruce, "former");
  await untilDelivered(bruce, ids.length);
  await revoke(of("former", "WRITE")("former"));
  // The broker itself learns of it a moment later.
  while ((await bruce.status()).topics[0]?.state !== "held")
    ids.push(...(await sendFew(bruce, "former", `${ids.length}`)));
  await grant(of("former", "WRITE")("former"));
  await untilDelivered(bruce, ids.length);
  await expectOnce(kafka, "former", ids);
  expect(await bruce.stop()).toBe(0);
});

test("a topic is created when CREATE on it is allowed, and held until then", async () => {
  await grant(of("maker", "CREATE", "WRITE")("made"));
  await start("maker", { set: ["kafka.auto_create_topics=true"] });
  const ids = await sendFew(bruce, "made");
  await sendFew(bruce, "unmade");
  await bruce.until(({ topics }) => topics.some(({ name, delivered }) => name === "made" && delivered === 50));
  await expectOnce(kafka, "made", ids);
  await untilHeld("unmade", "not allowed to see the topic");
  expect(await bruce.stop()).toBe(0);
});

test('unauthorized_topic = "discard" gives up what may not be written, on record, and nothing else', async () => {
  for (const topic of ["careless", "secret", "shown"]) await kafka.createTopic(topic, 2);
  await grant([...of("careless", "WRITE")("careless"), ...of("careless", "DESCRIBE")("shown")]);
  await start("careless", { set: ['delivery.unauthorized_topic="discard"'] });
  for (const topic of ["secret", "shown"]) await sendFew(bruce, topic);
  const ids = await sendFew(bruce, "careless");
  const after = await bruce.until(({ ledger }) => ledger.delivered === 50 && ledger.discarded === 100);
  expect(after.ledger.discards_by_reason).toEqual({ unauthorized_topic: 100 });
  expectBalanced(after);
  await expectOnce(kafka, "careless", ids);
  await bruce.untilLogged("messages of a topic are discarded, as its settings say");
  expect(await bruce.stop()).toBe(0);
});
