// What can be wrong with a record batch.

export type RecordBatchErrorKind = "truncated" | "magic" | "crc" | "codec" | "malformed";

/** What is wrong with a batch. `position` is the byte in the buffer given (behind the header of a compressed batch: in
 * the unpacked records). */
export class RecordBatchError extends Error {
  readonly kind: RecordBatchErrorKind;
  readonly position: number;
  constructor(kind: RecordBatchErrorKind, position: number, message: string) {
    super(`${message} (at byte ${position})`);
    this.name = "RecordBatchError";
    this.kind = kind;
    this.position = position;
  }
}
