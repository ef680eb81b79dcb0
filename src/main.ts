// bruce: runs the command that the command line names. The only place that ends the process.
import { parseCommandLine } from "./commands/cli.ts";
import { COMMANDS } from "./commands/cliTable.ts";
import { versionLine } from "./commands/cliVersion.ts";

const FAILED = 1;
const BAD_USAGE = 2;

const action = parseCommandLine(process.argv.slice(2), COMMANDS);
const isServing = action.kind === "run" && action.command.name === "serve";

/** The exit code when output could not be written, such as to a full disk. */
let unwritten = 0;

// Unheard, it would end the process; until there is somebody to hear it, nothing was read that could be old.
if (isServing) process.on("SIGHUP", () => {});
process.on("uncaughtException", (error) => void leave(report(error)));
process.on("unhandledRejection", (error) => void leave(report(error)));
// Nobody reads on (`bruce check | head`): a reader's right. The daemon stops as it does when told to.
watchWrites(process.stdout, () => (isServing ? process.kill(process.pid, "SIGTERM") : process.exit(0)));
// Nobody listens to messages about the work: no reason to leave it.
watchWrites(process.stderr, () => {});

await leave(await run());

async function run(): Promise<number> {
  switch (action.kind) {
    case "help":
      process.stdout.write(action.text);
      return 0;
    case "version":
      process.stdout.write(`${versionLine()}\n`);
      return 0;
    case "misuse":
      process.stderr.write(`${action.message}\n`);
      return BAD_USAGE;
    case "run":
      try {
        return await action.command.run(action.given);
      } catch (error) {
        return report(error);
      }
  }
}

/** One line for people; the rest for who asks for it. */
function report(error: unknown): number {
  const stack = process.env.BRUCE_DEBUG === "1" && error instanceof Error ? error.stack : undefined;
  const [line] = (error instanceof Error ? error.message : String(error)).split("\n", 1);
  process.stderr.write(`bruce: ${stack ?? `${line} (BRUCE_DEBUG=1 shows where)`}\n`);
  return FAILED;
}

/** Ends the process once everything written is out: exit() would throw away what a slow reader has not taken yet. */
async function leave(code: number): Promise<void> {
  await flush(process.stdout);
  // Last, as it is where trouble with the other is told.
  await flush(process.stderr);
  process.exit(code === 0 ? unwritten : code);
}

function flush(stream: NodeJS.WriteStream): Promise<void> {
  // Only end() tells when a pipe has taken all; the callback of an empty write() comes at once.
  return new Promise((done) => (stream.errored === null && !stream.destroyed ? stream.end(done) : done()));
}

function watchWrites(stream: NodeJS.WriteStream, onClosed: () => void): void {
  let told = false;
  stream.on("error", (error: NodeJS.ErrnoException) => {
    // Every write that follows fails too: once is enough, and twice would tell the daemon to stop at once.
    if (told) return;
    told = true;
    if (error.code === "EPIPE") onClosed();
    else unwritten = report(error);
  });
}
