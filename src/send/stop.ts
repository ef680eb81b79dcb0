// SIGINT and SIGTERM: the first asks to stop reading and to send what is there, the second to stop at once.

export interface Stop {
  /** How often it was asked. */
  readonly count: number;
  /** The first signal. */
  readonly signal: "SIGINT" | "SIGTERM" | undefined;
  /** Leaves signals to whoever comes next. */
  release(): void;
}

export function listenForStop(): Stop {
  let count = 0;
  let signal: Stop["signal"];
  const note = (name: "SIGINT" | "SIGTERM") => () => {
    count++;
    signal ??= name;
  };
  const onInterrupt = note("SIGINT");
  const onTerminate = note("SIGTERM");
  process.on("SIGINT", onInterrupt);
  process.on("SIGTERM", onTerminate);
  return {
    get count() {
      return count;
    },
    get signal() {
      return signal;
    },
    release() {
      process.off("SIGINT", onInterrupt);
      process.off("SIGTERM", onTerminate);
    },
  };
}
