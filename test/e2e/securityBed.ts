// What the tests of TLS, logins and ACLs have in common: a few messages sent, looked for in Kafka, or held with the reason told.
import { expect } from "bun:test";
import { encodeAnyPartition } from "../../src/wire/frame.ts";
import type { Bruce } from "../support/bruce.ts";
import { openStreamClient } from "../support/clients.ts";
import type { Kafka } from "../support/kafka.ts";
import { readBack } from "../support/readBack.ts";
import { accountFor, exactlyOnce } from "../support/readBackVerdict.ts";
import { expectBalanced } from "./books.ts";

const FEW = 50;

/** Sends a few messages, and gives what they say. `run` makes them unlike those sent before. */
export async function sendFew(bruce: Bruce, topic: string, run = ""): Promise<string[]> {
  const ids = Array.from({ length: FEW }, (_, index) => `${topic}-${run}-${index}`);
  const client = await openStreamClient(bruce.sockets.stream);
  const key = new Uint8Array();
  const frames = ids.map((id) => encodeAnyPartition({ topic, timestamp: Date.now(), key, value: Buffer.from(id) }));
  await client.write(Buffer.concat(frames));
  await client.end();
  return ids;
}

/** The topic holds these, once each, and nothing else. */
export async function expectOnce(kafka: Kafka, topic: string, ids: readonly string[]): Promise<void> {
  const account = accountFor(ids);
  await readBack(kafka.bootstrap, topic, ({ value }) => account.found(value?.toString() ?? ""));
  expect(account.verdict()).toEqual(exactlyOnce);
}

/** Sends a few messages to a topic of its own, made here, and sees them arrive. */
export async function expectDelivery(kafka: Kafka, bruce: Bruce, topic: string): Promise<void> {
  await kafka.createTopic(topic, 2);
  const ids = await sendFew(bruce, topic);
  const after = await untilDelivered(bruce, ids.length);
  expect(after.ledger).toMatchObject({ discarded: 0, possible_duplicates: 0 });
  expectBalanced(after);
  await expectOnce(kafka, topic, ids);
}

/** Resolves when so many are delivered; should it be discarded or held for good, the test's timeout tells. */
export async function untilDelivered(bruce: Bruce, count: number) {
  return await bruce.until(({ ledger }) => ledger.delivered + ledger.discarded >= count);
}

/** Nothing of it can be delivered: it is held, the status says why, and bruce goes on taking messages. */
export async function expectHeldBecause(bruce: Bruce, topic: string, reason: string): Promise<string[]> {
  const ids = await sendFew(bruce, topic);
  const now = await bruce.until(({ ledger, metadata }) => {
    return ledger.held === ids.length && metadata.reason?.includes(reason) === true;
  });
  expect(now.ledger).toMatchObject({ received: ids.length, delivered: 0, discarded: 0 });
  expectBalanced(now);
  expect((await fetch(`${bruce.url}/readyz`)).status).toBe(200);
  await bruce.untilLogged(reason);
  return ids;
}
