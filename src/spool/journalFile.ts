// One file of the delivery journal, open to be written.
import { join } from "node:path";
import { type Files, writeAll } from "./files.ts";
import { type EntryEncoder, encodeJournalHeader, JOURNAL_HEADER, type JournalHeader } from "./journalFormat.ts";
import { syncNames } from "./syncNames.ts";

/** The name of a journal file, which sorts as its ordinal does. */
export function journalName(ordinal: number): string {
  return `${String(ordinal).padStart(10, "0")}.journal`;
}

/** The ordinals of the files in a journal directory, ascending. */
export function listJournals(files: Files, directory: string): number[] {
  const ordinals = files.list(directory).map((name) => Number(/^(\d{10})\.journal$/.exec(name)?.[1] ?? -1));
  return ordinals.filter((ordinal) => ordinal >= 0).sort((a, b) => a - b);
}

export class JournalFile {
  readonly ordinal: number;
  readonly seed: number;
  readonly #files: Files;
  readonly #directory: string;
  readonly #fd: number;
  #size: number;
  /** What a sync must make safe: nothing, what was written, or that and the file's name. */
  #unsynced: "nothing" | "bytes" | "name" = "name";
  #syncs = 0;
  #closed = false;

  private constructor(files: Files, directory: string, header: JournalHeader, fd: number, size: number) {
    this.#files = files;
    this.#directory = directory;
    this.ordinal = header.ordinal;
    this.seed = header.seed;
    this.#fd = fd;
    this.#size = size;
  }

  /** Begins a file (or begins it again, when an earlier try failed) with the header and these entries. Throws when it cannot. */
  static create(files: Files, directory: string, header: JournalHeader, entries: EntryEncoder): JournalFile {
    const path = join(directory, journalName(header.ordinal));
    // Never over what an earlier try left: a descriptor whose sync failed may be open on it still.
    files.remove(path);
    const fd = files.open(path, "wx+");
    try {
      // The header last: a file that was not begun to the end is none. It says what was open when another was still written.
      writeAll(files, fd, entries.bytes, 0, entries.length, JOURNAL_HEADER);
      writeAll(files, fd, encodeJournalHeader(header), 0, JOURNAL_HEADER, 0);
      return new JournalFile(files, directory, header, fd, JOURNAL_HEADER + entries.length);
    } catch (error) {
      files.close(fd);
      throw error;
    }
  }

  get size(): number {
    return this.#size;
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
