// Faults on order: what the embedded broker does wrong, and to which request.
import type { ApiName } from "./protocol/apiKeys.ts";

export interface TopicPartition {
  topic: string;
  partition: number;
}

/** A request as a fault rule sees it. */
export interface FaultRequest {
  /** "Connect": no request, but a connection that was opened; it has no version and names nothing. */
  api: ApiName | "Connect";
  apiVersion: number;
  correlationId: number;
  clientId: string | null;
  /** The node that got it. */
  node: number;
  /** The connection it came on: 1, 2, 3 … over all nodes. */
  connection: number;
  /** How many requests of this API came so far, this one included, over all nodes. */
  attempt: number;
  /** The topics named; none for a Metadata request for all topics. */
  topics: string[];
  /** Of Produce, Fetch and ListOffsets; for Produce with the batch as it came. */
  partitions: (TopicPartition & { batch?: Buffer })[];
}

/** Which topics or partitions an error is for. An entry without a partition means the topic with all of them. */
export type FaultTarget = { topic?: string; partition?: number }[];

/** An error code instead of, or (`append`) after, doing what was asked. */
export interface ErrorFault {
  kind: "error";
  code: number;
  /** All that the request names, when left out. The others are served. */
  only?: FaultTarget;
  /** Produce: append the batch all the same. */
  append?: boolean;
  /** Produce v8: the records at fault, and the message for the whole. */
  recordErrors?: { index: number; message: string | null }[];
  message?: string;
  /** Milliseconds. */
  throttleTime?: number;
}

/** Wait, then serve it or do `andThen`. `append`: serve it at once and hold back only the answer. */
export interface DelayFault {
  kind: "delay";
  until: Promise<unknown>;
  append?: boolean;
  andThen?: Fault;
}

export type Fault = DelayFault | ActingFault;

export type ActingFault =
  | ErrorFault
  /** Serve it, and ask the client to pause for `time` milliseconds. */
  | { kind: "throttle"; time: number }
  /** Never answer this request, nor those behind it on the connection. `append`: but do what it asks. */
  | { kind: "silent"; append?: boolean }
  /** Close the connection after `after` bytes of the response (default 0). `append`: having done what it asks. */
  | { kind: "cut"; after?: number; append?: boolean }
  /** These bytes instead of a response. `append`: having done what it asks. */
  | { kind: "garbage"; bytes: Uint8Array; append?: boolean }
  /** Serve it, but with this in the response's size field. */
  | { kind: "size"; size: number }
  /** Serve it, but answer with this correlation id. */
  | { kind: "correlationId"; id: number }
  /** Serve it, but answer with what `change` makes of the response (size and correlation id included). */
  | { kind: "change"; change: (response: Buffer) => Uint8Array };

/** What can befall a connection when it is opened: silence, garbage unasked, or its end once it has read `after` bytes. */
export type ConnectFault =
  | { kind: "silent" }
  | { kind: "garbage"; bytes: Uint8Array }
  | { kind: "cut"; after?: number };

/**
 * Which requests a rule is for: all of an API, or those for which every field given holds, or a function's say. A connection
 * that is opened is meant only by "Connect", alone or as `api`; of the faults it knows the kinds of `ConnectFault`.
 */
export type FaultMatch =
  | FaultRequest["api"]
  | { api?: FaultRequest["api"]; node?: number; connection?: number; topic?: string; partition?: number }
  | ((request: FaultRequest) => boolean);

/** A function may look at the request first; undefined: no fault this time (and it does not count). */
export type FaultChoice = Fault | ((request: FaultRequest) => Fault | undefined);

export interface FaultRule {
  /** How often it acted. */
  readonly hits: number;
  /** Resolves when it acted for the first time. */
  readonly hit: Promise<FaultRequest>;
  /** Resolves when it acted as often as it was ordered to; never for `always`. */
  readonly done: Promise<void>;
  remove(): void;
}

export interface FaultScript {
  once(match: FaultMatch, fault: FaultChoice): FaultRule;
  times(count: number, match: FaultMatch, fault: FaultChoice): FaultRule;
  always(match: FaultMatch, fault: FaultChoice): FaultRule;
  /** Removes all rules. */
  clear(): void;
  /** What the broker asks for each request: the first rule that matches, in the order they were given, acts. */
  decide(request: FaultRequest): Fault | undefined;
}

interface Rule {
  match: FaultMatch;
  fault: FaultChoice;
  left: number;
  hits: number;
  hit: PromiseWithResolvers<FaultRequest>;
  done: PromiseWithResolvers<void>;
}

export function createFaultScript(): FaultScript {
  let rules: Rule[] = [];

  function add(count: number, match: FaultMatch, fault: FaultChoice): FaultRule {
    const hit = Promise.withResolvers<FaultRequest>();
    const rule: Rule = { match, fault, left: count, hits: 0, hit, done: Promise.withResolvers<void>() };
    rules.push(rule);
    return {
      get hits() {
        return rule.hits;
      },
      hit: rule.hit.promise,
      done: rule.done.promise,
      remove: () => {
        rules = rules.filter((other) => other !== rule);
      },
    };
  }

  function decide(request: FaultRequest): Fault | undefined {
    for (const rule of rules) {
      if (!matches(rule.match, request)) continue;
      const fault = typeof rule.fault === "function" ? rule.fault(request) : rule.fault;
      if (fault === undefined) continue;
      rule.hits += 1;
      rule.left -= 1;
      rule.hit.resolve(request);
      if (rule.left === 0) {
        rules = rules.filter((other) => other !== rule);
        rule.done.resolve();
      }
      return fault;
    }
    return undefined;
  }

  return {
    once: (match, fault) => add(1, match, fault),
    times: add,
    always: (match, fault) => add(Number.POSITIVE_INFINITY, match, fault),
    clear: () => {
      rules = [];
    },
    decide,
  };
}

/** Whether an error is for this topic, or for this partition. */
export function isTarget(only: FaultTarget | undefined, topic: string, partition?: number): boolean {
  if (only === undefined) return true;
  return only.some((entry) => {
    const topicFits = entry.topic === undefined || entry.topic === topic;
    return topicFits && (entry.partition === undefined || entry.partition === partition);
  });
}

function matches(match: FaultMatch, request: FaultRequest): boolean {
  if (typeof match === "string") return request.api === match;
  if (request.api === "Connect" && (typeof match === "function" || match.api !== "Connect")) return false;
  if (typeof match === "function") return match(request);
  const { api, node, connection, topic, partition } = match;
  if (api !== undefined && api !== request.api) return false;
  if (node !== undefined && node !== request.node) return false;
  if (connection !== undefined && connection !== request.connection) return false;
  if (partition === undefined) return topic === undefined || request.topics.includes(topic);
  return request.partitions.some((p) => p.partition === partition && (topic === undefined || p.topic === topic));
}
