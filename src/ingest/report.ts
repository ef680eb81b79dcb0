// What the input thread tells the main thread of its work, and the messages between the two.

import type { WhenFull } from "../config/settings.ts";
import type { DiscardReason } from "../observe/discards.ts";
import type { QueueOrder, WriterMessage } from "../spool/queue.ts";
import type { KnownSession } from "../spool/sessions.ts";

export type InputKind = "datagram" | "stream" | "tcp";

/** Messages turned away at an input since the last report. */
export interface InputDiscard {
  input: InputKind;
  reason: DiscardReason;
  /** null when they have no legal topic. */
  topic: string | null;
  count: number;
  bytes: number;
  /** The beginnings of some of them: at most SAMPLES, of at most SAMPLE_SIZE bytes. */
  samples: Uint8Array[];
}

export const SAMPLES = 10;
export const SAMPLE_SIZE = 256;

/** Totals of one input since the start. */
export interface InputCounters {
  /** Messages wholly received, whatever became of them, once it is settled that they are in the queue or discarded. */
  messages: number;
  bytes: number;
  /** Connections that ended inside a message, or by an error. */
  uncleanDisconnects: number;
  accepted: number;
  open: number;
}

/** What the input thread has found out since its last report. */
export interface IngestNews {
  discards: InputDiscard[];
  /** The beginnings of messages inside which connections ended, since the last report. */
  uncleanSamples: { input: InputKind; sample: Uint8Array }[];
}

export interface IngestReport extends IngestNews {
  /** Of the inputs that are open, as they are now. */
  counters: Partial<Record<InputKind, InputCounters>>;
}

export interface HostPort {
  host: string;
  port: number;
}

/** Where the inputs listen. */
export interface Addresses {
  datagram?: string;
  stream?: string;
  tcp?: HostPort;
}

/** Why an input could not be opened, or the thread cannot go on. */
export interface IngestFailure {
  kind:
    | "unsupported_platform"
    | "in_use"
    | "not_a_socket"
    | "no_directory"
    | "not_writable"
    | "path_too_long"
    | "port_in_use"
    | "bad_address"
    | "not_permitted"
    | "system";
  /** Says what to do about it. */
  message: string;
  /** The socket's path, or "host:port". */
  path: string;
}

/** A UNIX socket to open. */
export interface UnixInputOptions {
  path: string;
  mode: number;
  maxMessage: number;
  whenFull: WhenFull;
  /** Make the directory, if it is missing: it is bruce's own. */
  makeDirectory: boolean;
}

/** A TCP socket to open. `host` is numeric. */
export interface TcpInputOptions extends HostPort {
  maxMessage: number;
  whenFull: WhenFull;
}

/** Limits that only tests change. */
export interface IngestLimits {
  /** Open connections of all inputs together. */
  connections: number;
  /** Bytes of incomplete messages, of all connections together, beyond which they complete one after the other. */
  partials: number;
  /** How long the one whose turn it is may take to complete its message while others wait. Milliseconds. */
  turn: number;
  /** How long drained connections stay open on a stop. Milliseconds. */
  farewell: number;
}

/** What the input thread needs to answer those who ask what became of their messages. */
export interface ReceiptOrder {
  /** See receiptMemory.ts; without it nobody tells what was delivered. */
  memory?: SharedArrayBuffer;
  /** Kafka acknowledges what it takes. */
  acknowledged: boolean;
  /** A message counts as spooled only when it is synced. */
  syncAlways: boolean;
  /** Those of an earlier run. */
  sessions: KnownSession[];
}

/** What may change while the input thread runs. */
export interface InputSettings extends Record<InputKind, { maxMessage: number; whenFull: WhenFull }> {
  maxRecord: number;
  syncAlways: boolean;
}

/** The first and only message to the input thread. */
export interface StartOrder {
  queue: QueueOrder;
  /** See control.ts. */
  control: SharedArrayBuffer;
  /** Written to whenever the thread is to look at the control words or at the queue. */
  eventFd: number;
  datagram?: UnixInputOptions;
  stream?: UnixInputOptions;
  tcp?: TcpInputOptions;
  maxRecord: number;
  receipts: ReceiptOrder;
  limits: IngestLimits;
}

/** What the input thread says. */
export type InputMessage =
  | { type: "ready"; addresses: Addresses }
  | { type: "failed"; failure: IngestFailure }
  | { type: "readable" }
  /** For `QueueLink.told`. */
  | { type: "queue"; message: WriterMessage }
  /** Something was asked: see `Receipts.wake`. */
  | { type: "asked" }
  /** An input that drops the oldest needs room for so many bytes. */
  | { type: "full"; bytes: number }
  | { type: "report"; news: IngestNews }
  | { type: "warning"; message: string; fields: Record<string, unknown> }
  /** The stop has come so far that everything taken is in the queue. */
  | { type: "drained" }
  /** All is closed, the thread's work is over. */
  | { type: "closed" };
