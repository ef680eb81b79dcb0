// Runs the two sides of a protocol over shared memory in two threads, once in each order that their steps can have, as long
// as they do not take turns too often.
//
// A step is one access to shared memory that goes through Atomics, or through one of the accessors named in `plain`. The
// other side stands still meanwhile, so what an order comes to is the same each time, and the order that fails is shown.

/** What both threads load, by name, from the module that is named. */
export interface Protocol {
  /** What there is before the first step. Made once; each order begins with a copy of it. */
  memory: () => SharedArrayBuffer[];
  /** Opens a side, and answers what it does, in one go. */
  far: (shared: Shared) => () => void;
  near: (shared: Shared) => () => void;
  /** What must hold when both are done, whatever the order was. Throws when it does not. */
  check: (shared: Shared) => void;
}

export interface Shared {
  memory: SharedArrayBuffer[];
  /** For what the sides tell each other, and `check`, without a step of its own. Begins with zeros. */
  noted: Float64Array;
}

/** Accessors to memory that is shared and not accessed by Atomics. */
export type Plain = readonly (readonly [prototype: object, names: readonly string[]])[];

const NOTES = 16;
/** For one step, on a machine that is busy. Milliseconds. */
const PATIENCE = 60_000;
// Of the word by which the two threads wait for each other.
const GO = 0;
export const STANDS = 1;
export const DONE = 2;

export interface FarOrder extends Shared {
  module: string;
  name: string;
  gate: Int32Array;
}

const { load, store, exchange, wait, notify } = Atomics;
export const gateway = { store, wait, notify };

let stepNow = () => {};

/** Memory of doubles each access to which is a step. To be had by what is opened in `open`. */
export function withSteppedDoubles<T>(open: () => T): T {
  const Plain = globalThis.Float64Array;
  const traps: ProxyHandler<Float64Array> = {
    get(target, key) {
      stepNow();
      const value: unknown = Reflect.get(target, key, target);
      return value;
    },
    set(target, key, value) {
      stepNow();
      return Reflect.set(target, key, value, target);
    },
  };
  globalThis.Float64Array = new Proxy(Plain, {
    construct: (target, args) => new Proxy(Reflect.construct(target, args) as Float64Array, traps),
  });
  try {
    return open();
  } finally {
    globalThis.Float64Array = Plain;
  }
}

/** Calls `step` before each access while it answers what it does. Answers how to make an end of that. */
export function hook(plain: Plain, step: () => void): () => void {
  stepNow = step;
  const undo: (() => void)[] = [
    () => {
      stepNow = () => {};
    },
  ];
  const replace = (on: object, name: string, property: PropertyDescriptor) => {
    const before = Object.getOwnPropertyDescriptor(on, name) as PropertyDescriptor;
    Object.defineProperty(on, name, { ...before, ...property });
    undo.push(() => Object.defineProperty(on, name, before));
  };
  for (const [name, original] of Object.entries({ load, store, exchange })) {
    const access = original as (...args: unknown[]) => unknown;
    replace(Atomics, name, {
      value: (...args: unknown[]) => {
        step();
        return access(...args);
      },
    });
  }
  for (const [prototype, names] of plain) {
    for (const name of names) {
      const { get, set } = Object.getOwnPropertyDescriptor(prototype, name) as PropertyDescriptor;
      const property: PropertyDescriptor = {};
      if (get !== undefined)
        property.get = function () {
          step();
          return get.call(this);
        };
      if (set !== undefined)
        property.set = function (value: unknown) {
          step();
          set.call(this, value);
        };
      replace(prototype, name, property);
    }
  }
  return () => {
    for (const each of undo) each();
  };
}

/**
 * Runs them in every order in which the far side goes on at most `pieces` times before the near one is done. Answers how many
 * those were. `module`: the address of what exports `protocols` and `plain`.
 */
export async function inEveryOrder(module: string, name: string, pieces = 2): Promise<number> {
  const { protocols, plain } = (await import(module)) as { protocols: Record<string, Protocol>; plain: Plain };
  const protocol = protocols[name] as Protocol;
  const first = protocol.memory().map((each) => new Uint8Array(each));
  const memory = first.map(({ length }) => new SharedArrayBuffer(length));
  const noted = new Float64Array(new SharedArrayBuffer(NOTES * 8));
  const gate = new Int32Array(new SharedArrayBuffer(64));
  const worker = new Worker(new URL("./interleave.worker.ts", import.meta.url));
  const ready = Promise.withResolvers<void>();
  worker.onmessage = () => ready.resolve();
  worker.onerror = (event) => ready.reject(event);
  worker.postMessage({ module, name, gate, memory, noted } satisfies FarOrder);
  await ready.promise;
  /** Lets the far side take its next step. False: it is done. */
  const advance = (): boolean => {
    store(gate, 0, GO);
    notify(gate, 0);
    while (load(gate, 0) === GO)
      if (wait(gate, 0, GO, PATIENCE) === "timed-out") throw new Error(`${name}: the other thread does not go on`);
    return load(gate, 0) === STANDS;
  };
  let orders = 0;
  // Before each step of the near side, so many of the far one; the last that can be more is, until none can.
  const choices: number[] = [];
  try {
    for (;;) {
      for (const [index, each] of memory.entries()) new Uint8Array(each).set(first[index] as Uint8Array);
      noted.fill(0);
      const near = protocol.near({ memory, noted });
      let goesOn = advance();
      let at = 0;
      const mayBeMore: boolean[] = [];
      const unhook = hook(plain, () => {
        choices[at] ??= 0;
        for (let left = choices[at] as number; left > 0 && goesOn; left--) goesOn = advance();
        const before = choices.slice(0, at).filter((steps) => steps > 0).length;
        mayBeMore[at++] = goesOn && before < pieces;
      });
      try {
        near();
      } finally {
        unhook();
      }
      while (goesOn) goesOn = advance();
      orders++;
      try {
        protocol.check({ memory, noted });
      } catch (error) {
        throw new Error(`${name}, steps of the other thread before each of this one's: ${choices.slice(0, at)}`, {
          cause: error,
        });
      }
      choices.length = at;
      while (choices.length > 0 && mayBeMore[choices.length - 1] === false) choices.pop();
      if (choices.length === 0) return orders;
      (choices[choices.length - 1] as number)++;
    }
  } finally {
    worker.terminate();
  }
}
