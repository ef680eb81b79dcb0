// Every message that an intake is given ends in the queue or among the discards, and in the counters, exactly once.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { createControl, SharedCounters } from "../../src/ingest/control.ts";
import { DatagramGatherer } from "../../src/ingest/datagrams.ts";
import { DiscardTally } from "../../src/ingest/discardTally.ts";
import { Intake } from "../../src/ingest/intake.ts";
import { SAMPLES } from "../../src/ingest/report.ts";
import { NOBODY, type Source } from "../../src/ingest/source.ts";
import type { QueueWriter } from "../../src/spool/queue.ts";
import { encodeAnyPartition, FrameReader, readInt32 } from "../../src/wire/frame.ts";

/** A queue with room for so many bytes, until it is emptied. */
function fakeQueue(capacity: number) {
  const taken: { source: number; frames: Buffer[] }[] = [];
  let used = 0;
  let next = 1;
  const queue: QueueWriter = {
    largest: capacity,
    lastNumber: 0,
    synced: 0,
    aloneTo: 0,
    state: "memory",
    refusedSync: (_from, to) => to,
    syncSoon: () => {},
    tend: () => {},
    gather: () => false,
    gathered: () => {},
    append(source, _receivedAt, bytes, start, end, count) {
      if (used + end - start > capacity) return 0;
      const frames: Buffer[] = [];
      for (let at = start; at < end; at += readInt32(bytes, at)) {
        frames.push(Buffer.from(bytes.subarray(at, at + readInt32(bytes, at))));
      }
      expect(frames).toHaveLength(count);
      taken.push({ source, frames });
      used += end - start;
      next += count;
      return next - count;
    },
  };
  const empty = () => {
    used = 0;
  };
  return { queue, taken, empty };
}

function setUp(capacity: number, whenFull: "block" | "drop_newest") {
  const fake = fakeQueue(capacity);
  const discards = new DiscardTally();
  const counters = new SharedCounters(createControl(), "stream");
  const intake = new Intake({
    kind: "stream",
    whenFull,
    queue: fake.queue,
    discards,
    counters,
    wallClock: () => 7,
    onFull() {},
  });
  return { ...fake, discards, intake };
}

const from = (id: number): Source => ({ ...NOBODY, id });

const frame = (id: number, length: number) =>
  encodeAnyPartition({ topic: `t${id % 3}`, timestamp: id, key: Buffer.alloc(0), value: Buffer.alloc(length, id) });

function timestampOf(bytes: Buffer): number {
  const reader = new FrameReader();
  reader.read(bytes, 0, bytes.length);
  return Number(bytes.readBigInt64BE(reader.timestampAt));
}

const blocks = fc.array(fc.array(fc.nat(300), { minLength: 1, maxLength: 8 }), { maxLength: 20 });

test("with block, nothing is discarded and the order is kept, however often the queue is full", () => {
  fc.assert(
    fc.property(blocks, fc.integer({ min: 400, max: 3000 }), (lengths, capacity) => {
      const { intake, taken, empty, discards } = setUp(capacity, "block");
      const sent: Buffer[] = [];
      for (const [source, block] of lengths.entries()) {
        const frames = block.map((length) => frame(sent.length, length));
        sent.push(...frames);
        const bytes = Buffer.concat(frames);
        intake.accept(from(source + 1), bytes, 0, bytes.length, frames.length);
        bytes.fill(0); // the caller's memory is used again
        while (intake.stalled) {
          empty();
          intake.retry();
        }
      }
      expect(taken.flatMap(({ frames }) => frames)).toEqual(sent);
      expect(discards.empty).toBe(true);
      expect(intake.counters.messages).toBe(sent.length);
    }),
  );
});

