// What the ledger of a running daemon must say at any moment.
import { expect } from "bun:test";
import type { AccountStatus, DaemonStatus } from "../../src/observe/status.ts";

/** received = delivered + held + discarded, in total, of each topic, and of all topics together. */
export function expectBalanced({ ledger, topics }: DaemonStatus): void {
  expect(ledger.balanced).toBe(true);
  for (const account of [ledger, ledger.no_topic, ...topics]) {
    const { received, delivered, held, discarded, discards_by_reason } = account;
    expect(delivered + held + discarded).toBe(received);
    expect(sum(Object.values(discards_by_reason))).toBe(discarded);
    expect(Math.min(received, delivered, held, discarded)).toBeGreaterThanOrEqual(0);
  }
  if (ledger.held > 0) return; // what was received and not routed yet is under no topic so far
  for (const field of ["received", "delivered", "discarded"] as const satisfies (keyof AccountStatus)[]) {
    expect(sum([ledger.no_topic, ...topics].map((account) => account[field]))).toBe(ledger[field]);
  }
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
