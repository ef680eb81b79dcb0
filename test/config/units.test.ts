import { expect, test } from "bun:test";
import fc from "fast-check";
import { nearest } from "../../src/config/nearest.ts";
import { formatDuration, formatSize, parseDuration, parseSize } from "../../src/config/units.ts";

test("sizes are powers of 1024", () => {
  expect(["0", "1000", "64k", "128m", "4g", "1K"].map(parseSize)).toEqual([
    0, 1000, 65_536, 134_217_728, 4_294_967_296, 1024,
  ]);
  for (const bad of ["", "k", "1.5k", "-1", "1kb", "1 k", "9007199254740992", "1t", "0x10"]) {
    expect(parseSize(bad)).toBeUndefined();
  }
});

test("durations need a unit, but for 0", () => {
  expect(["0", "500ms", "30s", "15m", "24h"].map(parseDuration)).toEqual([0, 500, 30_000, 900_000, 86_400_000]);
  for (const bad of ["", "5", "1d", "-1s", "1.5s", "1h30m", "1S", " 1s"]) expect(parseDuration(bad)).toBeUndefined();
});

test("what is written reads back", () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (value) => {
      expect(parseSize(formatSize(value))).toBe(value);
      expect(parseDuration(formatDuration(value))).toBe(value);
    }),
  );
});

test("the nearest name is offered only when it is near", () => {
  const names = ["linger", "bytes", "messages", "request_bytes"];
  expect(nearest("lnger", names)).toBe("linger");
  expect(nearest("lingre", names)).toBe("linger");
  expect(nearest("requestBytes", names)).toBe("request_bytes");
  expect(nearest("request-bytes", names)).toBe("request_bytes");
  expect(nearest("colour", names)).toBeUndefined();
  expect(nearest("x", names)).toBeUndefined();
  expect(nearest("x".repeat(1_000_000), names)).toBeUndefined();
});
