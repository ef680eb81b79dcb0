// How many bytes the main log may have on disk. Pure.

export interface DiskUse {
  /** buffer.disk: what all of bruce's messages on disk may take. */
  disk: number;
  /** buffer.min_free_disk */
  minFree: number;
  /** Bytes of the volume that are free to us now. */
  free: number;
  /** What the main log takes, the logs of held topics, and the journal. */
  log: number;
  held: number;
  journal: number;
  /** What the journal has not taken yet, and may at any time. */
  journalToCome: number;
}

/** Bytes. What is written beyond `disk` or `min_free_disk` is never more than an index and a header. */
export function logLimit({ disk, minFree, free, log, held, journal, journalToCome }: DiskUse): number {
  return Math.max(0, Math.min(disk - held - journal - journalToCome, log + free - journalToCome - minFree));
}

/** Bytes of each journal file that are kept for what comes when the volume is full. */
export function journalRoom(disk: number): number {
  return Math.max(16_384, Math.min(1_048_576, Math.floor(disk / 64)));
}

/** Below it a file is hardly worth its index. */
const SMALLEST_SEGMENT = 65_536;

/** Bytes of a segment: what is asked for, but so little that a full disk is given back in pieces. */
export function segmentSize(segment: number, disk: number): number {
  return Math.max(SMALLEST_SEGMENT, Math.min(segment, Math.floor(disk / 8)));
}

/** Bytes of frames that a block may have, so that there is always room for it in the end. */
export function largestBlock(disk: number): number {
  return Math.max(SMALLEST_SEGMENT, Math.floor(disk / 4));
}
