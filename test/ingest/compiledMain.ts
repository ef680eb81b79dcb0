// Entry of an executable that a test compiles: takes one message on each input, says so, and stops.
import { client, DatagramClient, frame, Harness } from "./support.ts";

const harness = new Harness();
harness.input.tcp.enabled = true;
const { addresses } = await harness.start();
const datagrams = new DatagramClient(harness.input.datagram.path);
datagrams.send(frame("datagram"));
await harness.until(() => harness.values.length === 1);
for (const [name, where] of [
  ["stream", addresses.stream ?? ""],
  ["tcp", addresses.tcp ?? ""],
] as const) {
  const socket = await client(where);
  const before = harness.values.length;
  socket.end(frame(name));
  await harness.until(() => harness.values.length > before);
}
await harness.stop();
process.stdout.write(JSON.stringify({ values: harness.values, compiled: import.meta.url.includes("$bunfs") }));
