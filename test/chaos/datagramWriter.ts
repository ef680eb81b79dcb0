// An application that writes datagrams and asks nothing: what it sent may be lost with the socket, but never comes twice.
import { encodePartitionKey } from "../../src/wire/frame.ts";
import { type DatagramClient, openDatagramClient } from "../support/clients.ts";
import { LANES, textOf, type Writer, type Written } from "./receiptWriter.ts";

/** Datagrams between two rests. */
const BURST = 20;

/** Writes to the socket at `path` until it is stopped, about `rate` messages a second. `confirmed` stays empty. */
export function startDatagramWriter(
  name: string,
  topic: string,
  path: string,
  rate: number,
): Pick<Writer, "written" | "stop"> {
  const written: Written = { name, topic, sent: 0, confirmed: new Set() };
  let going = true;
  let client: DatagramClient | undefined;
  const send = (): boolean => {
    try {
      client ??= openDatagramClient(path);
      const key = new Uint8Array();
      for (let count = 0; count < BURST; count++) {
        const index = written.sent;
        const value = textOf(name, index, 100);
        const frame = encodePartitionKey({ topic, timestamp: Date.now(), key, value, partitionKey: index % LANES });
        // Counted first: the kernel may have taken one that it then complained about.
        written.sent++;
        client.send(frame);
      }
      return true;
    } catch {
      // bruce is not there: the next one goes to the next socket.
      client?.close();
      client = undefined;
      return false;
    }
  };
  const ended = (async () => {
    const began = performance.now();
    let here = 0;
    while (going) {
      if (send()) here += BURST;
      const early = (here / rate) * 1000 - (performance.now() - began);
      await Bun.sleep(Math.max(early, 1)); // the pace
    }
    client?.close();
  })();
  return {
    written,
    async stop() {
      going = false;
      await ended;
    },
  };
}
