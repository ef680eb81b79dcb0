// On what the benchmark ran: a number without it says nothing.
import { cpus, loadavg, release, totalmem } from "node:os";

/** Read before anything of the benchmark runs. */
export function machine(): [string, string][] {
  return [
    ["machine", `${cpus()[0]?.model ?? "unknown CPU"}, ${cpus().length} cores, ${gigabytes(totalmem())} of memory`],
    ["kernel", `Linux ${release()}, net.unix.max_dgram_qlen ${sysctl("/proc/sys/net/unix/max_dgram_qlen")}`],
    ["load average at the start", loadAverage()],
  ];
}

/** Over 1, 5 and 15 minutes; anything else that runs makes all numbers worse. */
export function loadAverage(): string {
  return loadavg()
    .map((value) => value.toFixed(2))
    .join(" ");
}

export function javaVersion(): string {
  const { stderr } = Bun.spawnSync(["java", "-version"], { stderr: "pipe" });
  return /version "([^"]+)"/.exec(stderr.toString())?.[1] ?? "unknown";
}

function sysctl(path: string): string {
  return new TextDecoder().decode(Bun.spawnSync(["cat", path]).stdout).trim();
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1024 ** 3).toFixed(0)} GB`;
}
