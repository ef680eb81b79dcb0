// What `bruce spool verify` finds, and how it is noted.
import type { Files } from "../spool/files.ts";

/** Something in a file that is not as it was written, or that is worth knowing. */
export interface Finding {
  /** "note": nothing is lost by it. */
  kind: "damage" | "note";
  /** Relative to the directory. */
  file: string;
  /** Where, in bytes from the beginning of the file. */
  offset: number;
  bytes: number;
  /** Messages that are lost by it, as far as the numbers of those around it tell. */
  messages: number;
  what: string;
}

export interface CheckResult {
  findings: Finding[];
  files: number;
  bytes: number;
  /** In blocks that are whole. */
  messages: number;
}

export interface Check {
  files: Files;
  directory: string;
  /** Whether a daemon writes there: its newest files may end in the middle of something. */
  running: boolean;
  result: CheckResult;
}

export function note({ result }: Check, file: string, offset: number, what: string, bytes = 0): void {
  result.findings.push({ kind: "note", file, offset, bytes, messages: 0, what });
}

export function damage({ result }: Check, file: string, offset: number, what: string, bytes = 0, messages = 0): void {
  result.findings.push({ kind: "damage", file, offset, bytes, messages, what });
}
