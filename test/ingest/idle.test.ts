// The input thread sits in poll when it has nothing to do, also when it may not read what is there.
import { afterEach, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { client, DatagramClient, frame, Harness, write } from "./support.ts";

let harness: Harness;
afterEach(() => harness.stop());

/** Processor time that the threads named Worker have used, in hundredths of a second. */
function processorTime(): number {
  const tasks = readdirSync("/proc/self/task").map((task) => {
    try {
      return readFileSync(`/proc/self/task/${task}/stat`, "utf8");
    } catch {
      return ""; // it has ended meanwhile
    }
  });
  const workers = tasks
    .filter((stat) => stat.includes("(Worker)"))
    .map((stat) => stat.split(") ")[1]?.split(" ") ?? []);
  return workers.reduce((sum, fields) => sum + Number(fields[11]) + Number(fields[12]), 0);
}

test("with inputs paused by a full queue, and clients that wait and that have gone, it uses no processor", async () => {
  harness = new Harness(100_000);
  harness.input.datagram.whenFull = "block";
  harness.reading = false;
  await harness.start();
  const datagrams = new DatagramClient(harness.input.datagram.path);
  for (let refused = 0; refused < 200; ) {
    if (datagrams.trySend(frame("x".repeat(1000))) === 0) continue;
    refused++;
    await Bun.sleep(0);
  }
  const waits = await client(harness.input.stream.path);
  waits.write(Buffer.concat(Array.from({ length: 2000 }, () => frame("x".repeat(1000)))));
  const gone = await client(harness.input.stream.path);
  await write(gone, frame("x".repeat(99_000)));
  gone.destroy();
  await Bun.sleep(100);
  const before = processorTime();
  await Bun.sleep(1000);
  // In hundredths of a second: a loop that spins would take most of a hundred.
  expect(processorTime() - before).toBeLessThan(30);
  waits.destroy();
  datagrams.close();
});
