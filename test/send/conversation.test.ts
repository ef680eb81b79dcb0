// What is said to the daemon over any number of its deaths, at any byte, however it answers: no sockets, no clock.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Conversation, type ConversationOptions } from "../../src/send/conversation.ts";
import { Outbox } from "../../src/send/outbox.ts";
import { encodeAnyPartition } from "../../src/wire/frame.ts";
import { SpoolConnection, SpoolModel } from "../support/spoolModel.ts";

const WINDOW = 4096;

/** A client and a daemon with a wire between them that takes, brings and loses bytes as it is told. */
class Wire {
  readonly model = new SpoolModel();
  readonly outbox = new Outbox({ chunk: 512, ahead: 2, window: WINDOW });
  readonly conversation: Conversation;
  now = 0;
  tellsWhatIsRead = true;
  lost = 0;
  unable = 0;
  #connection: SpoolConnection | undefined;
  /** On their way there, and back. */
  #there = Buffer.alloc(0);
  #back = Buffer.alloc(0);
  #sessions = 0;

  constructor(options: Partial<ConversationOptions> = {}) {
    this.conversation = new Conversation({
      ...{ outbox: this.outbox, level: 1, strict: true },
      name: () => Buffer.alloc(16, ++this.#sessions),
      events: {
        lost: (count) => {
          this.lost += count;
        },
        unable: () => {
          this.unable++;
        },
      },
      ...options,
    });
  }

  get open(): boolean {
    return this.#connection !== undefined;
  }

  connect(): void {
    this.#connection = new SpoolConnection(this.model);
    this.conversation.opened(this.now);
  }

  /** Writes a line of `length` bytes that begins with its number; false when the window is full. */
  write(length: number): boolean {
    const value = Buffer.from(`${this.outbox.written} `.padEnd(length, "x"));
    const frame = encodeAnyPartition({ topic: "t", timestamp: 0, key: Buffer.alloc(0), value });
    if (!this.outbox.reserve(frame.length)) return false;
    frame.copy(this.outbox.bytes, this.outbox.end);
    this.outbox.end += frame.length;
    this.outbox.written++;
    return true;
  }

  /** The kernel takes at most `most` bytes. */
  send(most: number): void {
    for (let left = most; left > 0 && this.conversation.next(this.now); ) {
      const { bytes, start, stop } = this.conversation;
      const count = Math.min(left, stop - start);
      this.#there = Buffer.concat([this.#there, bytes.subarray(start, start + count)]);
      this.conversation.took(count, this.now);
      left -= count;
    }
  }

  /** The daemon reads at most `most` bytes. */
  read(most: number): void {
    const answers = this.#connection?.push(this.#there.subarray(0, most)) ?? Buffer.alloc(0);
    this.#there = this.#there.subarray(most);
    this.#back = Buffer.concat([this.#back, answers]);
  }

  speak(): void {
    this.#back = Buffer.concat([this.#back, this.#connection?.speak() ?? Buffer.alloc(0)]);
  }

  /** At most `most` bytes of its answers arrive. */
  hear(most: number): void {
    this.conversation.hear(this.#back, 0, Math.min(most, this.#back.length));
    this.#back = this.#back.subarray(most);
    this.conversation.watch(this.now, () => this.#there.length === 0, false);
  }

  /** The daemon dies; what was on its way is gone. */
  kill(): void {
    this.#connection = undefined;
    this.#there = this.#back = Buffer.alloc(0);
    this.conversation.closed("unknown", this.now, this.tellsWhatIsRead);
  }

  /** The daemon reads what it was sent, and ends. */
  stop(): void {
    this.read(Number.POSITIVE_INFINITY);
    this.#connection = undefined;
    this.#back = Buffer.alloc(0);
    this.conversation.closed("taken", this.now, this.tellsWhatIsRead);
  }

  /** Lets everything happen until all is settled, or nothing more changes. */
  finish(hurry = false): void {
    this.conversation.finish(hurry);
    for (let i = 0; i < 300 && !this.refused; i++) {
      if (this.conversation.parts(this.now)) this.stop();
      if (this.conversation.settled) return;
      if (!this.open) this.connect();
      this.now += 100;
      this.send(Number.POSITIVE_INFINITY);
      this.read(Number.POSITIVE_INFINITY);
      this.hear(Number.POSITIVE_INFINITY);
    }
  }

  get refused(): boolean {
    return this.conversation.refusal !== undefined;
  }

  get verdict() {
    const { settled, unknown, account } = this.conversation;
    const { short, discarded, someDiscarded } = account;
    return { settled, unknown, short, discarded, someDiscarded, lost: this.lost, unable: this.unable };
  }

  /** How many Syncs and Resumes the daemon was given. */
  get questions(): number {
    return this.model.questions;
  }

  /** The numbers of the lines that were spooled. */
  get arrived(): number[] {
    return this.model.values.map((value) => Number.parseInt(value, 10));
  }
}

const FLAWLESS = { settled: true, unknown: 0, short: 0, discarded: 0, someDiscarded: false, lost: 0, unable: 0 };

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

const bytes = fc.integer({ min: 1, max: 900 });
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("write" as const), bytes: fc.integer({ min: 4, max: 700 }) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("send" as const), bytes }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("read" as const), bytes }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("hear" as const), bytes: fc.integer({ min: 1, max: 100 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("pass" as const), bytes: fc.integer({ min: 1, max: 60 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("kill" as const, "stop" as const), bytes }) },
);

function act(
  wire: Wire,
  steps: { do: "write" | "send" | "read" | "hear" | "pass" | "kill" | "stop"; bytes: number }[],
): void {
  const keeps = wire.model.behaviour.kind === "disk" && wire.verdict.lost === 0;
  for (const each of steps) {
    if (each.do === "pass") wire.now += each.bytes;
    else if (each.do === "write") wire.write(each.bytes);
    else {
      if (!wire.open) wire.connect();
      wire[each.do](each.bytes);
    }
    const { base, written } = wire.outbox;
    // What may have to be sent again is kept, and never more than the window.
    if (keeps) expect(base).toBeLessThanOrEqual(wire.model.spooled.length);
    expect(written - base).toBeLessThanOrEqual(WINDOW / 33 + 1);
  }
}

const ASKED = [
  { level: 1, strict: false },
  { level: 1, strict: true },
  { level: 2, strict: true },
  { level: 3, strict: true },
] as const;

for (const options of ASKED) {
  test(`every line once and in order, over any deaths and stops: ${JSON.stringify(options)}`, () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 30, maxLength: 300 }), (steps) => {
        const wire = new Wire(options);
        act(wire, steps);
        wire.finish();
        expect(wire.arrived).toEqual(upTo(wire.outbox.written));
        expect(wire.verdict).toEqual(FLAWLESS);
      }),
      { numRuns: 500 },
    );
  });
}

