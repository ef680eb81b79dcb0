// A frame that waits, as memory and disk hand it to each other.

/** Where a frame came from. One for all frames of a block. */
export interface FrameMark {
  /** The connection; 0 is the datagram socket. */
  source: number;
  /** Milliseconds since the epoch. */
  receivedAt: number;
  /** The 16 bytes of its session. */
  session: Buffer | undefined;
}

/** Of frames that nobody asks after. */
export const NO_MARK: FrameMark = { source: 0, receivedAt: 0, session: undefined };

/** The frame is bytes[start, end), valid during the call. False: it stays, and with it all behind it. */
export type FrameVisit = (number: number, bytes: Buffer, start: number, end: number, mark: FrameMark) => boolean;

/** Frames in memory, by number. */
export interface FrameSource {
  readonly count: number;
  /** Looks at the frames in order, until `visit` answers false. Nothing may be added or taken meanwhile. */
  look(visit: FrameVisit): void;
  /** Forgets the first `count`. */
  drop(count: number): void;
}
