// `bruce serve --dev`: an embedded broker, a directory of its own and free ports, so that it runs anywhere at once.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Daemon } from "../daemon.ts";
import { startDevBroker } from "../dev/devBroker.ts";
import { printToStdout } from "../dev/printToStdout.ts";

export interface DevSurroundings {
  /** Settings as of --set; those that the user gives come after and win. */
  set: string[];
  /** Tells where things are and how to try them. */
  ready(addresses: Daemon["addresses"]): void;
  stop(): Promise<void>;
}

/** How long a stop waits for a slow reader of the printed messages. Milliseconds. */
const PRINT_PATIENCE = 2000;

/** Bytes of messages that consumers can read back; older ones fall away. */
const DEV_KEPT = 64 * 1024 * 1024;

/** Starts the embedded broker; every message that reaches it is printed on stdout. */
export async function startDev(): Promise<DevSurroundings> {
  const directory = mkdtempSync(join(tmpdir(), "bruce-dev-"));
  const printer = printToStdout(process.stdout, process.env);
  const broker = await startDevBroker({
    maxBytesKept: DEV_KEPT,
    onRecords: (topic, partition, batch) => printer.print(topic, partition, batch),
  });
  return {
    set: [
      `kafka.brokers=["${broker.bootstrap}"]`,
      "kafka.auto_create_topics=true",
      `input.datagram.path="${directory}/bruce.sock"`,
      `input.stream.path="${directory}/bruce.stream.sock"`,
      `buffer.path="${directory}/state"`,
      `http.listen="127.0.0.1:0"`,
      "input.tcp.enabled=true",
      `input.tcp.listen="127.0.0.1:0"`,
    ],
    ready({ stream, http }) {
      const status = http === undefined ? "" : `\n  status        http://${http.host}:${http.port}/`;
      process.stderr.write(
        `\nbruce serve --dev: an embedded Kafka in memory takes the messages, nothing is kept\n` +
          `  directory     ${directory}\n` +
          `  Kafka         ${broker.bootstrap}${status}\n` +
          (stream === undefined ? "" : `  try           echo hello | bruce send greetings --socket ${stream}\n`) +
          `  end it        Ctrl-C\n\n`,
      );
    },
    async stop() {
      await broker.stop();
      await printer.stop(PRINT_PATIENCE);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
