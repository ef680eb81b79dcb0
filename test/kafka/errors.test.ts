import { describe, expect, test } from "bun:test";
import { errorOf } from "../../src/kafka/errors.ts";

describe("the table of Kafka's errors", () => {
  test.each([
    [-1, "UNKNOWN_SERVER_ERROR", "retry"],
    [0, "NONE", "success"],
    [2, "CORRUPT_MESSAGE", "retry"],
    [3, "UNKNOWN_TOPIC_OR_PARTITION", "refresh"],
    [5, "LEADER_NOT_AVAILABLE", "refresh"],
    [6, "NOT_LEADER_OR_FOLLOWER", "refresh"],
    [7, "REQUEST_TIMED_OUT", "retry"],
    [8, "BROKER_NOT_AVAILABLE", "refresh"],
    [9, "REPLICA_NOT_AVAILABLE", "refresh"],
    [10, "MESSAGE_TOO_LARGE", "split"],
    [13, "NETWORK_EXCEPTION", "retry"],
    [14, "COORDINATOR_LOAD_IN_PROGRESS", "retry"],
    [17, "INVALID_TOPIC_EXCEPTION", "discard"],
    [18, "RECORD_LIST_TOO_LARGE", "split"],
    [19, "NOT_ENOUGH_REPLICAS", "retry"],
    [20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", "retry"],
    [29, "TOPIC_AUTHORIZATION_FAILED", "hold"],
    [31, "CLUSTER_AUTHORIZATION_FAILED", "hold"],
    [32, "INVALID_TIMESTAMP", "records"],
    [43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", "hold"],
    [44, "POLICY_VIOLATION", "hold"],
    [45, "OUT_OF_ORDER_SEQUENCE_NUMBER", "renew"],
    [46, "DUPLICATE_SEQUENCE_NUMBER", "success"],
    [47, "INVALID_PRODUCER_EPOCH", "renew"],
    [56, "KAFKA_STORAGE_ERROR", "retry"],
    [59, "UNKNOWN_PRODUCER_ID", "renew"],
    [74, "FENCED_LEADER_EPOCH", "refresh"],
    [75, "UNKNOWN_LEADER_EPOCH", "refresh"],
    [87, "INVALID_RECORD", "records"],
    [89, "THROTTLING_QUOTA_EXCEEDED", "retry"],
  ] as const)("%i %s: %s", (code, name, action) => {
    expect(errorOf(code)).toMatchObject({ name, action });
    expect(errorOf(code).why).not.toBe("");
  });

  test("names every code up to 133", () => {
    for (let code = -1; code <= 133; code++) expect(errorOf(code).name).not.toStartWith("UNLISTED");
  });

  test("a code that is not listed holds the topic, never discards", () => {
    expect(errorOf(9999)).toMatchObject({ name: "UNLISTED_9999", action: "hold" });
    expect(errorOf(-2).action).toBe("hold");
  });
});
