import { expect, test } from "bun:test";
import { formatRecord } from "../../src/dev/formatRecord.ts";

const TIMESTAMP = BigInt(new Date(2026, 0, 2, 3, 4, 5, 6).getTime());

function line(value: string | Uint8Array | null, key: string | Uint8Array | null = null, width = 80): string {
  const bytes = (part: string | Uint8Array | null) => (part === null ? null : Buffer.from(part));
  const record = { offset: 12, timestamp: TIMESTAMP, key: bytes(key), value: bytes(value), headers: [] };
  return formatRecord("clicks", 3, record, { width, colors: false });
}

const HEAD = "03:04:05.006 clicks[3]@12 ";

test("a line has time, topic, partition, offset, key and value", () => {
  expect(line("hello", "user-7")).toBe(`${HEAD}key=user-7 hello`);
  expect(line("hello")).toBe(`${HEAD}hello`);
  expect(line("")).toBe(HEAD);
  expect(line(null)).toBe(`${HEAD}null`);
});

test.each([
  ["text of any language", "grüße 你好 🎉", "grüße 你好 🎉"],
  ["newlines and tabs", "a\nb\tc\r", "a\\nb\\tc\\r"],
  ["commands for the terminal", "\x1b[2J\x07\x7f", "\\x1b[2J\\x07\\x7f"],
  ["C1 controls", "\u009b31m", "\\xc2\\x9b31m"],
  ["marks that turn text around", "a\u202eb", "a\\xe2\\x80\\xaeb"],
  ["bytes that are no UTF-8", Uint8Array.of(0x61, 0xff, 0xc3, 0x28, 0xf0, 0x9f), "a\\xff\\xc3(\\xf0\\x9f"],
  ["bytes that are no UTF-8 among some that are", Uint8Array.of(0x80, 0xc3, 0xbc, 0x0a), "\\x80ü\\n"],
])("%s appear so that one line stays one line", (_name, value, shown) => {
  expect(line(value)).toBe(HEAD + shown);
});

test("a line is cut to the width, with an ellipsis", () => {
  const cut = line("x".repeat(1000), "k".repeat(1000), 120);
  expect(cut).toHaveLength(120);
  expect(cut).toEndWith("xxx…");
  expect(cut).toContain(`key=${"k".repeat(39)}… x`);
});

test("wide characters take two columns", () => {
  const cut = line("你".repeat(100), null, 60);
  expect(Bun.stringWidth(cut)).toBeLessThanOrEqual(60);
  expect(Bun.stringWidth(cut)).toBeGreaterThan(57);
});

test("a cut inside a character does not show", () => {
  for (let width = 50; width < 60; width++) expect(line("ü🎉".repeat(500), null, width)).not.toContain("\\x");
});

test("the value has some room left on the narrowest terminal", () => {
  expect(line("x".repeat(100), null, 10)).toBe(`${HEAD}${"x".repeat(19)}…`);
});

test("colours do not count", () => {
  const record = { offset: 1, timestamp: 0n, key: null, value: Buffer.from("v".repeat(200)), headers: [] };
  const colored = formatRecord("t", 0, record, { width: 80, colors: true });
  expect(colored).toContain("\x1b[36mt\x1b[39m");
  expect(Bun.stringWidth(colored)).toBe(80);
});

test("a time that no calendar has is shown as it is", () => {
  const record = { offset: 1, timestamp: 2n ** 62n, key: null, value: Buffer.from("v"), headers: [] };
  expect(formatRecord("t", 0, record, { width: 80, colors: false })).toStartWith(`${2n ** 62n} t[0]@1 v`);
});
