// What the kernel says of a process that a test watches.

/** Resolves when a process reads and writes no more: it waits for somebody. */
export async function reachesRest(pid: number): Promise<void> {
  let before = "";
  for (let still = 0; still < 5; ) {
    await Bun.sleep(50);
    const now = await readingsOf(pid);
    still = now === before ? still + 1 : 0;
    before = now;
  }
}

/** Bytes read and written so far. The numbers of calls are left out: an idle client still looks around. */
async function readingsOf(pid: number): Promise<string> {
  const text = await Bun.file(`/proc/${pid}/io`).text();
  return [/^rchar: \d+$/m, /^wchar: \d+$/m].map((pattern) => pattern.exec(text)?.[0]).join();
}

/** The most memory that a process has used, in bytes. */
export async function peakMemory(pid: number): Promise<number> {
  const text = await Bun.file(`/proc/${pid}/status`).text();
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(text)?.[1]) * 1024;
}

/** Bytes that a process has asked the kernel for so far, from files and sockets; its own pages are none. */
export async function bytesRead(pid: number): Promise<number> {
  const text = await Bun.file(`/proc/${pid}/io`).text();
  return Number(/^rchar: (\d+)$/m.exec(text)?.[1]);
}
