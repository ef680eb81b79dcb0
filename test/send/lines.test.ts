// Lines of standard input and of files, as a daemon receives them.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SendCommandOptions } from "../../src/commands/send.ts";
import { startSend } from "../support/sendProcess.ts";
import { type Received, receivedIn, type StreamServer, startStreamServer } from "../support/streamServerProcess.ts";

let directory: string;
let socket: string;
let server: StreamServer;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "bruce-lines-"));
  socket = join(directory, "s");
  server = await startStreamServer({ directory, run: 0, socket });
});

afterEach(async () => {
  await server.kill();
  rmSync(directory, { recursive: true });
});

/** Sends `input` and gives what arrived. */
async function sent(input: string | Uint8Array, options: Partial<SendCommandOptions> = {}): Promise<Received[]> {
  const send = startSend({ socket, ...options });
  await send.write(input);
  await send.end();
  const { code, stderr } = await send.finished;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return receivedIn(directory);
}

const values = (messages: Received[]): string[] => messages.map(({ value }) => value.toString("latin1"));

test("each line is one message of the topic, without a key, stamped with the time it was read", async () => {
  const before = BigInt(Date.now());
  const messages = await sent("one\ntwo\n", { topic: "some.topic_1" });
  const after = BigInt(Date.now());
  expect(messages.map(({ apiKey, topic, key, value }) => [apiKey, topic, key.length, value.toString()])).toEqual([
    [256, "some.topic_1", 0, "one"],
    [256, "some.topic_1", 0, "two"],
  ]);
  for (const { timestamp } of messages) expect(timestamp >= before && timestamp <= after).toBe(true);
});

test("an empty line is a message with an empty value", async () => {
  expect(values(await sent("\n\na\n\n"))).toEqual(["", "", "a", ""]);
});

test("no input is no message", async () => {
  expect(await sent("")).toEqual([]);
});

test("a last line without a newline is sent", async () => {
  expect(values(await sent("a\nb"))).toEqual(["a", "b"]);
});

test("a carriage return is data", async () => {
  expect(values(await sent("a\r\n\r\nb\r"))).toEqual(["a\r", "\r", "b\r"]);
});

test("bytes stay what they are", async () => {
  const every = Buffer.from(Array.from({ length: 1024 }, (_, i) => (i * 7 + (i >> 8)) & 0xff).filter((b) => b !== 10));
  const [message] = await sent(Buffer.concat([every, Buffer.from("\n")]));
  expect(message?.value.equals(every)).toBe(true);
});

test("lines of every length around the size of the buffers arrive whole", async () => {
  const lengths = [0, 1, 65_535, 65_536, 65_537, 262_143, 262_144, 262_145, 1_048_500, 1_048_576, 1_048_577, 3];
  const lines = lengths.map((length, i) => String.fromCharCode(97 + i).repeat(length));
  expect(values(await sent(lines.join("\n"))).map((value) => [value[0], value.length])).toEqual(
    lines.map((line) => [line[0], line.length]),
  );
});

test("a line of 15 MB between short ones arrives whole", async () => {
  const long = Buffer.alloc(15_000_000, "0123456789abcdef-");
  const messages = await sent(Buffer.concat([Buffer.from("a\n"), long, Buffer.from("\nb\n"), long]));
  expect(messages.map(({ value }) => value.length)).toEqual([1, long.length, 1, long.length]);
  expect(messages[1]?.value.equals(long)).toBe(true);
});

test("a line too long for a message is named and left out, the others are sent, and the exit code is 1", async () => {
  const send = startSend({ socket });
  await send.write(Buffer.concat([Buffer.from("a\nb\n"), Buffer.alloc(17_000_000, "x"), Buffer.from("\nc\n")]));
  await send.write(Buffer.alloc(40_000_000, "y"));
  await send.end();
  const { code, stderr } = await send.finished;
  expect(values(receivedIn(directory))).toEqual(["a", "b", "c"]);
  expect(code).toBe(1);
  expect(stderr).toContain("line 3 of standard input is too long");
  expect(stderr).toContain("line 5 of standard input is too long");
  expect(stderr).toContain("sent 3 lines");
  expect(stderr).toContain("2 lines too long");
});

test("the longest line that fits a frame of 16 MiB is sent, one byte more is too long", async () => {
  const fits = 16 * 1024 * 1024 - 28 - "lines".length;
  const send = startSend({ socket });
  await send.write(Buffer.concat([Buffer.alloc(fits, "x"), Buffer.from("\n"), Buffer.alloc(fits + 1, "y")]));
  await send.end();
  const { code, stderr } = await send.finished;
  expect({ code, stderr: stderr.includes("line 2 of standard input is too long") }).toEqual({ code: 1, stderr: true });
  expect(receivedIn(directory).map(({ value }) => value.length)).toEqual([fits]);
});

