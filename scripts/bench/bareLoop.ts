// The bare receive loop: takes datagrams with the calls that bruce makes, and throws them away. Prints the time, in
// milliseconds since the epoch, whenever COUNT of them have come. Usage: bareLoop.ts SOCKET COUNT
import { writeSync } from "node:fs";
import { Memory, MSG_DONTWAIT, MSG_TRUNC, openLibc, POLLIN } from "../../src/ingest/libc.ts";
import { DATAGRAM, openUnix } from "../../src/ingest/listeners.ts";
import { PollSet } from "../../src/ingest/pollSet.ts";

const MOST = 65_536;

const [path = "", wanted] = process.argv.slice(2);
const count = Number(wanted);
const opened = openLibc();
if ("failure" in opened) throw new Error(opened.failure.message);
const { libc } = opened;
const memory = new Memory(4 * MOST);
const socket = openUnix(libc, memory, DATAGRAM, {
  path,
  mode: 0o600,
  makeDirectory: false,
  maxMessage: MOST,
  whenFull: "block",
});
if ("failure" in socket) throw new Error(socket.failure.message);
const { fd } = socket.opened;
const poll = new PollSet(memory, 1);
poll.watch(0, fd, POLLIN);
const slots = memory.address(poll.offset);
const place = memory.address(memory.allocate(MOST));
writeSync(1, "ready\n");

for (let received = 0; ; ) {
  libc.poll(slots, 1, -1);
  while (libc.recv(fd, place, MOST, MSG_DONTWAIT | MSG_TRUNC) >= 0) {
    received++;
    if (received % count === 0) writeSync(1, `${performance.timeOrigin + performance.now()}\n`);
  }
}
