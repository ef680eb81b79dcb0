// The settings about where messages wait.
import { duration, integer, size, text, wordOr } from "../kinds.ts";
import type { Table, Tables } from "./key.ts";

const MB = 1024 * 1024;
/** What is kept of a smaller disk for the journal, and how large a block may get, is decided at the start by its size. */
const SMALL_DISK = 64 * MB;

export const buffer: Table<Tables["buffer"]> = {
  about: "Where messages wait until Kafka has them.",
  keys: {
    path: {
      kind: text("the path of a directory", { empty: false }),
      default: { from: (places) => places.state },
      about: "The directory of the disk buffer; of no effect while `disk` is 0.",
      restart: true,
    },
    disk: {
      kind: size("0", "1048576g"),
      default: 4096 * MB,
      about: "How much disk waiting messages may take, at least 1m; 0 keeps them in memory only.",
      restart: { when: (from, to) => Math.min(from, to) < SMALL_DISK, about: "a change from or to less than 64m" },
    },
    memory: {
      kind: size("16m", "64g"),
      default: 128 * MB,
      about: "How much memory messages may take, whatever the backlog. bruce itself needs up to 100m more.",
      restart: true,
    },
    segment: {
      kind: size("64k", "1g"),
      default: 64 * MB,
      about:
        "How large one file of the disk buffer gets, at most an eighth of `disk`; less than the default when that asks " +
        "for it. Of no effect while `disk` is 0.",
      restart: true,
    },
    sync: {
      kind: wordOr(["always", "never"], duration("1ms", "1h")),
      default: 1000,
      about:
        "How much time's worth of messages a power cut may take: how often they are forced to the disk. " +
        '"always" does it before each receipt `spooled`, "never" only when a receipt `synced` asks for it. ' +
        "Of no effect while `disk` is 0.",
    },
    minFreeDisk: {
      kind: size("0", "1048576g"),
      default: 256 * MB,
      about: "How much of the volume always to leave free; of no effect while `disk` is 0.",
    },
    held: {
      kind: size("0", "1048576g"),
      default: 1024 * MB,
      about:
        "How much of `disk` topics that cannot be delivered may take together; unless set, at most a quarter of it. " +
        "Of no effect while `disk` is 0.",
    },
    maxTopics: {
      kind: integer(1, 1_000_000),
      default: 10_000,
      about: "How many topics may be written to; messages of any more are discarded, since anyone may make up names.",
    },
  },
};
