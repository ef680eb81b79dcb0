// In whatever order the steps of the two threads come: nobody waits for what is there, and nothing half-written is read.
import { expect, test } from "bun:test";
import { inEveryOrder } from "../support/interleave.ts";
import { protocols } from "./handshakes.ts";

const module = new URL("./handshakes.ts", import.meta.url).href;

for (const name of Object.keys(protocols)) {
  test(name, async () => {
    expect(await inEveryOrder(module, name)).toBeGreaterThan(1);
  });
}
