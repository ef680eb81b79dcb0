// Starts the input thread and speaks for it on the main thread.

import { lookup } from "node:dns/promises";
import { closeSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { defaultPlaces, ownSurroundings } from "../config/places.ts";
import type { Settings, UnixInput } from "../config/settings.ts";
import type { Log } from "../observe/log.ts";
import type { InputStatus } from "../observe/status.ts";
import type { QueueLink } from "../spool/queue.ts";
import { MOST_CONNECTIONS, type Receipts } from "../spool/receipts.ts";
import {
  ABANDON,
  controlWords,
  createControl,
  FLUSHED,
  putSettings,
  REPORT_OUT,
  SharedCounters,
  STOP,
} from "./control.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK, openLibc } from "./libc.ts";
import type {
  Addresses,
  HostPort,
  IngestFailure,
  IngestLimits,
  IngestReport,
  InputKind,
  InputMessage,
  InputSettings,
  StartOrder,
  TcpInputOptions,
  UnixInputOptions,
} from "./report.ts";

/** The inputs could not be opened; `failure` says which, why, and what to do. */
export class IngestError extends Error {
  readonly failure: IngestFailure;

  constructor(failure: IngestFailure) {
    super(failure.message);
    this.name = "IngestError";
    this.failure = failure;
  }
}

export interface IngestOptions {
  input: Settings["input"];
  /** The most bytes that key and value of a message may have together, for whatever topic. */
  maxRecord: number;
  queue: QueueLink;
  log: Log;
  /** At most ten times a second, and once more before `stop` resolves. */
  onReport: (report: IngestReport) => void;
  /** The input thread has failed: nothing more is taken. */
  onFailure: (failure: IngestFailure) => void;
  /** Without them, nobody who asks is told what was delivered, and no session outlives the process. */
  receipts?: {
    tracker: Receipts;
    /** Kafka acknowledges what it takes: kafka.acks is not 0. */
    acknowledged: boolean;
    /** buffer.sync is "always": a message counts as spooled only when it is synced. */
    syncAlways: boolean;
  };
  /** An input whose policy is drop_oldest needs room for so many bytes; told again as long as there is none. */
  onFull?: (bytes: number) => void;
  limits?: Partial<IngestLimits>;
}

export interface Ingest {
  addresses: Addresses;
  /** Of the inputs that are open, as they are now. */
  counters(): IngestReport["counters"];
  status(): InputStatus[];
  /** Other settings, for what comes from now on. */
  set(settings: InputSettings): void;
  /**
   * Takes nothing more, and resolves when everything that was taken is in the queue. What has found no room in it after
   * `patience` ms is discarded ("shutdown"), and what the system has accepted and nobody has read is lost.
   */
  stop(patience: number): Promise<void>;
  /** To be called after a stop, when nothing more will be delivered: those who wait to hear of it are told so. */
  flushed(): void;
  /** Resolves when, after a stop and `flushed`, the clients' connections are closed too. */
  closed: Promise<void>;
}

const LIMITS: IngestLimits = { connections: MOST_CONNECTIONS, partials: 16_777_216, turn: 30_000, farewell: 300 };

/** What is written to an eventfd to wake who polls it: the int64 that is added to it. */
const ONE = new BigUint64Array([1n]);

/** Opens the inputs. Rejects with an IngestError when one of them cannot be opened; then none is. */
export async function startIngest(options: IngestOptions): Promise<Ingest> {
  const { queue, log, onReport, onFailure } = options;
  const control = createControl();
  const words = controlWords(control);
  const eventFd = openEventFd();
  const wake = () => writeSync(eventFd, ONE);
  const order = await orderFor(options, control, eventFd).catch((error) => {
    closeSync(eventFd);
    throw error;
  });
  const worker = new Worker(workerUrl());
  const ready = Promise.withResolvers<Addresses>();
  const drained = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  let state: "starting" | "running" | "over" = "starting";
  const counters = (): IngestReport["counters"] => {
    const opened = (["datagram", "stream", "tcp"] as const).filter((kind) => order[kind] !== undefined);
    return Object.fromEntries(opened.map((kind) => [kind, new SharedCounters(control, kind).copy()]));
  };

  const end = () => {
    state = "over";
    queue.onRoom(() => {});
    options.receipts?.tracker.onAnswer(() => {});
    worker.terminate();
    closeSync(eventFd);
    drained.resolve();
    closed.resolve();
  };
  const fail = (failure: IngestFailure) => {
    if (state === "over") return;
    const was = state;
    end();
    if (was === "starting") ready.reject(new IngestError(failure));
    else onFailure(failure);
  };
  worker.onerror = ({ message }) => fail({ kind: "system", message: `the input thread failed: ${message}`, path: "" });
  worker.onmessage = ({ data }: MessageEvent<InputMessage>) => {
    if (state === "over") return;
    switch (data.type) {
      case "ready":
        state = "running";
        ready.resolve(data.addresses);
        break;
      case "failed":
        fail(data.failure);
        break;
      case "readable":
        queue.wake();
        break;
      case "queue":
        queue.told(data.message);
        break;
      case "asked":
        options.receipts?.tracker.wake();
        break;
      case "full":
        options.onFull?.(data.bytes);
        break;
      case "report":
        Atomics.store(words, REPORT_OUT, 0);
        onReport({ ...data.news, counters: counters() });
        break;
      case "warning":
        log.warn(data.message, data.fields);
        break;
      case "drained":
        drained.resolve();
        break;
      case "closed":
        end();
        break;
      default:
        data satisfies never;
    }
  };
  queue.onRoom(wake);
  options.receipts?.tracker.onAnswer(wake);
  worker.postMessage(order);
  const addresses = await ready.promise;
  return {
    addresses,
    counters,
    status: () => statusOf(addresses, counters()),
    set(settings) {
      putSettings(words, settings);
      if (state === "running") wake();
    },
    stop(patience) {
      if (state === "running" && Atomics.exchange(words, STOP, 1) === 0) wake();
      const timer = setTimeout(() => {
        if (state !== "running") return;
        Atomics.store(words, ABANDON, 1);
        wake();
      }, patience);
      return drained.promise.finally(() => clearTimeout(timer));
    },
    flushed() {
      if (state === "running" && Atomics.exchange(words, FLUSHED, 1) === 0) wake();
    },
    closed: closed.promise,
  };
}

/** Inside the executable the worker is an entry point named as it was given to the build. */
function workerUrl(): string | URL {
  if (import.meta.url.includes("$bunfs")) return "./src/ingest/input.worker.ts";
  return new URL("./input.worker.ts", import.meta.url);
}

function openEventFd(): number {
  const result = openLibc();
  if ("failure" in result) throw new IngestError({ ...result.failure, path: "" });
  const fd = result.libc.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd >= 0) return fd;
  throw new IngestError({ kind: "system", message: "no eventfd can be made: raise the limit of open files", path: "" });
}

