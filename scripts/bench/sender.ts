// The application of the benchmark: a process that writes datagrams as fast as the socket takes them.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DIGITS } from "./messages.ts";
import { type Children, exitedWell } from "./processes.ts";

export interface Sender {
  /** What it is, for the report. */
  name: string;
  /** Sends `count` datagrams of that content; resolves when the kernel has all of them, with the time of the first. */
  send(socket: string, count: number, content: Buffer, digitsAt: number): Promise<number>;
}

const here = import.meta.dir;

/** In C where there is a compiler. */
export function prepareSender(directory: string, children: Children): Sender {
  const program = join(directory, "sender");
  const compiler = ["cc", "gcc", "clang"].find(
    (name) => spawnSync(name, ["-O2", "-o", program, join(here, "sender.c")]).status === 0,
  );
  const command =
    compiler === undefined ? [process.execPath, new URL("./senderFallback.ts", import.meta.url).pathname] : [program];
  const name =
    compiler === undefined
      ? "Bun through FFI, since there is no C compiler (apt-get install gcc libc6-dev): it takes more CPU than one in C"
      : `C, compiled by ${compiler} -O2`;
  return {
    name,
    async send(socket, count, content, digitsAt) {
      const file = join(directory, "datagram");
      writeFileSync(file, content);
      const numbers = [count, file, digitsAt, DIGITS].map(String);
      const child = children.spawn([...command, socket, ...numbers], { stdout: "pipe" });
      const output = new Response(child.stdout as ReadableStream).text();
      await exitedWell(child, "the sender");
      return Number(await output) / 1e6;
    },
  };
}
