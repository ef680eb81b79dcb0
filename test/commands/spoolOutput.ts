// Runs `bruce spool` in this process and gathers what it says.
import { spoolCommand } from "../../src/commands/spool.ts";

export interface Ran {
  code: number;
  out: string;
  bytes: Buffer;
  err: string;
}

export async function runSpool(
  options: Partial<Parameters<typeof spoolCommand>[0]>,
  more: { isTTY?: boolean; env?: Record<string, string>; uid?: number } = {},
): Promise<Ran> {
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  const sink = (to: Buffer[]) => (bytes: string | Uint8Array, done?: () => void) => {
    to.push(Buffer.from(bytes as string));
    if (done !== undefined) setImmediate(done);
  };
  const { isTTY, env = {}, uid = 7 } = more;
  const code = await spoolCommand(
    { action: "ls", topics: [], json: false, frames: false, ...options },
    { stdout: { write: sink(out), isTTY }, stderr: { write: sink(err) }, env: { NO_COLOR: "1", ...env }, uid },
  );
  const bytes = Buffer.concat(out);
  return { code, out: bytes.toString(), bytes, err: Buffer.concat(err).toString() };
}
