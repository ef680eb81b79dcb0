// A daemon that is not there, one that does not read, one that listens elsewhere; and being told to stop.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { peakMemory, reachesRest } from "../support/processRest.ts";
import { FROM_SOURCE, startSend } from "../support/sendProcess.ts";
import { receivedIn, type StreamServer, startStreamServer } from "../support/streamServerProcess.ts";

let directory: string;
let socket: string;
let server: StreamServer | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "bruce-waiting-"));
  socket = join(directory, "s");
  server = undefined;
});

afterEach(async () => {
  await server?.kill();
  rmSync(directory, { recursive: true });
});

async function start(at: string = socket, stalled = false): Promise<StreamServer> {
  server = await startStreamServer({ directory, run: 0, socket: at, stalled });
  return server;
}

const values = (): string[] => receivedIn(directory).map(({ value }) => value.toString());

describe("no daemon", () => {
  test("--retry 0 gives up at once, with 75", async () => {
    const send = startSend({ socket, retry: "0" });
    const { code, stderr } = await send.finished;
    expect(code).toBe(75);
    expect(stderr).toContain(`no daemon at ${socket}: there is no such socket`);
  });

  test("--retry gives up when its time is over, with 75", async () => {
    const send = startSend({ socket, retry: "1500ms" });
    await send.said(`waiting for the daemon at ${socket}`);
    expect((await send.finished).code).toBe(75);
  });

  test("a socket left behind by a daemon that is gone counts as none", async () => {
    await (await start()).kill();
    const { code, stderr } = await startSend({ socket, retry: "0" }).finished;
    expect({ code, named: stderr.includes("nothing listens there") }).toEqual({ code: 75, named: true });
  });

  test("one that comes up later gets everything", async () => {
    const send = startSend({ socket });
    await send.write("a\nb\n");
    await send.end();
    await send.said("waiting for the daemon");
    await start();
    expect((await send.finished).code).toBe(0);
    expect(values()).toEqual(["a", "b"]);
  });

  test("one that goes away and does not come back: 75, and what was not sent is counted", async () => {
    await start();
    const send = startSend({ socket, retry: "100ms" });
    await send.write("a\n");
    await server?.receivedBytes(1);
    await server?.stop();
    await send.write("b\n");
    const { code, stderr } = await send.finished;
    expect(code).toBe(75);
    expect(stderr).toContain("sent 1 line,");
    expect(stderr).not.toContain("unknown");
  });

  test("one that closes every connection counts as none after a while", async () => {
    const closing = Bun.listen({
      unix: socket,
      socket: {
        open: (connection) => connection.terminate(),
        data() {},
      },
    });
    const send = startSend({ socket, retry: "300ms" });
    await send.write("a\n".repeat(100));
    const { code, stderr } = await send.finished;
    closing.stop(true);
    expect({ code, said: stderr.includes("it closes every connection") }).toEqual({ code: 75, said: true });
  });

  test("a socket of another kind is named, without waiting", async () => {
    server = await startStreamServer({ directory, run: 0, socket, datagram: true });
    const { code, stderr } = await startSend({ socket }).finished;
    expect({ code, named: stderr.includes("that is not a stream socket") }).toEqual({ code: 1, named: true });
  });
});

describe("a daemon that does not read", () => {
  test("stops the reading: memory stays small however much there is to send, and all of it arrives", async () => {
    const lines = 400_000;
    const line = `${"x".repeat(199)}\n`;
    writeFileSync(join(directory, "input"), line.repeat(lines));
    await start(socket, true);
    // Standard input keeps it alive to be looked at.
    const send = startSend({ socket, files: [join(directory, "input"), "-"] });
    await server?.seen("accepted");
    await reachesRest(send.pid);
    await server?.command("resume");
    await server?.receivedBytes((28 + 5 + 199) * lines);
    const peak = await peakMemory(send.pid);
    await send.end();
    expect((await send.finished).code).toBe(0);
    expect(receivedIn(directory).length).toBe(lines);
    // Most of it is the engine's own; the input is 80 MB.
    expect(peak).toBeLessThan(140 * 1024 * 1024);
  });
});

