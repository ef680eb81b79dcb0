// The composition root: starts delivery first and stops inputs first.
import type { Settings } from "./config/settings.ts";
import { daemonStatus } from "./daemonStatus.ts";
import { type Ingest, startIngest } from "./ingest/ingest.ts";
import type { IngestReport, InputSettings } from "./ingest/report.ts";
import { guardMemory } from "./memoryGuard.ts";
import { DiscardLog } from "./observe/discardLog.ts";
import { type HttpServer, startHttp } from "./observe/http.ts";
import type { Log } from "./observe/log.ts";
import { memoryFull, memoryOnly } from "./observe/memoryOnly.ts";
import { readiness } from "./observe/readiness.ts";
import type { ConfigStatus, DaemonStatus, SpoolReport } from "./observe/status.ts";
import { type Pipeline, type PipelineParts, QUEUE_SHARE, startPipeline } from "./pipeline.ts";
import type { Reloadable } from "./reload.ts";
import { DirectoryWatch } from "./spool/directoryWatch.ts";
import { MemoryQueue } from "./spool/memoryQueue.ts";
import type { QueueLink, QueueReader } from "./spool/queue.ts";
import { Receipts } from "./spool/receipts.ts";
import { openSpool, type Spool } from "./spool/spool.ts";

/** What a stop leaves. Messages. */
export interface StopResult {
  /** Given up. */
  lost: number;
  /** In the disk buffer, to be delivered after the next start. */
  left: number;
}

export interface DaemonParts extends Pick<PipelineParts, "settings" | "security" | "log"> {
  version: string;
  /** Where `settings` are from. */
  config: () => ConfigStatus;
}

export interface Daemon extends Reloadable {
  /** Where it listens. */
  addresses: Ingest["addresses"] & { http?: HttpServer["address"] };
  status: () => DaemonStatus;
  /** Inputs first, then flush up to delivery.shutdown_timeout, then the last checkpoint. */
  stop(): Promise<StopResult>;
}

/** Starts all of it. Rejects with an Error that says what to do when a socket, the HTTP port or the data directory cannot be had. */
export async function startDaemon({ settings, security, log, version, config }: DaemonParts): Promise<Daemon> {
  const startedAt = Date.now();
  let state: DaemonStatus["state"] = "starting";
  const queueCapacity = settings.buffer.memory * QUEUE_SHARE;
  const discardLog = new DiscardLog(log, settings.http.discardReportInterval);
  const buffer = openBuffer(settings, log, queueCapacity);
  const { queue, receipts, spool } = buffer;
  const onDiscard = discardLog.note;
  const pipeline = startPipeline({ settings, security, queue, log, onDiscard, ...partsOf(buffer) });
  const { total } = pipeline.ledger;
  const memory = guardMemory(settings.buffer.memory, () => total.received + total.delivered);
  let ingest: Ingest | undefined;
  let http: HttpServer | undefined;

  const status = () =>
    daemonStatus({
      version,
      startedAt,
      settings,
      config: config(),
      state,
      queue,
      queueCapacity,
      spool: buffer.report(),
      pipeline,
      inputs: ingest?.status() ?? [],
      discardSamples: discardLog.samples(),
    });
  const ready = () => readiness(state, buffer.report().buffer);

  try {
    await spool?.start({
      ledger: pipeline.ledger,
      topicsSeen: () => pipeline.cluster.topicsSeen(),
      lost: (count, reason) => pipeline.settlement.rejected(undefined, count, reason),
      lostOf: (topic, count) => pipeline.settlement.lost(topic, count),
    });
    if (settings.http.enabled) http = await startHttp({ listen: settings.http.listen, status, ready, log });
    ingest = await startIngest({
      input: settings.input,
      maxRecord: largestRecord(settings),
      queue,
      log,
      receipts: {
        tracker: receipts,
        acknowledged: settings.kafka.acks !== 0,
        syncAlways: settings.buffer.sync === "always",
      },
      onFull: (bytes) => {
        if (queue.writerWaits) pipeline.dropForWriter();
        if (queue.writerWaits || spool === undefined) return;
        const atOnce = Math.max(bytes, spool.roomAtOnce);
        if (pipeline.dropOldest(atOnce) === 0) return;
        // A file goes as a whole, and stays as long as it has a message that is on its way.
        while (!spool.hasGarbage && pipeline.dropOldest(atOnce) > 0);
        void spool.giveBack();
      },
      onReport: (report) => bookReport(report, pipeline, discardLog),
      onFailure: ({ message }) => {
        log.error("no message can be taken any more, stopping", { why: message });
        process.kill(process.pid, "SIGTERM");
      },
    });
  } catch (error) {
    memory.stop();
    pipeline.stop();
    await http?.stop();
    await spool?.stop();
    buffer.watch?.stop();
    throw error;
  }
  state = "running";
  const { addresses, stop: stopInputs, flushed, closed: inputsClosed, set: setInputs } = ingest;

  return {
    addresses: { ...addresses, ...(http === undefined ? {} : { http: http.address }) },
    status,
    settingsChanged(changed) {
      discardLog.interval = settings.http.discardReportInterval;
      // First, so that there is room for what comes by the other new settings.
      if (changed("buffer")) spool?.settingsChanged();
      pipeline.settingsChanged(changed);
      setInputs(inputSettings(settings));
    },
    async stop() {
      state = "stopping";
      await stopInputs(settings.delivery.shutdownTimeout);
      await pipeline.flush(settings.delivery.shutdownTimeout);
      const givenUp = pipeline.stop();
      flushed();
      await inputsClosed;
      const inMemory = spool?.inMemoryAlone ?? 0;
      const left = spool?.unsettled ?? 0;
      await spool?.stop();
      buffer.watch?.stop();
      discardLog.flush();
      await http?.stop();
      memory.stop();
      return { lost: givenUp + inMemory, left: left - inMemory };
    },
  };
}

