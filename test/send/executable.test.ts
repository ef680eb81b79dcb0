// The compiled executable: the C library, the signals and the account work inside it as they do from source.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { COMPILED, startSend } from "../support/sendProcess.ts";
import { receivedIn, type StreamServer, startStreamServer } from "../support/streamServerProcess.ts";

// `npm test` builds it first; a run of this file alone may come before the first build.
describe("compiled", () => {
  let directory: string;
  let socket: string;
  let server: StreamServer;
  let runs: number;

  const start = async (): Promise<void> => {
    server = await startStreamServer({ directory, run: runs++, socket });
  };

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "bruce-executable-"));
    socket = join(directory, "s");
    runs = 0;
    await start();
  });

  afterEach(async () => {
    await server.kill();
    rmSync(directory, { recursive: true });
  });

  test("options and bytes arrive as they were given", async () => {
    const send = startSend({ socket, keyDelimiter: ":", partitionKey: "-7" }, { command: COMPILED, cwd: directory });
    await send.write(Buffer.from("k:\xff\x00\n:\n\r\n", "latin1"));
    await send.end();
    expect(await send.finished).toEqual({ code: 0, stderr: "" });
    const messages = receivedIn(directory);
    expect(
      messages.map(({ partitionKey, key, value }) => [partitionKey, key.toString(), value.toString("latin1")]),
    ).toEqual([
      [-7, "k", "\xff\x00"],
      [-7, "", ""],
      [-7, "", "\r"],
    ]);
  });

  test("restarts lose and repeat nothing, a death is accounted for, a signal ends it", async () => {
    const send = startSend({ socket }, { command: COMPILED });
    let next = 0;
    const feed = async (lines: number): Promise<void> => {
      for (const end = next + lines; next < end; ) {
        let chunk = "";
        for (let i = 0; i < 1000; i++, next++) chunk += `${next} ${"x".repeat(next % 300)}\n`;
        await send.write(chunk);
      }
    };
    for (let i = 0; i < 4; i++) {
      const feeding = feed(20_000);
      await server.receivedBytes(100_000);
      await server.stop();
      await start();
      await feeding;
    }
    await server.receivedBytes(1);
    await server.kill();
    await send.said("the connection to");
    await start();
    await feed(1000);
    await server.receivedBytes(1);
    send.signal("SIGTERM");
    const { code, stderr } = await send.finished;
    expect(code).toBe(143);
    const unknown = Number(/the fate of ([\d,]+) of them/.exec(stderr)?.[1]?.replaceAll(",", ""));
    const sent = Number(/sent ([\d,]+) lines/.exec(stderr)?.[1]?.replaceAll(",", ""));
    const arrived = receivedIn(directory).map(({ value }) => Number.parseInt(value.toString(), 10));
    expect(new Set(arrived).size).toBe(arrived.length);
    expect(arrived.length).toBeLessThanOrEqual(sent);
    expect(arrived.length).toBeGreaterThanOrEqual(sent - unknown);
  });
});
