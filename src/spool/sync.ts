// Makes what was appended safe from a power cut: fdatasync of the log's segments, off both threads, one at a time.
//
// What holds:
// - A file whose fdatasync failed is never synced again: the system may have dropped the pages, and would say that all is
//   well. Nothing more is written to it, and its messages that were not safe yet never count as safe.
// - Whoever asks has appended before. A sync takes what was asked before it looks how far the writer is, and tells the writer's
//   thread at its end; what is asked later is for the next one. So nobody is told too early, and then never again.
import type { LogPosition } from "./checkpoint.ts";
import type { Files } from "./files.ts";
import type { LogControl } from "./logControl.ts";
import type { LogSegments } from "./logSegments.ts";
import { syncNames } from "./syncNames.ts";

/** Milliseconds, or after each append, or only when somebody asks for it. */
export type SyncMode = number | "always" | "never";

export interface LogSyncParts {
  files: Files;
  directory: string;
  control: LogControl;
  segments: LogSegments;
  /** To begin with. */
  mode: SyncMode;
  /** No segment below it is there. */
  firstOrdinal: number;
  /** The writer's thread waits for this. */
  onWanted: () => void;
  onFailure: (error: unknown) => void;
}

/** How long a disk that does not give a segment is left alone. Milliseconds. */
const TRY_AGAIN = 1000;

export class LogSync {
  readonly #parts: LogSyncParts;
  #mode: SyncMode;
  /** Segments below it are wholly synced, or failed. */
  #ordinal: number;
  /** The one that was synced last and may have more. */
  #open: { ordinal: number; fd: number } | undefined;
  #named: number;
  #failed: { ordinal: number; from: number } | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  /** Of what is being synced, messages from here on were in no file when it began. */
  #notFrom = Number.POSITIVE_INFINITY;
  /** The writer's thread has asked, and waits to be told. */
  #asked = false;
  #timer: ReturnType<typeof setInterval> | undefined;
  #lastAt = performance.now();
  #failures = 0;
  #stopped = false;
  #endPause = () => {};

  constructor(parts: LogSyncParts) {
    this.#parts = parts;
    this.#mode = parts.mode;
    this.#ordinal = this.#named = parts.firstOrdinal;
  }