test("of a daemon that keeps no sessions, no line arrives twice, and no more are missing than said", () => {
  const kinds = fc.constantFrom("memory" as const, "old" as const);
  fc.assert(
    fc.property(fc.array(step, { minLength: 30, maxLength: 200 }), kinds, (steps, kind) => {
      const wire = new Wire({ strict: false });
      wire.model.behaviour = { ...wire.model.behaviour, kind };
      act(wire, steps);
      wire.finish();
      const arrived = wire.arrived;
      expect(arrived).toEqual([...new Set(arrived)].sort((a, b) => a - b));
      expect(wire.outbox.written - arrived.length).toBeLessThanOrEqual(wire.verdict.unknown);
      expect(wire.conversation.settled).toBe(true);
    }),
    { numRuns: 500 },
  );
});

test("daemons that can less and less: no line arrives twice, and no more are missing than said", () => {
  const kinds = fc.constantFrom("memory" as const, "old" as const, "disk" as const);
  const lives = fc.array(fc.tuple(kinds, fc.array(step, { minLength: 5, maxLength: 60 })), { maxLength: 8 });
  fc.assert(
    fc.property(lives, fc.boolean(), (all, strict) => {
      const wire = new Wire({ strict });
      const worse = ["disk", "memory", "old"];
      for (const [kind, steps] of all.sort(([a], [b]) => worse.indexOf(a) - worse.indexOf(b))) {
        if (wire.open) wire.kill();
        wire.model.behaviour = { ...wire.model.behaviour, kind };
        act(wire, steps);
        if (wire.refused) break;
      }
      if (!wire.refused) wire.finish();
      const arrived = wire.arrived;
      expect(arrived).toEqual([...new Set(arrived)].sort((a, b) => a - b));
      if (wire.refused) expect(arrived).toEqual([]);
      else expect(wire.outbox.written - arrived.length).toBeLessThanOrEqual(wire.verdict.unknown);
    }),
    { numRuns: 500 },
  );
});

