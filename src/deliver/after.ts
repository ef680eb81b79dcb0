// Timers as delivery takes them: a test or a simulation brings a clock of its own.

/** Calls back once after so many ms; returns what calls it off. */
export type After = (delay: number, callback: () => void) => () => void;

/** On the clock of the system. */
export function afterDelay(delay: number, callback: () => void): () => void {
  const timer = setTimeout(callback, delay);
  return () => clearTimeout(timer);
}
