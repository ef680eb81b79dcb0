// What the actions of `bruce spool` write to, and end with.

export interface SpoolOutput {
  /** Resolves, or calls back, when more may be written. */
  write(bytes: string | Uint8Array, done?: () => void): unknown;
  isTTY?: boolean;
  columns?: number;
}

export interface SpoolSurroundings {
  stdout: SpoolOutput;
  stderr: SpoolOutput;
  env: Record<string, string | undefined>;
  uid?: number;
}

export const EXIT = { done: 0, failed: 1, usage: 2 } as const;
