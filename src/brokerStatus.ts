// The status of one broker, as its two lanes have it.
import type { Broker } from "./deliver/broker.ts";
import type { Lane } from "./deliver/lane.ts";
import type { KafkaFailureKind } from "./kafka/connectionFailure.ts";
import type { BrokerState, BrokerStatus } from "./observe/status.ts";

/** `now`: on the clock of delivery. */
export function brokerStatus(broker: Broker, now: number): BrokerStatus {
  const { id, host, port, lanes, throttle } = broker;
  const failed = lanes.map(({ state }) => state).find((state) => state.kind === "backing off");
  const silence = throttle.left(now);
  return {
    id,
    address: `${host}:${port}`,
    state: failed === undefined ? stateOf(lanes) : isRefusal(failed.failure) ? "refused" : "down",
    in_flight: lanes.reduce((sum, { inFlight }) => sum + inFlight, 0),
    throttled_until: silence > 0 ? Math.round(Date.now() + silence) : null,
    throttled_ms: Math.round(throttle.total),
    slow_replicas: broker.slowSets().map(({ followers }) => [id, ...followers]),
    ...(failed === undefined ? {} : { reason: failed.why }),
  };
}

/** None failed. A lane that was never needed does not speak for the broker. */
function stateOf(lanes: readonly Lane[]): BrokerState {
  const kinds = lanes.map(({ state }) => state.kind);
  if (kinds.includes("open") || kinds.includes("draining")) return "up";
  return kinds.includes("connecting") ? "connecting" : "idle";
}

/** It is there, and does not let us in: no waiting helps. */
function isRefusal(failure: KafkaFailureKind | undefined): boolean {
  return failure === "authentication" || failure === "unsupported";
}
