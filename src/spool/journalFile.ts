// One file of the delivery journal, open to be written.
import { join } from "node:path";
import { type Files, writeAll } from "./files.ts";
import { type EntryEncoder, encodeJournalHeader, JOURNAL_HEADER, type JournalHeader } from "./journalFormat.ts";
import { LAST_ORDINAL } from "./scan.ts";
import { syncNames } from "./syncNames.ts";

/** The name of a journal file, which sorts as its ordinal does. */
export function journalName(ordinal: number): string {
  return `${String(ordinal).padStart(10, "0")}.journal`;
}

/** The ordinals of the files in a journal directory, ascending. */
export function listJournals(files: Files, directory: string): number[] {
  const ordinals = files.list(directory).map((name) => Number(/^(\d{10})\.journal$/.exec(name)?.[1] ?? -1));
  return ordinals.filter((ordinal) => ordinal >= 0 && ordinal <= LAST_ORDINAL).sort((a, b) => a - b);
}

/** A file, and where its last entry ends. */
export interface JournalEnd {
  header: JournalHeader;
  end: number;
}

export class JournalFile {
  readonly ordinal: number;
  readonly seed: number;
  readonly #files: Files;
  readonly #directory: string;
  readonly #fd: number;
  #size: number;
  /** Bytes of the file, with the zeros behind the entries. */
  #length: number;
  /** What a sync must make safe: nothing, what was written, or that and the file's name. */
  #unsynced: "nothing" | "bytes" | "name" = "name";
  #syncs = 0;
  #closed = false;

  private constructor(
    files: Files,
    directory: string,
    header: JournalHeader,
    fd: number,
    size: number,
    length: number,
  ) {
    this.#files = files;
    this.#directory = directory;
    this.ordinal = header.ordinal;
    this.seed = header.seed;
    this.#fd = fd;
    this.#size = size;
    this.#length = length;
  }

  /**
   * Begins a file (or begins it again, when an earlier try failed) with the header and these entries, and `room` bytes of zeros
   * behind them: on a volume that is full, what is delivered then must be written down all the same, or a crash would deliver
   * it again. An entry is about a hundred bytes, and one for each message of its batch. Throws when it cannot; if `required`,
   * also when there is no room.
   */
  static create(
    files: Files,
    directory: string,
    header: JournalHeader,
    entries: EntryEncoder,
    { room, required }: { room: number; required: boolean },
  ): JournalFile {
    const path = join(directory, journalName(header.ordinal));
    // Never over what an earlier try left: a descriptor whose sync failed may be open on it still.
    files.remove(path);
    const fd = files.open(path, "wx+");
    try {
      // The header last: a file that was not begun to the end is none. It says what was open when another was still written.
      writeAll(files, fd, entries.bytes, 0, entries.length, JOURNAL_HEADER);
      const size = JOURNAL_HEADER + entries.length;
      const length = size + makeRoom(files, fd, size, room, required);
      writeAll(files, fd, encodeJournalHeader(header), 0, JOURNAL_HEADER, 0);
      return new JournalFile(files, directory, header, fd, size, length);
    } catch (error) {
      files.close(fd);
      discard(files, path);
      throw error;
    }
  }

  /** Goes on with a file of an earlier run, whose last entry ends at `end`. Throws when it cannot. */
  static resume(files: Files, directory: string, { header, end }: JournalEnd): JournalFile {
    const fd = files.open(join(directory, journalName(header.ordinal)), "r+");
    try {
      return new JournalFile(files, directory, header, fd, end, files.size(fd));
    } catch (error) {
      files.close(fd);
      throw error;
    }
  }

  /** Bytes that can be appended, whatever others have taken of the volume. */
  get room(): number {
    return Math.max(0, this.#length - this.#size);
  }

  /** Bytes on the disk. */
  get size(): number {
    return Math.max(this.#size, this.#length);
  }

  /** Throws when it cannot; nothing more may be appended then. */
  append({ bytes }: EntryEncoder): void {
    writeAll(this.#files, this.#fd, bytes, 0, bytes.length, this.#size);
    this.#size += bytes.length;
    if (this.#unsynced === "nothing") this.#unsynced = "bytes";
  }

  /** Rejects when the disk refuses; the file must not be trusted with a second try then. */
  async sync(): Promise<void> {
    const what = this.#unsynced;
    if (what === "nothing" || this.#closed) return;
    this.#unsynced = "nothing";
    this.#syncs++;
    try {
      await this.#files.sync(this.#fd);
      if (what === "name") await syncNames(this.#files, this.#directory);
    } finally {
      this.#syncs--;
      if (this.#closed && this.#syncs === 0) this.#files.close(this.#fd);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#syncs === 0) this.#files.close(this.#fd);
  }
}

/** Answers how many bytes of zeros are at `at` now. */
function makeRoom(files: Files, fd: number, at: number, room: number, required: boolean): number {
  try {
    writeAll(files, fd, Buffer.alloc(room), 0, room, at);
    return room;
  } catch (error) {
    if (required) throw error;
    files.truncate(fd, at);
    return 0;
  }
}

/** One that was not begun to the end is nobody's, and must keep no room. */
function discard(files: Files, path: string): void {
  try {
    files.remove(path);
  } catch {
    // It is begun again under that name.
  }
}
