// A block: the unit in which messages move from the input thread into the queue and out of it.

/** Frames of one connection (or of the datagram socket), back to back in bytes[start, end), already checked. */
export interface Block {
  /** The number of its first message; the others follow without gaps. */
  firstNumber: number;
  count: number;
  /** The id of the connection it came by; 0 is the datagram socket. */
  source: number;
  /** Milliseconds since the epoch. */
  receivedAt: number;
  bytes: Buffer;
  start: number;
  end: number;
}