/** Where messages wait: on disk, or in memory alone. */
interface Buffer {
  queue: QueueReader & QueueLink;
  receipts: Receipts;
  spool: Spool | undefined;
  /** Of a directory that cannot be used. */
  watch?: DirectoryWatch;
  report: () => SpoolReport;
}

function openBuffer(settings: Settings, log: Log, ringCapacity: number): Buffer {
  const { disk, path } = settings.buffer;
  let watch: DirectoryWatch | undefined;
  if (disk > 0) {
    const opened = openSpool({ settings: settings.buffer, log, ringCapacity });
    if ("spool" in opened) {
      const { spool } = opened;
      return { queue: spool.queue, receipts: spool.receipts, spool, report: () => spool.report() };
    }
    // Another daemon delivers what is there, and takes what comes.
    if (opened.problem.kind === "locked") throw new Error(opened.problem.message);
    const { problem } = opened;
    log.error("messages are kept in memory alone until bruce is started again", { why: problem.message });
    const onChange = (usable: boolean) => {
      const why = watch?.reason;
      if (usable) log.warn("the data directory can be used now: restart bruce, to keep messages on disk", { path });
      else log.error("the data directory cannot be used any more", { why });
    };
    watch = new DirectoryWatch({ path, problem, onChange });
  }
  const queue = new MemoryQueue(ringCapacity);
  const receipts = new Receipts({ next: () => queue.taken + 1 });
  queue.watch(receipts);
  const report = () => {
    const { buffer, ...rest } = memoryOnly(memoryFull(queue.bytesWaiting, ringCapacity), queue.unsettled);
    if (watch === undefined) return { buffer, ...rest };
    return { buffer: { ...buffer, mode: "degraded" as const, reason: watch.reason, path }, ...rest };
  };
  return { queue, receipts, spool: undefined, watch, report };
}

/** What of the disk buffer the pipeline works with. */
function partsOf({ spool }: Buffer) {
  if (spool === undefined) return {};
  const { journal, held, recovered } = spool;
  const { openEntries: entries, bindingOk: bound, topicsSeen, ledger: books } = recovered;
  const fetch: Spool["fetch"] = (topic, numbers, visit) => spool.fetch(topic, numbers, visit);
  const lostBecause = () => spool.lostBecause;
  const restored = { entries, bound, topicsSeen, books, fetch, lostBecause };
  return { journal, held, hold: { markOf: spool.markOf }, restored };
}

/** Books what the input thread turned away. */
function bookReport(report: IngestReport, pipeline: Pipeline, discardLog: DiscardLog): void {
  for (const { reason, topic, count, samples, input } of report.discards) {
    pipeline.settlement.rejected(topic ?? undefined, count, reason);
    discardLog.sample(input, reason, samples);
  }
  for (const { input, sample } of report.uncleanSamples) discardLog.sample(input, "unclean_disconnect", [sample]);
}

/** What the input thread can be told while it runs. */
function inputSettings(settings: Settings): InputSettings {
  const { datagram, stream, tcp } = settings.input;
  return { datagram, stream, tcp, maxRecord: largestRecord(settings), syncAlways: settings.buffer.sync === "always" };
}

/** The input thread knows no topics: it turns away only what is too large for every one of them. */
function largestRecord(settings: Settings): number {
  return Math.max(settings.batch.maxRecord, ...settings.topics.map(({ overrides }) => overrides.maxRecord ?? 0));
}
