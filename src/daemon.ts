// The composition root: starts delivery first and stops inputs first.
import type { Settings } from "./config/settings.ts";
import { daemonStatus } from "./daemonStatus.ts";
import { type Ingest, startIngest } from "./ingest/ingest.ts";
import type { IngestReport } from "./ingest/report.ts";
import { DiscardLog } from "./observe/discardLog.ts";
import { type HttpServer, startHttp } from "./observe/http.ts";
import type { Log } from "./observe/log.ts";
import type { DaemonStatus, Readiness } from "./observe/status.ts";
import { type Pipeline, QUEUE_SHARE, startPipeline } from "./pipeline.ts";
import { MemoryQueue } from "./spool/memoryQueue.ts";

/** A queue fuller than this share is called full by /readyz: one that was full takes no more until it is down to that. */
const NEARLY_FULL = 0.75;

export interface Daemon {
  /** Where it listens. */
  addresses: Ingest["addresses"] & { http?: HttpServer["address"] };
  status: () => DaemonStatus;
  /** Inputs first, then flush up to delivery.shutdown_timeout. Resolves with the number of messages that were given up. */
  stop(): Promise<number>;
}

/** Starts all of it. Rejects with an Error that says what to do when a socket or the HTTP port cannot be had. */
export async function startDaemon(settings: Settings, log: Log, version: string): Promise<Daemon> {
  const startedAt = Date.now();
  let state: DaemonStatus["state"] = "starting";
  const queueCapacity = settings.buffer.memory * QUEUE_SHARE;
  const queue = new MemoryQueue(queueCapacity);
  const discardLog = new DiscardLog(log, settings.http.discardReportInterval);
  const pipeline = startPipeline({ settings, queue, log, onDiscard: discardLog.note });
  let ingest: Ingest | undefined;
  let http: HttpServer | undefined;

  const status = () =>
    daemonStatus({
      version,
      startedAt,
      settings,
      state,
      queue,
      queueCapacity,
      pipeline,
      inputs: ingest?.status() ?? [],
      discardSamples: discardLog.samples(),
    });
  const ready = (): Readiness => {
    if (state !== "running") return { ok: false, reason: `bruce is ${state}` };
    if (queue.bytesWaiting > queueCapacity * NEARLY_FULL) return { ok: false, reason: "the buffer is full" };
    return { ok: true };
  };

  try {
    if (settings.http.enabled) http = await startHttp({ listen: settings.http.listen, status, ready, log });
    ingest = await startIngest({
      input: settings.input,
      maxRecord: largestRecord(settings),
      queue,
      log,
      onReport: (report) => bookReport(report, pipeline, discardLog),
      onFailure: ({ message }) => {
        log.error("no message can be taken any more, stopping", { why: message });
        process.kill(process.pid, "SIGTERM");
      },
    });
  } catch (error) {
    pipeline.stop();
    await http?.stop();
    throw error;
  }
  state = "running";
  const { addresses, stop: stopInputs, closed: inputsClosed } = ingest;

  return {
    addresses: { ...addresses, ...(http === undefined ? {} : { http: http.address }) },
    status,
    async stop() {
      state = "stopping";
      await stopInputs();
      await pipeline.flush(settings.delivery.shutdownTimeout);
      ingest?.flushed();
      const givenUp = pipeline.stop();
      await inputsClosed;
      discardLog.flush();
      await http?.stop();
      return givenUp;
    },
  };
}

/** Books what the input thread turned away. */
function bookReport(report: IngestReport, pipeline: Pipeline, discardLog: DiscardLog): void {
  for (const { reason, topic, count, samples, input } of report.discards) {
    pipeline.settlement.rejected(topic ?? undefined, count, reason);
    discardLog.sample(input, reason, samples);
  }
  for (const { input, sample } of report.uncleanSamples) discardLog.sample(input, "unclean_disconnect", [sample]);
}

/** The input thread knows no topics: it turns away only what is too large for every one of them. */
function largestRecord(settings: Settings): number {
  return Math.max(settings.batch.maxRecord, ...settings.topics.map(({ overrides }) => overrides.maxRecord ?? 0));
}
