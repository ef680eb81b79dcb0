// The client over restarts and deaths of the daemon: which lines arrive, and what it says of the others.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { reachesRest } from "../support/processRest.ts";
import { type SendProcess, startSend } from "../support/sendProcess.ts";
import { receivedIn, type StreamServer, startStreamServer } from "../support/streamServerProcess.ts";

let directory: string;
let socket: string;
let server: StreamServer | undefined;
let runs: number;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "bruce-restart-"));
  socket = join(directory, "s");
  runs = 0;
  server = await start();
});

afterEach(async () => {
  await server?.kill();
  rmSync(directory, { recursive: true });
});

async function start(options: { stalled?: boolean } = {}): Promise<StreamServer> {
  server = await startStreamServer({ directory, run: runs++, socket, ...options });
  return server;
}

/** Feeds numbered lines of many lengths until told to stop; how many there were. */
function feed(send: SendProcess): { stop(): Promise<number> } {
  let going = true;
  let next = 0;
  const feeding = (async () => {
    while (going) {
      let chunk = "";
      for (let i = 0; i < 500; i++, next++) chunk += `${next} ${"x".repeat((next * 7919) % 700)}\n`;
      await send.write(chunk);
    }
    await send.end();
    return next;
  })();
  return {
    stop() {
      going = false;
      return feeding;
    },
  };
}

/** The numbers of the lines that arrived, in the order of their arrival. */
const numbers = (): number[] => receivedIn(directory).map(({ value }) => Number.parseInt(value.toString(), 10));

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** What is missing or repeated, which is shorter to print than the whole. */
function flaws(arrived: number[], count: number): { missing: number; repeated: number; disordered: number } {
  const seen = new Set(arrived);
  const disordered = arrived.filter((n, i) => i > 0 && n < (arrived[i - 1] as number)).length;
  return { missing: count - seen.size, repeated: arrived.length - seen.size, disordered };
}

const unknown = (stderr: string): number =>
  Number(/the fate of ([\d,]+) of them is unknown/.exec(stderr)?.[1]?.replaceAll(",", "") ?? 0);

describe("a daemon that stops in good order and starts again", () => {
  test("under load, many times: nothing is lost, nothing repeated", async () => {
    const send = startSend({ socket });
    const feeder = feed(send);
    for (let i = 0; i < 20; i++) {
      await server?.seen("accepted");
      await server?.receivedBytes(1_000_000 * Math.random());
      await server?.stop();
      await start();
    }
    const count = await feeder.stop();
    const { code, stderr } = await send.finished;
    expect(flaws(numbers(), count)).toEqual({ missing: 0, repeated: 0, disordered: 0 });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });

  test("while the client has nothing to send", async () => {
    const send = startSend({ socket });
    for (let i = 0; i < 4; i++) {
      await server?.seen("accepted");
      await send.write(`${i}\n`);
      await server?.receivedBytes(1);
      await server?.stop();
      await start();
    }
    await send.end();
    expect(await send.finished).toEqual({ code: 0, stderr: "" });
    expect(numbers()).toEqual(upTo(4));
  });

  test("while the client waits for it to read", async () => {
    await server?.command("stall");
    const send = startSend({ socket });
    const feeder = feed(send);
    await server?.seen("accepted");
    await reachesRest(send.pid);
    await server?.stop();
    await start();
    const count = await feeder.stop();
    expect(await send.finished).toEqual({ code: 0, stderr: "" });
    expect(flaws(numbers(), count)).toEqual({ missing: 0, repeated: 0, disordered: 0 });
  });

  test("at the client's end, when all is sent and little read", async () => {
    await server?.command("stall");
    const send = startSend({ socket });
    await send.write("0\n1\n2\n");
    await send.end();
    await server?.seen("accepted");
    await reachesRest(send.pid);
    await server?.stop();
    expect(await send.finished).toEqual({ code: 0, stderr: "" });
    expect(numbers()).toEqual(upTo(3));
  });
});

describe("a daemon that is killed", () => {
  test("under load, many times: nothing is repeated, and no more is missing than said", async () => {
    const send = startSend({ socket });
    const feeder = feed(send);
    for (let i = 0; i < 8; i++) {
      await server?.receivedBytes(1 + 3_000_000 * Math.random());
      await server?.kill();
      await start();
    }
    await server?.receivedBytes(1);
    const count = await feeder.stop();
    const { code, stderr } = await send.finished;
    const { missing, repeated, disordered } = flaws(numbers(), count);
    expect({ repeated, disordered, code }).toEqual({ repeated: 0, disordered: 0, code: 1 });
    expect(missing).toBeLessThanOrEqual(unknown(stderr));
    expect(stderr).toContain("the connection to");
    expect(stderr).toContain(`sent ${count.toLocaleString("en-US")} lines`);
  });

  test("while the client has nothing to send: the lines of that connection are uncertain, and none is sent again", async () => {
    const send = startSend({ socket });
    await send.write("0\n1\n2\n");
    await server?.receivedBytes(3 * 34);
    await server?.kill();
    await send.said("3 lines");
    await start();
    await send.write("3\n");
    await send.end();
    const { code, stderr } = await send.finished;
    expect({ code, unknown: unknown(stderr) }).toEqual({ code: 1, unknown: 3 });
    expect(numbers()).toEqual(upTo(4));
  });

  test("with bytes it never read: those lines are uncertain, what it was not given is sent to the next", async () => {
    await server?.command("stall");
    const send = startSend({ socket });
    const feeder = feed(send);
    await server?.seen("accepted");
    await reachesRest(send.pid);
    await server?.kill();
    await start();
    const count = await feeder.stop();
    const { code, stderr } = await send.finished;
    const { missing, ...others } = flaws(numbers(), count);
    expect({ code, ...others }).toEqual({ code: 1, repeated: 0, disordered: 0 });
    // All that was read was recorded, and none of it was: the number said is the number lost.
    expect(missing).toBe(unknown(stderr));
    expect(missing).toBeGreaterThan(0);
  });

  test("at the client's end, with bytes it never read", async () => {
    await server?.command("stall");
    const send = startSend({ socket });
    await send.write("0\n1\n");
    await send.end();
    await server?.seen("accepted");
    await reachesRest(send.pid);
    await server?.kill();
    const { code, stderr } = await send.finished;
    expect({ code, unknown: unknown(stderr) }).toEqual({ code: 1, unknown: 2 });
  });

  test("before it was given anything: nothing is uncertain", async () => {
    const send = startSend({ socket });
    await server?.seen("accepted");
    await server?.kill();
    await start();
    await send.write("0\n");
    await send.end();
    expect(await send.finished).toEqual({ code: 0, stderr: "" });
    expect(numbers()).toEqual([0]);
  });
});
