// What sender.c does, for machines without a C compiler; the same arguments and output, but more CPU for each datagram.
import { dlopen, FFIType } from "bun:ffi";
import { readFileSync } from "node:fs";
import { Memory } from "../../src/ingest/libc.ts";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const ADDRESS_SIZE = 110;

const { i32, u32, u64_fast } = FFIType;
const { symbols: libc } = dlopen("libc.so.6", {
  socket: { args: [i32, i32, i32], returns: i32 },
  connect: { args: [i32, u64_fast, u32], returns: i32 },
  send: { args: [i32, u64_fast, u64_fast, i32], returns: i32 },
});

const [path = "", count, file = "", offset, digits] = process.argv.slice(2);
const memory = new Memory(1 << 18);
const address = memory.allocate(ADDRESS_SIZE);
memory.bytes.writeUInt16LE(AF_UNIX, address);
memory.bytes.write(`${path}\0`, address + 2);
const content = readFileSync(file);
const message = memory.allocate(content.length);
memory.bytes.set(content, message);
const firstDigit = message + Number(offset);
const lastDigit = firstDigit + Number(digits) - 1;

const fd = libc.socket(AF_UNIX, SOCK_DGRAM, 0);
if (libc.connect(fd, memory.address(address), ADDRESS_SIZE) !== 0) throw new Error(`cannot connect to ${path}`);
const start = performance.timeOrigin + performance.now();
for (let left = Number(count); left > 0; left--) {
  const sent = libc.send(fd, memory.address(message), content.length, 0);
  if (sent !== content.length) throw new Error(`a datagram of ${content.length} bytes was not taken`);
  countUp(memory.bytes);
}
process.stdout.write(`${Math.round(start * 1e6)}\n`);

function countUp(bytes: Buffer): void {
  for (let at = lastDigit; at >= firstDigit; at--) {
    const digit = (bytes[at] ?? 0) + 1;
    bytes[at] = digit > 0x39 ? 0x30 : digit;
    if (digit <= 0x39) return;
  }
}
