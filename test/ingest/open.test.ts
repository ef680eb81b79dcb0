// What keeps an input from being opened is said clearly, and then nothing is left behind.
import { afterEach, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { IngestError } from "../../src/ingest/ingest.ts";
import { AF_UNIX, Memory, openLibc, SOCK_DGRAM, SOCK_STREAM } from "../../src/ingest/libc.ts";
import type { IngestFailure } from "../../src/ingest/report.ts";
import { writeUnixAddress } from "../../src/ingest/socketAddress.ts";
import { client, DatagramClient, frame, Harness } from "./support.ts";

let harness: Harness;
let others: Harness[] = [];
afterEach(async () => {
  for (const one of [harness, ...others]) await one.stop();
  others = [];
});

async function failureOf(one: Harness): Promise<IngestFailure> {
  try {
    await one.start();
  } catch (error) {
    if (error instanceof IngestError) return error.failure;
    throw error;
  }
  throw new Error("it started");
}

function modeOf(path: string): string {
  return (statSync(path).mode & 0o7777).toString(8);
}

/** Leaves a socket file without a process behind it. */
function leaveStale(path: string, type: number): void {
  const opened = openLibc();
  if ("failure" in opened) throw new Error(opened.failure.message);
  const memory = new Memory(65_536);
  const fd = opened.libc.socket(AF_UNIX, type, 0);
  opened.libc.bind(fd, memory.address(0), writeUnixAddress(memory.bytes, 0, path));
  opened.libc.close(fd);
}

test("socket files have the mode they are given, whatever the umask, and go with the stop", async () => {
  harness = new Harness();
  harness.input.datagram.mode = 0o222;
  harness.input.stream.mode = 0o660;
  const umask = process.umask(0o077);
  try {
    await harness.start();
  } finally {
    process.umask(umask);
  }
  expect([modeOf(harness.input.datagram.path), modeOf(harness.input.stream.path)]).toEqual(["222", "660"]);
  expect(readdirSync(harness.directory).sort()).toEqual(["d.sock", "s.sock"]);
  await harness.stop();
  expect(existsSync(harness.directory)).toBe(false);
});

test("the file of a dead socket is replaced", async () => {
  harness = new Harness();
  leaveStale(harness.input.datagram.path, SOCK_DGRAM);
  leaveStale(harness.input.stream.path, SOCK_STREAM);
  await harness.start();
  const datagrams = new DatagramClient(harness.input.datagram.path);
  datagrams.send(frame("a"));
  const stream = await client(harness.input.stream.path);
  stream.write(frame("b"));
  await harness.until(() => harness.values.length === 2);
  datagrams.close();
  stream.destroy();
});

test("a second daemon on the same sockets is refused, and the first one keeps them", async () => {
  harness = new Harness();
  await harness.start();
  for (const shared of ["datagram", "stream"] as const) {
    const second = new Harness();
    others.push(second);
    second.input[shared].path = harness.input[shared].path;
    expect(await failureOf(second)).toMatchObject({ kind: "in_use", path: harness.input[shared].path });
    expect(readdirSync(second.directory)).toEqual([]);
  }
  const crossed = new Harness();
  others.push(crossed);
  crossed.input.stream.path = harness.input.datagram.path;
  expect(await failureOf(crossed)).toMatchObject({ kind: "in_use" });
  const stream = await client(harness.input.stream.path);
  stream.write(frame("still here"));
  await harness.until(() => harness.values.length === 1);
  stream.destroy();
});

test("a port in use is said so", async () => {
  harness = new Harness();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  harness.input.tcp.enabled = true;
  harness.input.tcp.listen.port = typeof address === "object" ? (address?.port ?? 0) : 0;
  const failure = await failureOf(harness);
  expect(failure).toMatchObject({ kind: "port_in_use", path: `127.0.0.1:${harness.input.tcp.listen.port}` });
  expect(failure.message).toContain("port in use");
  expect(readdirSync(harness.directory)).toEqual([]);
  server.close();
});

test("an address that is not this machine's is said so", async () => {
  harness = new Harness();
  harness.input.tcp.enabled = true;
  harness.input.tcp.listen.host = "192.0.2.1";
  expect(await failureOf(harness)).toMatchObject({ kind: "bad_address" });
});

test("IPv6 is listened on as well", async () => {
  harness = new Harness();
  harness.input.tcp.enabled = true;
  harness.input.tcp.listen.host = "::1";
  const { addresses, status } = await harness.start();
  const socket = await client(addresses.tcp ?? "");
  socket.write(frame("six"));
  await harness.until(() => harness.values.length === 1);
  socket.destroy();
  await harness.until(() => harness.counters.tcp?.open === 0);
  expect(status()[2]).toMatchObject({ input: "tcp", address: `[::1]:${addresses.tcp?.port}`, received: 1 });
});

test("a directory that does not exist is not made, and said so", async () => {
  harness = new Harness();
  harness.input.datagram.path = join(harness.directory, "missing", "d.sock");
  const failure = await failureOf(harness);
  expect(failure).toMatchObject({ kind: "no_directory", path: harness.input.datagram.path });
  expect(failure.message).toContain(`${join(harness.directory, "missing")} does not exist`);
});

test("a path through something that is no directory is said so", async () => {
  harness = new Harness();
  writeFileSync(join(harness.directory, "file"), "");
  harness.input.datagram.path = join(harness.directory, "file", "d.sock");
  expect(await failureOf(harness)).toMatchObject({ kind: "no_directory" });
});

test("a directory that is not writable is said so", async () => {
  harness = new Harness();
  const directory = join(harness.directory, "closed");
  mkdirSync(directory);
  chmodSync(directory, 0o555);
  // Root may write anywhere but where the kernel lets nobody.
  harness.input.datagram.path = process.geteuid?.() === 0 ? "/sys/bruce.sock" : join(directory, "d.sock");
  expect(await failureOf(harness)).toMatchObject({ kind: "not_writable" });
});

test("a file that is no socket is never removed", async () => {
  harness = new Harness();
  writeFileSync(harness.input.stream.path, "precious");
  expect(await failureOf(harness)).toMatchObject({ kind: "not_a_socket", path: harness.input.stream.path });
  expect(existsSync(harness.input.stream.path)).toBe(true);
  expect(existsSync(harness.input.datagram.path)).toBe(false);
});

test("a path of 107 bytes is allowed, one of 108 is too long", async () => {
  harness = new Harness();
  const path = (length: number) => `${harness.directory}/`.padEnd(length, "x");
  harness.input.stream.path = path(108);
  expect(await failureOf(harness)).toMatchObject({ kind: "path_too_long" });
  const second = new Harness();
  others.push(second);
  second.input.stream.path = path(107);
  await second.start();
  const stream = await client(second.input.stream.path);
  stream.write(frame("long path"));
  await second.until(() => second.values.length === 1);
  stream.destroy();
});
