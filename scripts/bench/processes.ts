// The processes that a benchmark starts: ended with it, however it ends, and what the kernel says of them.
import { readFileSync } from "node:fs";

export type Child = Bun.Subprocess<"ignore" | Bun.BunFile, "ignore" | "pipe", "ignore" | "pipe" | "inherit">;

export interface SpawnOptions {
  stdin?: Bun.BunFile;
  stdout?: "pipe";
  stderr?: "ignore" | "pipe" | "inherit";
  cwd?: string;
}

export interface Children {
  spawn(command: string[], options?: SpawnOptions): Child;
  /** Something else that must not stay behind. */
  alsoEnd(end: () => Promise<void>): void;
  /** Ends all that still run. */
  endAll(): Promise<void>;
}

/** How long a process may take to end after SIGTERM. Milliseconds. */
const PATIENCE = 10_000;

export function createChildren(): Children {
  const running = new Set<Child>();
  const others: (() => Promise<void>)[] = [];
  return {
    spawn(command, { stdin, stdout, stderr, cwd } = {}) {
      const child = Bun.spawn(command, {
        stdin: stdin ?? "ignore",
        stdout: stdout ?? "ignore",
        stderr: stderr ?? "inherit",
        cwd,
      });
      running.add(child);
      void child.exited.then(() => running.delete(child));
      return child;
    },
    alsoEnd: (end) => void others.push(end),
    async endAll() {
      await Promise.all([...running].map(end));
      await Promise.all(others.splice(0).map((end) => end()));
    },
  };
}

async function end(child: Child): Promise<void> {
  child.kill("SIGTERM");
  const patience = setTimeout(() => child.kill("SIGKILL"), PATIENCE);
  await child.exited;
  clearTimeout(patience);
}

/** Whoever is not done by then waits for something that never comes. Milliseconds. */
const STUCK = 300_000;

export async function exitedWell(child: Child, name: string): Promise<void> {
  const timer = setTimeout(() => child.kill("SIGKILL"), STUCK);
  const code = await child.exited;
  clearTimeout(timer);
  if (code !== 0) throw new Error(`${name} ended with ${child.signalCode ?? `exit code ${code}`}`);
}

/** Linux counts in these for programs, whatever its own clock (USER_HZ). */
const TICKS_PER_SECOND = 100;

/** User and system time of all threads so far, in microseconds. */
export function cpuTime(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  // The name in parentheses may contain anything; utime and stime are the 12th and 13th fields behind it.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND) * 1e6;
}

/** The most memory that was resident so far, in bytes. */
export function peakMemory(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}