describe("being told to stop", () => {
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    test(`${signal}: whole lines are sent, half a line is not, the exit code is ${code}`, async () => {
      await start();
      const send = startSend({ socket });
      await send.write("a\nb\nhalf");
      await server?.receivedBytes(2 * 34);
      send.signal(signal);
      const { code: actual, stderr } = await send.finished;
      expect(actual).toBe(code);
      expect(stderr).toContain("sent 2 lines");
      expect(values()).toEqual(["a", "b"]);
    });
  }

  test("what was read is still given to a daemon that takes its time", async () => {
    await start(socket, true);
    const send = startSend({ socket });
    await send.write("a\nb\n");
    await server?.seen("accepted");
    await reachesRest(send.pid);
    send.signal("SIGINT");
    await reachesRest(send.pid);
    await server?.command("resume");
    expect((await send.finished).code).toBe(130);
    expect(values()).toEqual(["a", "b"]);
  });

  test("--timeout ends it when a daemon takes no more, and there is no room for what was read", async () => {
    await start(socket, true);
    writeFileSync(join(directory, "input"), `${"x".repeat(1000)}\n`.repeat(20_000));
    const send = startSend({ socket, files: [join(directory, "input")], timeout: "300ms" });
    await server?.seen("accepted");
    await reachesRest(send.pid);
    send.signal("SIGTERM");
    const { code, stderr } = await send.finished;
    expect({ code, counted: /lines read but not sent/.test(stderr) }).toEqual({ code: 143, counted: true });
  });

  test("a second signal ends it at once, whatever the daemon does", async () => {
    await start(socket, true);
    const send = startSend({ socket });
    await send.write(`${"x".repeat(100)}\n`.repeat(10));
    await server?.seen("accepted");
    await reachesRest(send.pid);
    send.signal("SIGTERM");
    await reachesRest(send.pid);
    send.signal("SIGINT");
    expect((await send.finished).code).toBe(143);
  });

  test("while it waits for a daemon", async () => {
    const send = startSend({ socket });
    await send.write("a\n");
    await send.said("waiting");
    send.signal("SIGINT");
    expect((await send.finished).code).toBe(130);
  });
});

describe("where the daemon is", () => {
  test("--config: where that file says", async () => {
    await start();
    const config = join(directory, "bruce.toml");
    writeFileSync(config, `[input.stream]\npath = "${socket}"\n`);
    const send = startSend({ config });
    await send.write("a\n");
    await send.end();
    expect(await send.finished).toEqual({ code: 0, stderr: "" });
    expect(values()).toEqual(["a"]);
  });

  test("over TCP, by name and by number", async () => {
    server = await startStreamServer({ directory, run: 0, socket: "tcp" });
    for (const host of ["127.0.0.1", "localhost"]) {
      const send = startSend({ tcp: `${host}:${server.port}` });
      await send.write(`${host}\n`);
      await send.end();
      expect(await send.finished).toEqual({ code: 0, stderr: "" });
    }
    expect(values()).toEqual(["127.0.0.1", "localhost"]);
  });

  test("over TCP nothing tells a stop from a death: the lines of the connection are uncertain", async () => {
    server = await startStreamServer({ directory, run: 0, socket: "tcp" });
    const send = startSend({ tcp: `127.0.0.1:${server.port}` });
    await send.write("a\nb\n");
    await server.receivedBytes(2 * 34);
    const { port } = server;
    await server.kill();
    await send.said("2 lines");
    server = await startStreamServer({ directory, run: 1, socket: "tcp", port });
    await send.write("c\n");
    await send.end();
    const { code, stderr } = await send.finished;
    expect({ code, said: stderr.includes("the fate of 2 of them is unknown") }).toEqual({ code: 1, said: true });
    expect(values()).toEqual(["a", "b", "c"]);
  });

  test("over TCP with nothing there: 75", async () => {
    server = await startStreamServer({ directory, run: 0, socket: "tcp" });
    const { port } = server;
    await server.kill();
    const { code, stderr } = await startSend({ tcp: `127.0.0.1:${port}`, retry: "0" }).finished;
    expect({ code, said: stderr.includes("nothing listens there") }).toEqual({ code: 75, said: true });
  });
});

test("a stderr that nobody reads stops nothing", async () => {
  await start();
  const send = startSend(
    { socket },
    { command: (options) => ["sh", "-c", 'exec "$@" 2>/dev/full', "sh", ...FROM_SOURCE(options)] },
  );
  await send.write(Buffer.concat([Buffer.alloc(17_000_000, "x"), Buffer.from("\nb\n")]));
  await send.end();
  expect((await send.finished).code).toBe(1);
  expect(values()).toEqual(["b"]);
});