  start(): void {
    const mode = this.#mode;
    if (typeof mode === "number") this.#timer = setInterval(() => this.#tick(), mode);
    else if (mode === "always" && this.#running === undefined) this.#watch();
  }

  /** From now on so often. One that is on its way goes on, and is followed by what the new mode asks for. */
  setMode(mode: SyncMode): void {
    if (mode === this.#mode || this.#stopped) return;
    clearInterval(this.#timer);
    this.#mode = mode;
    this.start();
  }

  /** Starts one of all there is now, or another one when one is on its way. */
  soon(): void {
    if (this.#running !== undefined) {
      this.#again = true;
      return;
    }
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      const again = this.#again || this.#asked;
      this.#again = false;
      if (again && !this.#stopped) this.soon();
      else if (this.#mode === "always" && !this.#stopped) this.#watch();
    });
  }

  /** Messages from `from` on were written to a new segment only now, although some of them may count as safe. */
  late(from: number): void {
    const { control } = this.#parts;
    this.#notFrom = Math.min(this.#notFrom, from);
    control.synced = Math.min(control.synced, from - 1);
    if (this.#mode === "always" && !this.#stopped) this.soon();
  }

  /** The segment is deleted: its space is not free before it is closed. */
  drop(ordinal: number): void {
    if (this.#open?.ordinal === ordinal && this.#running === undefined) this.#close();
  }

  /** The file is being synced: if that fails, it is for what lies in it then, whosever that is. */
  isSyncing(ordinal: number): boolean {
    return this.#running !== undefined && this.#open?.ordinal === ordinal;
  }

  /** Milliseconds since everything written was safe. */
  get age(): number {
    return this.#due ? performance.now() - this.#lastAt : 0;
  }

  /** fdatasyncs that failed. */
  get failures(): number {
    return this.#failures;
  }

  /** Resolves when all that was written before is safe, or has failed. */
  async now(): Promise<void> {
    await this.#running;
    if (!this.#due) return;
    this.soon();
    await this.#running;
  }

  /** Ends it, after a last one. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    this.#endPause();
    await this.now();
    this.#close();
  }

  get #due(): boolean {
    const { control } = this.#parts;
    return control.head().number - 1 > control.synced;
  }

  #tick(): void {
    if (this.#due) this.soon();
    else this.#lastAt = performance.now();
  }

  #watch(): void {
    const { control } = this.#parts;
    if (control.synced < control.head().number - 1 || !control.sleepSync(control.synced + 1)) this.soon();
  }

  async #run(): Promise<void> {
    const { control, onWanted } = this.#parts;
    if (control.takeSyncWanted()) this.#asked = true;
    if (this.#due && !(await this.#syncTo({ ...control.head() }))) return;
    if (this.#asked) onWanted();
    this.#asked = false;
  }

  /** False when it could not even be tried. */
  async #syncTo(head: LogPosition): Promise<boolean> {
    const { control, segments } = this.#parts;
    try {
      segments.discover(head.segment);
    } catch {
      // Not at once: the event loop would never get its turn.
      await this.#pause();
      return false;
    }
    const begun = performance.now();
    this.#notFrom = Number.POSITIVE_INFINITY;
    for (const { ordinal, path } of [...segments.all()]) {
      if (ordinal < this.#ordinal || ordinal > head.segment) continue;
      if (this.#failed?.ordinal !== ordinal && !(await this.#sync(ordinal, path))) this.#fail(ordinal);
      if (ordinal < head.segment) this.#ordinal = ordinal + 1;
    }
    // It may have been deleted meanwhile.
    if (this.#open !== undefined && segments.at(this.#open.ordinal) === undefined) this.#close();
    this.#noteFailed(head);
    this.#lastAt = begun;
    control.synced = Math.max(control.synced, Math.min(head.number, this.#notFrom) - 1);
    return true;
  }

  async #sync(ordinal: number, path: string): Promise<boolean> {
    const { files, directory, onFailure } = this.#parts;
    try {
      if (this.#open?.ordinal !== ordinal) {
        this.#close();
        if (!files.exists(path)) return true; // settled and gone
        this.#open = { ordinal, fd: files.open(path, "r") };
      }
      await files.sync(this.#open.fd);
      if (this.#named <= ordinal) {
        await syncNames(files, directory);
        this.#named = ordinal + 1;
      }
      return true;
    } catch (error) {
      if (!files.exists(path)) return true;
      this.#failures++;
      onFailure(error);
      return false;
    }
  }

  #fail(ordinal: number): void {
    const { control } = this.#parts;
    this.#close();
    const from = this.#failed === undefined ? control.synced + 1 : Math.min(this.#failed.from, control.synced + 1);
    this.#failed = { ordinal, from };
    // An older one is left already, and there may be a wish to have the one of now left.
    if (ordinal >= control.head().segment) control.rotate = ordinal;
  }

  /** What was appended to a file that failed before the writer left it cannot be made safe either. */
  #noteFailed(head: LogPosition): void {
    const { control, segments } = this.#parts;
    const failed = this.#failed;
    if (failed === undefined) return;
    const next = segments.all().find(({ ordinal }) => ordinal > failed.ordinal);
    control.failSync(failed.from, next?.firstNumber ?? head.number);
    if (failed.ordinal < this.#ordinal) this.#failed = undefined;
  }

  /** Resolves after a while, or when it is stopped. */
  #pause(): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, TRY_AGAIN);
      this.#endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #close(): void {
    if (this.#open !== undefined) this.#parts.files.close(this.#open.fd);
    this.#open = undefined;
  }
}
