// The protocols of the two threads over shared memory, a piece at a time, for handshakes.test.ts.
import { controlWords, createControl, putSettings, takeSettings } from "../../src/ingest/control.ts";
import type { InputSettings } from "../../src/ingest/report.ts";
import { DiskWriter } from "../../src/spool/diskWriter.ts";
import { createLogControl, LogControl } from "../../src/spool/logControl.ts";
import type { QueueOrder } from "../../src/spool/queue.ts";
import { ReaderRest } from "../../src/spool/readerRest.ts";
import { createReceiptMemory, ReceiptAnswerer, ReceiptAsker } from "../../src/spool/receiptMemory.ts";
import { createRingMemory, RingReader, RingWriter } from "../../src/spool/ring.ts";
import { FakeFiles } from "../support/fakeFiles.ts";
import { type Plain, type Protocol, type Shared, withSteppedDoubles } from "../support/interleave.ts";
import { DIRECTORY_ID, frameFor } from "./logFixture.ts";

export const plain: Plain = [[LogControl.prototype, ["limit", "reserved", "synced", "lateSeen"]]];

// What is noted.
const FIRST = 0;
const SECOND = 1;
/** Times that the other thread was woken. */
const WOKEN = 2;
const ASLEEP = 3;
const TURNS = 4;

const note =
  ({ noted }: Shared, what: number) =>
  () =>
    void (noted[what] as number)++;

const block = Buffer.alloc(1000, 1);

function append(ring: RingWriter, length: number): boolean {
  return ring.append(1, 1, 1, 1, block, 0, length);
}

/** A ring with blocks of that many bytes. */
function ringWith(capacity: number, ...lengths: number[]): SharedArrayBuffer {
  const memory = createRingMemory(capacity);
  const writer = new RingWriter(memory, () => {});
  for (const length of lengths) if (!append(writer, length)) throw new Error("there is too much in the ring");
  return memory;
}

function readAll(reader: RingReader): void {
  while (reader.read() !== undefined) reader.release();
}

function startedControl(limit: number, reserved: number): SharedArrayBuffer {
  return createLogControl({ head: { number: 1, segment: 0, offset: 0 }, limit, reserved });
}

function openWriter(control: SharedArrayBuffer, clock: () => number = () => 0) {
  const files = new FakeFiles();
  files.makeDirectory("/log");
  const order: QueueOrder = {
    ...{ kind: "disk", memory: createRingMemory(100_000), control },
    ...{ directory: "/log", segment: 1 << 20, largest: 1 << 16, credit: 1 << 16 },
    ...{ ordinal: 1, firstNumber: 1, previousEnd: 1, directoryId: DIRECTORY_ID },
  };
  if (order.kind !== "disk") throw new Error("not on disk");
  const nothing = () => {};
  return { files, writer: new DiskWriter({ order, files, wake: nothing, tell: nothing, clock, collect: nothing }) };
}

/** A writer that appends two blocks, of two inputs that wait for themselves. */
function twoAppends({ memory, noted }: Shared): () => void {
  const { writer } = openWriter(memory[0] as SharedArrayBuffer);
  const large = Buffer.concat([1, 2, 3].map((number) => frameFor(number, 500)));
  const small = frameFor(4, 10);
  return () => {
    noted[FIRST] = writer.append(1, 1, large, 0, large.length, 3);
    noted[SECOND] = writer.append(2, 1, small, 0, small.length, 1);
  };
}

function bothServed({ noted }: Shared): void {
  if ((noted[FIRST] === 0 || noted[SECOND] === 0) && noted[WOKEN] === 0)
    throw new Error("one waits for what is there, and is never woken");
}

let timers: (() => void)[] = [];

/** Timers that are over when `check` or the near side says so. */
function withOwnTimers<T>(action: () => T): T {
  const { setTimeout, setInterval, clearInterval } = globalThis;
  Object.assign(globalThis, {
    setTimeout: (callback: () => void) => void timers.push(callback),
    setInterval: () => 1,
    clearInterval: () => {},
  });
  try {
    return action();
  } finally {
    Object.assign(globalThis, { setTimeout, setInterval, clearInterval });
  }
}

