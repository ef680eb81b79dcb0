// What each of those that are compared is to the benchmark.

/** One round. */
export interface Measured {
  /** Messages per second, from the first one sent to the last one delivered. */
  rate: number;
  /** User and system time of the forwarder for each message, in microseconds. */
  cpu?: number;
  /** The same of the client, where there is one that belongs to it. */
  clientCpu?: number;
}

export interface Contender {
  name: string;
  /** Sends all messages and waits until each is delivered; rejects when one is missing. */
  round(): Promise<Measured>;
  /** The most memory that its process has used, in bytes; undefined where it does not last over the rounds. */
  peak(): number | undefined;
}

/** One that cannot take part. */
export interface Missing {
  name: string;
  /** What installs it. */
  install: string;
}

/** Milliseconds to a rate per second. */
export function rateOf(messages: number, start: number, end: number): number {
  return messages / ((end - start) / 1000);
}
