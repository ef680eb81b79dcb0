// What the tests of the disk buffer share: an embedded broker that can be away, a directory, the daemons in it one after
// another, and numbered messages.
import { afterEach, beforeEach } from "bun:test";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DevBroker, startDevBroker } from "../../src/dev/devBroker.ts";
import { type Bulk, writeBulk } from "../chaos/bulk.ts";
import { type Bruce, type BruceOptions, startBruce } from "../support/bruce.ts";

export const TOPIC = "numbered";

export interface DiskBed {
  readonly broker: DevBroker;
  /** Where the daemons have their sockets, and `state`, their buffer. */
  readonly directory: string;
  /** Starts one where the one before was. It is ended with the test. */
  serve(set?: string[], options?: Partial<BruceOptions>): Promise<Bruce>;
  /** Messages [first, first + count) to its stream; resolves when the receipt "spooled" came for all of them. */
  write(bruce: Bruce, count: number, more?: Partial<Bulk>): Promise<void>;
  /** Kafka goes away, or comes back. */
  away(): void;
  back(): void;
  /** The numbers of the messages in the topic, by partition and offset. */
  arrived(topic?: string): number[];
  /** Resolves when all is settled. */
  drained(bruce: Bruce): ReturnType<Bruce["until"]>;
}

/** A new one for each test. */
export function diskBed(): DiskBed {
  let broker: DevBroker;
  let directory: string;
  let running: Bruce[] = [];
  let isAway = false;
  const away = (gone: boolean) => {
    if (gone !== isAway) (gone ? broker.stopNode : broker.startNode)(1);
    isAway = gone;
  };

  beforeEach(async () => {
    isAway = false;
    directory = mkdtempSync(join(tmpdir(), "bruce-disk-"));
    broker = await startDevBroker({ autoCreate: false });
    broker.createTopic(TOPIC, 1);
  });
  afterEach(async () => {
    for (const each of running) await each.close();
    running = [];
    await broker?.stop();
    rmSync(directory, { recursive: true, force: true });
  });
  return {
    get broker() {
      return broker;
    },
    get directory() {
      return directory;
    },
    async serve(set = [], options = {}) {
      const bruce = await startBruce({ bootstrap: broker.bootstrap, directory, set, ...options });
      running.push(bruce);
      return bruce;
    },
    write: (bruce, count, more = {}) => writeBulk(bruce.sockets.stream, { topic: TOPIC, count, size: 100, ...more }),
    away: () => away(true),
    back: () => away(false),
    arrived: (topic = TOPIC) => broker.records(topic).map(({ value }) => Number(String(value).slice(0, 12))),
    drained: (bruce) => bruce.until(({ ledger }) => ledger.held === 0),
  };
}

/** [from, to) */
export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, at) => from + at);
}

/** Paths of the files in a part of the data directory, in the order of their names. */
export function filesIn(...parts: string[]): string[] {
  const directory = join(...parts);
  return readdirSync(directory)
    .sort()
    .map((name) => join(directory, name));
}

/** Turns one bit around. `offset` below zero counts from the end. */
export function flip(path: string, offset: number): void {
  const bytes = readFileSync(path);
  const at = offset < 0 ? bytes.length + offset : offset;
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  writeFileSync(path, bytes);
}

export function copyDirectory(from: string, to: string): void {
  cpSync(from, to, { recursive: true });
}