test("a line is sent as soon as it is there, while the input stays open", async () => {
  const send = startSend({ socket });
  let expected = 0;
  for (const line of ["first", "second", "third"]) {
    await send.write(`${line}\n`);
    expected += 28 + "lines".length + line.length;
    await server.receivedBytes(expected);
  }
  await send.write("no end yet");
  await send.end();
  expect((await send.finished).code).toBe(0);
  expect(values(receivedIn(directory))).toEqual(["first", "second", "third", "no end yet"]);
});

describe("keys", () => {
  test("--key is the key of every message, and a number stays as written", async () => {
    const messages = await sent("a\nb\n", { key: "007" });
    expect(messages.map(({ key, value }) => [key.toString(), value.toString()])).toEqual([
      ["007", "a"],
      ["007", "b"],
    ]);
  });

  test("--key-delimiter parts key and value at its first occurrence; without it there is no key", async () => {
    const messages = await sent("k1\tv1\nplain\n\tv2\nk3\t\nk4\ta\tb\n\nk5\tlast", { keyDelimiter: "\\t" });
    expect(messages.map(({ key, value }) => [key.toString(), value.toString()])).toEqual([
      ["k1", "v1"],
      ["", "plain"],
      ["", "v2"],
      ["k3", ""],
      ["k4", "a\tb"],
      ["", ""],
      ["k5", "last"],
    ]);
  });

  test("a key delimiter of several bytes, cut by nothing", async () => {
    const lines = Array.from({ length: 20_000 }, (_, i) => `key${i}::value ${"v".repeat(i % 50)}${i}`);
    const messages = await sent(lines.join("\n"), { keyDelimiter: "::" });
    expect(messages.map(({ key, value }) => `${key}::${value}`)).toEqual(lines);
  });

  test("--partition-key makes PartitionKey messages, negative ones too", async () => {
    for (const partitionKey of ["7", "-2147483648", 2147483647]) await sent("a\n", { partitionKey, key: "k" });
    const messages = receivedIn(directory);
    expect(messages.map(({ apiKey, partitionKey, key }) => [apiKey, partitionKey, key.toString()])).toEqual([
      [257, 7, "k"],
      [257, -2147483648, "k"],
      [257, 2147483647, "k"],
    ]);
  });
});

describe("--delimiter", () => {
  test("a zero byte, as find -print0 writes", async () => {
    expect(values(await sent("a\nb\0\0c", { delimiter: "\\0" }))).toEqual(["a\nb", "", "c"]);
  });

  test("several bytes, and what only begins like them is data", async () => {
    expect(values(await sent("a--\n--b--\n-c--\n--", { delimiter: "--\\n--" }))).toEqual(["a", "b--\n-c"]);
  });

  test("several bytes, wherever the reads cut them", async () => {
    const lines = Array.from({ length: 30_000 }, (_, i) => `${i}${"\r".repeat(i % 3)}x`);
    expect(values(await sent(lines.join("\r\n"), { delimiter: "\\r\\n" }))).toEqual(lines);
  });

  test("a byte by its number", async () => {
    expect(values(await sent(Buffer.of(1, 0xff, 2, 0xff), { delimiter: "\\xff" }))).toEqual(["\x01", "\x02"]);
  });
});

describe("files", () => {
  test("several, in their order, standard input among them; the end of a file ends its last line", async () => {
    writeFileSync(join(directory, "a"), "1\n2");
    writeFileSync(join(directory, "empty"), "");
    writeFileSync(join(directory, "b"), "5\n");
    const files = [join(directory, "a"), "-", join(directory, "empty"), join(directory, "b")];
    expect(values(await sent("3\n4", { files }))).toEqual(["1", "2", "3", "4", "5"]);
  });

  test("one that is missing, or a directory, is named before anything is sent", async () => {
    writeFileSync(join(directory, "a"), "1\n");
    mkdirSync(join(directory, "d"));
    for (const [wrong, words] of [
      ["missing", "there is no file"],
      ["d", "is a directory"],
    ] as const) {
      const send = startSend({ socket, files: [join(directory, "a"), join(directory, wrong)] });
      const { code, stderr } = await send.finished;
      expect(code).toBe(2);
      expect(stderr).toContain(join(directory, wrong));
      expect(stderr).toContain(words);
    }
    expect(receivedIn(directory)).toEqual([]);
  });

  test("a named pipe is read as its writer writes", async () => {
    const pipe = join(directory, "pipe");
    execFileSync("mkfifo", [pipe]);
    const send = startSend({ socket, files: [pipe] });
    await server.seen("accepted");
    appendFileSync(pipe, "a\nb\n");
    expect((await send.finished).code).toBe(0);
    expect(values(receivedIn(directory))).toEqual(["a", "b"]);
  });

  test("standard input may be a file", async () => {
    writeFileSync(join(directory, "a"), "1\n2\n");
    const send = startSend({ socket }, { stdin: Bun.file(join(directory, "a")) });
    expect((await send.finished).code).toBe(0);
    expect(values(receivedIn(directory))).toEqual(["1", "2"]);
  });
});