function endTimers(): void {
  withOwnTimers(() => {
    for (const timer of timers.splice(0)) timer();
  });
}

/** A reader that has read everything, looks again, and sleeps. */
function restingReader(shared: Shared): () => void {
  const { memory, noted } = shared;
  const ring = new RingReader(memory[0] as SharedArrayBuffer, note(shared, WOKEN));
  const rest = new ReaderRest(ring, () => true);
  timers = [];
  rest.onReadable = () => {
    (noted[TURNS] as number)++;
    readAll(ring);
    withOwnTimers(() => rest.rest());
  };
  return () => {
    readAll(ring);
    withOwnTimers(() => rest.rest());
    endTimers();
  };
}

export const protocols: Record<string, Protocol> = {
  "two wait for room on disk": {
    memory: () => [startedControl(100, 1 << 20)],
    far: twoAppends,
    near: (shared) => {
      const control = new LogControl(shared.memory[0] as SharedArrayBuffer);
      return () => {
        control.limit = 1 << 20;
        if (control.takeWanted()) note(shared, WOKEN)();
      };
    },
    check: bothServed,
  },
  "two wait for numbers": {
    memory: () => [startedControl(1 << 20, 1)],
    far: twoAppends,
    near: (shared) => {
      const control = new LogControl(shared.memory[0] as SharedArrayBuffer);
      return () => {
        control.reserved = 1 << 20;
        if (control.takeWanted()) note(shared, WOKEN)();
      };
    },
    check: bothServed,
  },
  "two wait for room in the ring": {
    memory: () => [ringWith(1000, 300, 300)],
    far: ({ memory, noted }) => {
      const writer = new RingWriter(memory[0] as SharedArrayBuffer, () => {});
      return () => {
        noted[FIRST] = append(writer, 900) ? 1 : 0;
        noted[SECOND] = append(writer, 250) ? 1 : 0;
      };
    },
    near: (shared) => {
      const reader = new RingReader(shared.memory[0] as SharedArrayBuffer, note(shared, WOKEN));
      return () => readAll(reader);
    },
    check: (shared) => {
      readAll(new RingReader(shared.memory[0] as SharedArrayBuffer, note(shared, WOKEN)));
      bothServed(shared);
    },
  },
  "what is written late counts as safe only anew": {
    memory: () => [startedControl(1 << 24, 1 << 20)],
    far: ({ memory, noted }) => {
      let now = 0;
      const { files, writer } = openWriter(memory[0] as SharedArrayBuffer, () => now);
      files.failNext("write", "ENOSPC");
      const frame = frameFor(1, 100);
      writer.append(1, 1, frame, 0, frame.length, 1);
      // All of it has been synced, as far as the other thread knows.
      new LogControl(memory[0] as SharedArrayBuffer).synced = 1;
      now += 1000;
      writer.tend();
      return () => {
        noted[FIRST] = writer.synced;
      };
    },
    near: ({ memory }) => {
      const control = new LogControl(memory[0] as SharedArrayBuffer);
      return () => {
        control.synced = 0;
        control.lateSeen = 2;
      };
    },
    check: ({ noted }) => {
      if (noted[FIRST] !== 0) throw new Error("it counts as safe as if it had been in the file at the last fdatasync");
    },
  },
  "the reader of the ring sleeps": {
    memory: () => [ringWith(1000)],
    far: (shared) => {
      const writer = new RingWriter(shared.memory[0] as SharedArrayBuffer, note(shared, WOKEN));
      return () => {
        append(writer, 100);
        append(writer, 100);
      };
    },
    near: ({ memory, noted }) => {
      const reader = new RingReader(memory[0] as SharedArrayBuffer, () => {});
      return () => {
        readAll(reader);
        noted[ASLEEP] = reader.sleep() ? 1 : 0;
      };
    },
    check: ({ memory, noted }) => {
      const reader = new RingReader(memory[0] as SharedArrayBuffer, () => {});
      if (noted[ASLEEP] === 1 && !reader.empty && noted[WOKEN] === 0)
        throw new Error("it sleeps, and there is a block");
    },
  },
  "the reader of the log sleeps": {
    memory: () => [createRingMemory(1000), startedControl(1 << 20, 1 << 20)],
    far: (shared) => {
      const [ringMemory, controlMemory] = shared.memory as [SharedArrayBuffer, SharedArrayBuffer];
      const ring = new RingWriter(ringMemory, note(shared, WOKEN));
      const control = new LogControl(controlMemory);
      // As for a block that finds no room in the ring.
      return () => {
        control.publish(2, 1, 100);
        ring.wakeReader();
      };
    },
    near: ({ memory, noted }) => {
      const [ringMemory, controlMemory] = memory as [SharedArrayBuffer, SharedArrayBuffer];
      const ring = new RingReader(ringMemory, () => {});
      const control = new LogControl(controlMemory);
      const rest = new ReaderRest(ring, () => control.head().number === 1);
      timers = [];
      rest.onReadable = () => {
        noted[TURNS] = 1;
      };
      return () => {
        withOwnTimers(() => rest.rest());
        while (timers.length > 0) endTimers();
      };
    },
    check: ({ noted }) => {
      if (noted[TURNS] === 0 && noted[WOKEN] === 0) throw new Error("it sleeps, and there is a block in the file");
    },
  },
  "the writer gathers while the reader goes to sleep": {
    memory: () => {
      const memory = createRingMemory(1000);
      new RingReader(memory, () => {}).promise();
      return [memory];
    },
    far: ({ memory, noted }) => {
      const writer = new RingWriter(memory[0] as SharedArrayBuffer, () => {
        noted[ASLEEP] = 0;
      });
      return () => {
        // Twice, as for datagrams that come one by one.
        noted[FIRST] = writer.gather() ? 1 : 0;
        noted[SECOND] = writer.gather() ? 1 : 0;
      };
    },
    near: restingReader,
    check: ({ noted }) => {
      // It may look some more times.
      for (let times = 0; times < 3; times++) endTimers();
      if (noted[SECOND] === 1 && noted[WOKEN] === 0) throw new Error("nobody asks for what was gathered");
    },
  },
  "an append while the log that syncs always goes to sleep": {
    memory: () => [startedControl(1 << 20, 1 << 20)],
    far: (shared) => {
      const control = new LogControl(shared.memory[0] as SharedArrayBuffer);
      return () => {
        for (const number of [2, 3]) {
          control.publish(number, 1, number * 100);
          if (control.wakesSync()) note(shared, WOKEN)();
        }
      };
    },
    near: ({ memory, noted }) => {
      const control = new LogControl(memory[0] as SharedArrayBuffer);
      return () => {
        noted[ASLEEP] = control.synced === control.head().number - 1 && control.sleepSync(control.synced + 1) ? 1 : 0;
      };
    },
    check: ({ noted }) => {
      if (noted[ASLEEP] === 1 && noted[WOKEN] === 0) throw new Error("it sleeps, and what was appended is not synced");
    },
  },
  "how far the writer is": {
    memory: () => [startedControl(1 << 20, 1 << 20)],
    far: ({ memory }) => {
      const control = withSteppedDoubles(() => new LogControl(memory[0] as SharedArrayBuffer));
      return () => {
        control.publish(2, 20, 200);
        control.publish(3, 30, 300);
      };
    },
    near: ({ memory, noted }) => {
      const control = withSteppedDoubles(() => new LogControl(memory[0] as SharedArrayBuffer));
      return () => {
        const { number, segment, offset } = control.head();
        noted.set([number, segment, offset]);
      };
    },
    check: ({ noted }) => {
      const [number, segment, offset] = noted;
      const whole = number === 1 ? segment === 0 && offset === 0 : segment === number! * 10 && offset === number! * 100;
      if (!whole) throw new Error(`a place that never was: ${noted.subarray(0, 3)}`);
    },
  },
  "a question while the answerer goes to sleep": {
    memory: () => [createReceiptMemory(2)],
    far: (shared) => {
      const asker = new ReceiptAsker(shared.memory[0] as SharedArrayBuffer, note(shared, WOKEN));
      return () => {
        asker.opened(1, 0, 0);
        asker.asked(1, 5);
        asker.asked(1, 6);
      };
    },
    near: ({ memory, noted }) => {
      const answerer = new ReceiptAnswerer(memory[0] as SharedArrayBuffer);
      return () => {
        do while (answerer.take()) (noted[TURNS] as number)++;
        while (!answerer.sleep());
      };
    },
    check: ({ noted }) => {
      if (noted[TURNS] !== 3 && noted[WOKEN] === 0) throw new Error("it sleeps, and there is a question");
    },
  },
  "one waits for room for a question": {
    memory: () => {
      const memory = createReceiptMemory(2);
      const asker = new ReceiptAsker(memory, () => {});
      for (let upTo = 1; asker.room; upTo++) asker.asked(1, upTo);
      // It has been told of them, and takes them.
      new Int32Array(memory)[1] = 0;
      return [memory];
    },
    far: ({ memory, noted }) => {
      const asker = new ReceiptAsker(memory[0] as SharedArrayBuffer, () => {});
      return () => {
        noted[FIRST] = asker.room ? 1 : 0;
      };
    },
    near: (shared) => {
      const answerer = new ReceiptAnswerer(shared.memory[0] as SharedArrayBuffer);
      answerer.onAnswer(note(shared, WOKEN));
      return () => {
        while (answerer.take());
      };
    },
    check: ({ noted }) => {
      if (noted[FIRST] === 0 && noted[WOKEN] === 0) throw new Error("it waits for room that is there");
    },
  },
  "answers while they are looked at": {
    memory: () => {
      const memory = createReceiptMemory(2);
      const answerer = new ReceiptAnswerer(memory);
      answerer.own(0, 1, 0);
      answerer.answer(0, 1, 1);
      return [memory];
    },
    far: ({ memory, noted }) => {
      const asker = new ReceiptAsker(memory[0] as SharedArrayBuffer, () => {});
      return () => {
        // As when the eventfd is read: what is said from now on is for the next time.
        noted[WOKEN] = 0;
        asker.takeChanged();
        noted[FIRST] = asker.answered(0, 1);
        noted[SECOND] = asker.clean(0);
      };
    },
    near: (shared) => {
      const answerer = new ReceiptAnswerer(shared.memory[0] as SharedArrayBuffer);
      answerer.onAnswer(note(shared, WOKEN));
      return () => {
        answerer.answer(0, 2, 2);
        answerer.answer(0, 3, 3);
      };
    },
    check: ({ noted }) => {
      if (noted[FIRST] !== 3 && noted[WOKEN] === 0) throw new Error("an answer is never looked at");
      if ((noted[SECOND] as number) < (noted[FIRST] as number))
        throw new Error("the answer is newer than what it says");
    },
  },
  "settings that are handed over twice": {
    memory: () => [createControl()],
    far: ({ memory, noted }) => {
      const words = controlWords(memory[0] as SharedArrayBuffer);
      return () => {
        // As when the eventfd is read: what is said from now on is for the next time.
        noted[WOKEN] = 0;
        const settings = takeSettings(words);
        if (settings !== undefined) noted.set([settings.maxRecord, settings.tcp.maxMessage]);
      };
    },
    near: (shared) => {
      const words = controlWords(shared.memory[0] as SharedArrayBuffer);
      const settings = (size: number): InputSettings => {
        const input = { maxMessage: size, whenFull: "block" as const };
        return { maxRecord: size, syncAlways: false, datagram: input, stream: input, tcp: input };
      };
      return () => {
        for (const size of [1, 2]) {
          putSettings(words, settings(size));
          note(shared, WOKEN)();
        }
      };
    },
    check: ({ noted }) => {
      // Of both in part, it takes them once more.
      if ((noted[FIRST] !== 2 || noted[SECOND] !== 2) && noted[WOKEN] === 0)
        throw new Error("it goes on by older settings");
    },
  },
};
