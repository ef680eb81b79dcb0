// One client's stream: its descriptor, its parser, and what becomes of what the parser finds.
import { FrameFault } from "../wire/frame.ts";
import { Splitter, type SplitterLimits, type SplitterSink } from "../wire/splitter.ts";
import type { Intake } from "./intake.ts";
import type { Holder } from "./partials.ts";

export class Connection implements SplitterSink, Holder {
  readonly fd: number;
  /** Never 0, never used again. */
  readonly id: number;
  readonly intake: Intake;
  readonly splitter: Splitter;
  /** "drained": on a stop, when everything it sent was taken; it stays open for a while. */
  state: "open" | "drained" = "open";
  /** Bytes that may still be read from it. */
  left = Number.POSITIVE_INFINITY;

  constructor(fd: number, id: number, intake: Intake, limits: SplitterLimits) {
    this.fd = fd;
    this.id = id;
    this.intake = intake;
    this.splitter = new Splitter(limits, this);
  }

  get held(): number {
    return this.splitter.held;
  }

  frames(bytes: Buffer, start: number, end: number, count: number): void {
    this.intake.accept(this.id, bytes, start, end, count);
  }

  reject(fault: FrameFault, bytes: Buffer, start: number, end: number, size: number): void {
    // Of a frame that breaks the stream, what is at hand is what was received: its Size cannot be believed.
    const breaks = fault === FrameFault.Malformed || fault === FrameFault.TooLong;
    this.intake.reject(fault, bytes, start, end, breaks ? end - start : size);
  }
}