test("with drop_newest, what finds no room is discarded by topic, and the counters say the sum", () => {
  fc.assert(
    fc.property(blocks, fc.integer({ min: 400, max: 1500 }), (lengths, capacity) => {
      const { intake, taken, discards } = setUp(capacity, "drop_newest");
      let messages = 0;
      let bytes = 0;
      for (const block of lengths) {
        const frames = Buffer.concat(block.map((length) => frame(messages++, length)));
        bytes += frames.length;
        intake.accept(from(1), frames, 0, frames.length, block.length);
        expect(intake.stalled).toBe(false);
      }
      const queued = taken.reduce((sum, { frames }) => sum + frames.length, 0);
      const dropped = discards.take();
      expect(dropped.every(({ reason, topic }) => reason === "queue_full" && /^t[012]$/.test(topic ?? ""))).toBe(true);
      expect(dropped.every(({ samples }) => samples.length <= SAMPLES)).toBe(true);
      expect(queued + dropped.reduce((sum, { count }) => sum + count, 0)).toBe(messages);
      expect([intake.counters.messages, intake.counters.bytes]).toEqual([messages, bytes]);
    }),
  );
});

test("however the policy changes, each source's messages stay in order, and none is unaccounted for", () => {
  const policy = fc.constantFrom("block" as const, "drop_newest" as const, "drop_oldest" as const);
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ source: fc.integer({ min: 1, max: 3 }), length: fc.nat(300) }) },
    { weight: 1, arbitrary: fc.record({ policy }) },
    { weight: 1, arbitrary: fc.constant("room" as const) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), policy, (steps, first) => {
      const { intake, taken, empty, discards } = setUp(800, "block");
      intake.whenFull = first;
      const sources = [1, 2, 3].map(from);
      let sent = 0;
      for (const each of steps) {
        if (each === "room") {
          empty();
          intake.retry();
        } else if ("policy" in each) intake.whenFull = each.policy;
        else {
          const source = sources[each.source - 1] as Source;
          // Nothing is read from a source that has to wait.
          if (intake.stalls(source)) continue;
          const bytes = frame(sent++, each.length);
          intake.accept(source, bytes, 0, bytes.length, 1);
        }
      }
      empty();
      while (!intake.retry()) empty();
      for (const { id } of sources) {
        const order = taken.filter(({ source }) => source === id).flatMap(({ frames }) => frames.map(timestampOf));
        expect(order).toEqual([...order].sort((a, b) => a - b));
      }
      const queued = taken.reduce((sum, { frames }) => sum + frames.length, 0);
      expect(queued + discards.take().reduce((sum, { count }) => sum + count, 0)).toBe(sent);
      expect(intake.counters.messages).toBe(sent);
    }),
  );
});

test("datagrams of any bytes are gathered or discarded, and none is lost", () => {
  const datagram = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    fc.nat(150).map((length) => frame(length, length)),
  );
  fc.assert(
    fc.property(fc.array(datagram, { maxLength: 60 }), fc.integer({ min: 200, max: 1000 }), (datagrams, room) => {
      const { intake, taken, discards } = setUp(1 << 20, "block");
      const bytes = Buffer.alloc(room + 10);
      const limits = { maxMessage: 180, maxPayload: 120 };
      const gatherer = new DatagramGatherer(bytes, 10, 10 + room, limits, intake);
      for (const one of datagrams) {
        if (gatherer.full) gatherer.handOn();
        expect(10 + room - gatherer.at).toBeGreaterThanOrEqual(limits.maxMessage);
        one.copy(bytes, gatherer.at, 0, Math.min(one.length, limits.maxMessage)); // as recv with MSG_TRUNC does
        gatherer.took(one.length);
      }
      gatherer.handOn();
      const queued = taken.flatMap(({ frames }) => frames);
      expect(queued).toEqual(datagrams.filter((one) => queued.some((other) => other.equals(one))));
      expect(queued.length + discards.take().reduce((sum, { count }) => sum + count, 0)).toBe(datagrams.length);
      expect(intake.counters.messages).toBe(datagrams.length);
    }),
  );
});

test("topics of discards are told apart only up to a limit", () => {
  const tally = new DiscardTally();
  for (let i = 0; i < 5000; i++) tally.add("stream", "queue_full", `topic${i}`, Buffer.alloc(10), 0, 10, 10);
  const discards = tally.take();
  expect(discards.length).toBeLessThan(1100);
  expect(discards.reduce((sum, { count }) => sum + count, 0)).toBe(5000);
  expect(tally.empty).toBe(true);
});