describe("what the daemon says it has", () => {
  /** Three lines that are spooled, and a fourth that is not; the daemon is dead. */
  function interrupted(): Wire {
    const wire = new Wire();
    for (let i = 0; i < 3; i++) wire.write(10);
    wire.finish();
    wire.write(10);
    wire.send(Number.POSITIVE_INFINITY);
    wire.kill();
    return wire;
  }

  test("less than before, after a power cut: those are lost, what is kept is sent", () => {
    const wire = interrupted();
    wire.model.spooled.length = 1;
    for (const session of wire.model.sessions.keys()) wire.model.sessions.set(session, 1);
    wire.finish();
    expect(wire.arrived).toEqual([0, 3]);
    expect(wire.verdict).toEqual({ ...FLAWLESS, unknown: 2, lost: 2 });
  });

  test("nothing, since it forgot the session: what it may have is uncertain, nothing is sent twice", () => {
    const wire = interrupted();
    wire.model.sessions.clear();
    wire.finish();
    wire.write(10);
    wire.finish();
    expect(wire.arrived).toEqual([0, 1, 2, 4]);
    expect(wire.verdict).toEqual({ ...FLAWLESS, unknown: 1, lost: 1 });
  });

  test("nothing, since it forgot a session that was idle: nothing is lost", () => {
    const wire = new Wire();
    wire.write(10);
    wire.finish();
    wire.kill();
    wire.model.sessions.clear();
    wire.write(10);
    wire.finish();
    expect(wire.arrived).toEqual([0, 1]);
    expect(wire.verdict).toEqual(FLAWLESS);
  });

  test("nothing, since it forgot the session: whether what it had is delivered is not known, if no receipt said so", () => {
    for (const mute of [[], [3]]) {
      const wire = new Wire({ level: 3 });
      wire.model.behaviour = { ...wire.model.behaviour, mute };
      wire.write(10);
      wire.finish();
      wire.kill();
      wire.model.sessions.clear();
      wire.model.behaviour = { ...wire.model.behaviour, mute: [] };
      wire.write(10);
      wire.finish();
      expect(wire.arrived).toEqual([0, 1]);
      expect(wire.verdict).toEqual({ ...FLAWLESS, short: mute.length });
    }
  });

  test("more than it was ever sent: it goes on with what comes next", () => {
    const wire = interrupted();
    for (const session of wire.model.sessions.keys()) wire.model.sessions.set(session, 1000);
    wire.finish();
    wire.write(10);
    wire.finish();
    expect(wire.arrived).toEqual([0, 1, 2, 4]);
    expect(wire.conversation.settled).toBe(true);
  });
});

describe("a daemon that does not answer", () => {
  const old = (options: Partial<ConversationOptions> = {}): Wire => {
    const wire = new Wire(options);
    wire.model.behaviour = { ...wire.model.behaviour, kind: "old" };
    wire.write(10);
    wire.connect();
    return wire;
  };
  const pass = (wire: Wire, time: number): void => {
    wire.now += time;
    wire.hear(0);
  };

  test("has 10 s from when it read the question, however long it takes to read it", () => {
    const wire = old();
    wire.send(Number.POSITIVE_INFINITY);
    pass(wire, 60_000);
    expect(wire.refused).toBe(false);
    wire.read(Number.POSITIVE_INFINITY);
    pass(wire, 0);
    pass(wire, 9_999);
    expect(wire.refused).toBe(false);
    pass(wire, 1);
    expect(wire.conversation.refusal).toBe("mute");
    expect(wire.arrived).toEqual([]);
  });

  test("is given everything, if receipts were not asked for, and that is said once", () => {
    const wire = old({ strict: false });
    wire.send(Number.POSITIVE_INFINITY);
    wire.read(Number.POSITIVE_INFINITY);
    pass(wire, 0);
    pass(wire, 10_000);
    wire.write(10);
    wire.finish();
    expect(wire.arrived).toEqual([0, 1]);
    expect(wire.verdict).toEqual({ ...FLAWLESS, unable: 1 });
  });

  test.each([
    { read: true, certain: true, after: 1000, again: false },
    { read: true, certain: true, after: 999, again: true },
    { read: false, certain: true, after: 60_000, again: true },
    { read: true, certain: false, after: 9000, again: true },
  ])("and dies is one of old, which may have delivered the lines, or has not read them: %o", (each) => {
    const wire = old({ strict: false });
    wire.tellsWhatIsRead = each.certain;
    wire.send(Number.POSITIVE_INFINITY);
    if (each.read) wire.read(Number.POSITIVE_INFINITY);
    pass(wire, 0);
    wire.now += each.after;
    wire.kill();
    const before = wire.arrived.length;
    wire.model.behaviour = { ...wire.model.behaviour, kind: "disk" };
    wire.write(10);
    wire.connect();
    wire.finish();
    expect(wire.arrived.slice(before)).toEqual(each.again ? [0, 1] : [1]);
    expect(wire.verdict).toEqual({ ...FLAWLESS, lost: each.again ? 0 : 1, unknown: each.again ? 0 : 1 });
  });

  test("has 250 ms when there is nothing more to send", () => {
    const wire = old({ strict: false });
    wire.conversation.finish(false);
    wire.send(Number.POSITIVE_INFINITY);
    expect(wire.conversation.parts(wire.now + 249)).toBe(false);
    expect(wire.conversation.parts(wire.now + 250)).toBe(true);
  });
});

test("no question is asked for nothing: --wait none says only messages", () => {
  const wire = new Wire({ level: 0, strict: false });
  wire.write(10);
  wire.connect();
  wire.send(Number.POSITIVE_INFINITY);
  wire.finish();
  expect(wire.arrived).toEqual([0]);
  expect(wire.questions).toBe(0);
});
