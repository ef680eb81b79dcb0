// A stand-in for the daemon's stream input, as a process of its own: it can be told to stop reading, to stop in good order
// (shut down the reading side, read the rest, wait, close), and can be killed. What a connection brought goes as it came to
// DIRECTORY/RUN.NUMBER, so that it outlives the process.
//
// bun streamServer.ts DIRECTORY RUN (unix PATH | datagram PATH | tcp PORT) [stalled]
// Commands on stdin: stall, resume, stop. Events on stdout, one JSON object a line.
import { dlopen, FFIType, type Pointer, ptr } from "bun:ffi";
import { closeSync, openSync, rmSync, writeSync } from "node:fs";

const { i32, u32, u64, ptr: address } = FFIType;
const { symbols: libc } = dlopen("libc.so.6", {
  socket: { args: [i32, i32, i32], returns: i32 },
  bind: { args: [i32, address, u32], returns: i32 },
  listen: { args: [i32, i32], returns: i32 },
  setsockopt: { args: [i32, i32, i32, address, u32], returns: i32 },
  getsockname: { args: [i32, address, address], returns: i32 },
  accept4: { args: [i32, address, address, i32], returns: i32 },
  recv: { args: [i32, address, u64, i32], returns: i32 },
  read: { args: [i32, address, u64], returns: i32 },
  poll: { args: [address, u64, i32], returns: i32 },
  shutdown: { args: [i32, i32], returns: i32 },
  close: { args: [i32], returns: i32 },
});
const MSG_DONTWAIT = 0x40;
const NONBLOCK = 0o4000;
const POLLIN = 1;
const SHUT_RD = 0;

const [directory = "", run = "", kind = "", place = "", initially] = process.argv.slice(2);
const memory = Buffer.from(new ArrayBuffer(1024 * 1024));
const at = (offset: number): Pointer => (ptr(memory) + offset) as Pointer;
const BYTES_AT = 4096;

let listener = open();
let stalled = initially === "stalled";
let accepted = 0;
let received = 0;
const connections = new Map<number, number>();
tell({ event: "listening", port: kind === "tcp" ? port() : 0 });

for (;;) {
  const watched = [0, listener, ...(stalled ? [] : connections.keys())];
  watched.forEach((fd, i) => {
    memory.writeInt32LE(fd, 8 * i);
    memory.writeInt32LE(POLLIN, 8 * i + 4);
  });
  libc.poll(at(0), watched.length, -1);
  const ready = watched.filter((_, i) => memory.readInt16LE(8 * i + 6) !== 0);
  if (ready.includes(0)) obey(commands());
  if (ready.includes(listener)) accept();
  for (const fd of ready) if (connections.has(fd) && !stalled) receive(fd);
}

function open(): number {
  const domain = kind === "tcp" ? 2 : 1;
  const fd = libc.socket(domain, (kind === "datagram" ? 2 : 1) | NONBLOCK, 0);
  memory.fill(0, 0, 128);
  memory.writeInt32LE(1, 0);
  libc.setsockopt(fd, 1, 2, at(0), 4); // SO_REUSEADDR
  memory.writeUInt16LE(domain, 0);
  if (kind === "tcp") {
    memory.writeUInt16BE(Number(place), 2);
    memory.set([127, 0, 0, 1], 4);
  } else {
    rmSync(place, { force: true });
    memory.write(place, 2);
  }
  if (libc.bind(fd, at(0), kind === "tcp" ? 16 : 110) < 0) throw new Error("cannot bind");
  if (kind !== "datagram" && libc.listen(fd, 128) < 0) throw new Error("cannot listen");
  return fd;
}

function port(): number {
  memory.writeUInt32LE(128, 256);
  libc.getsockname(listener, at(0), at(256));
  return memory.readUInt16BE(2);
}

function accept(): void {
  const fd = libc.accept4(listener, null, null, NONBLOCK);
  if (fd < 0) return;
  connections.set(fd, openSync(`${directory}/${run}.${accepted++}`, "w"));
  tell({ event: "accepted" });
}

function receive(fd: number): void {
  if (take(fd) !== 0) return;
  libc.close(fd);
  closeSync(connections.get(fd) as number);
  connections.delete(fd);
  tell({ event: "closed" });
}

/** Reads once, a different amount each time so that every frame is cut somewhere; how much. */
function take(fd: number): number {
  const count = libc.recv(fd, at(BYTES_AT), 1 + Math.floor(Math.random() * 100_000), MSG_DONTWAIT);
  if (count > 0) {
    writeSync(connections.get(fd) as number, memory, BYTES_AT, count);
    received += count;
    tell({ event: "received", bytes: received });
  }
  return count;
}

function commands(): string {
  const count = libc.read(0, at(BYTES_AT), 4096);
  if (count <= 0) process.exit(0);
  return memory.toString("latin1", BYTES_AT, BYTES_AT + count);
}

function obey(text: string): void {
  for (const command of text.trim().split("\n")) {
    if (command === "stall") stalled = true;
    if (command === "resume") stalled = false;
    if (command === "stop") stop();
    tell({ event: command });
  }
}

function stop(): void {
  // Whoever is in the queue of the listener was let in by the kernel already.
  for (let before = -1; before !== accepted; ) {
    before = accepted;
    accept();
  }
  libc.close(listener);
  listener = -1;
  if (kind !== "tcp") rmSync(place, { force: true });
  for (const fd of connections.keys()) libc.shutdown(fd, SHUT_RD);
  // Nothing left and the end look alike now, and neither means that the client has closed.
  for (const fd of connections.keys()) while (take(fd) > 0) {}
  tell({ event: "drained" });
  libc.poll(null, 0, 300);
  for (const fd of connections.keys()) libc.close(fd);
  tell({ event: "stopped" });
  process.exit(0);
}

function tell(event: { event: string; bytes?: number; port?: number }): void {
  writeSync(1, `${JSON.stringify(event)}\n`);
}