async function orderFor(options: IngestOptions, control: SharedArrayBuffer, eventFd: number): Promise<StartOrder> {
  const { datagram, stream, tcp } = options.input;
  const tracker = options.receipts?.tracker;
  const limits = { ...LIMITS, ...options.limits };
  return {
    queue: options.queue.order,
    control,
    eventFd,
    ...(datagram.enabled ? { datagram: unixOptions(datagram) } : {}),
    ...(stream.enabled ? { stream: unixOptions(stream) } : {}),
    ...(tcp.enabled ? { tcp: await tcpOptions(tcp) } : {}),
    maxRecord: options.maxRecord,
    receipts: {
      ...(tracker === undefined ? {} : { memory: tracker.memory }),
      acknowledged: options.receipts?.acknowledged ?? false,
      syncAlways: options.receipts?.syncAlways ?? false,
      sessions: tracker?.sessions() ?? [],
    },
    limits: { ...limits, connections: Math.min(limits.connections, tracker?.connections ?? MOST_CONNECTIONS) },
  };
}

function unixOptions({ path, mode, maxMessage, whenFull }: UnixInput): UnixInputOptions {
  const own = dirname(defaultPlaces(ownSurroundings()).datagramSocket);
  return { path, mode, maxMessage, whenFull, makeDirectory: dirname(path) === own };
}

async function tcpOptions({ listen, maxMessage, whenFull }: Settings["input"]["tcp"]): Promise<TcpInputOptions> {
  const path = `${listen.host}:${listen.port}`;
  const { address } = await lookup(listen.host).catch((error) => {
    const message = `bruce cannot listen on ${path}: the host's address cannot be found (${error.code})`;
    throw new IngestError({ kind: "bad_address", message, path });
  });
  return { host: address, port: listen.port, maxMessage, whenFull };
}

function statusOf(addresses: Addresses, counters: IngestReport["counters"]): InputStatus[] {
  const of = (input: InputKind, address: string | undefined): InputStatus[] => {
    if (address === undefined) return [];
    const count = counters[input];
    return [
      {
        input,
        address,
        received: count?.messages ?? 0,
        received_bytes: count?.bytes ?? 0,
        connections_open: count?.open ?? 0,
        connections_accepted: count?.accepted ?? 0,
        unclean_disconnects: count?.uncleanDisconnects ?? 0,
      },
    ];
  };
  const { datagram, stream, tcp } = addresses;
  return [...of("datagram", datagram), ...of("stream", stream), ...of("tcp", hostPort(tcp))];
}

function hostPort(address: HostPort | undefined): string | undefined {
  if (address === undefined) return undefined;
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}
