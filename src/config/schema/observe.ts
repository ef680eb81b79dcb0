// The settings about looking on: HTTP, records of discards, copies of messages, the log.
import { address, bool, duration, oneOf, size, text, wordOr } from "../kinds.ts";
import type { LogFormat, LogLevel } from "../types.ts";
import type { Table, Tables } from "./key.ts";

const MB = 1024 * 1024;
const directory = text('the path of a directory, or ""', { empty: true });

export const http: Table<Tables["http"]> = {
  about: "The status page, metrics and health checks.",
  keys: {
    enabled: { kind: bool, default: true, about: "Listen.", restart: true },
    listen: {
      kind: address,
      default: { host: "127.0.0.1", port: 9090 },
      about:
        "The address to listen at; there is no login, so one that is not loopback shows the status to the network.",
      restart: true,
    },
    discardReportInterval: {
      kind: duration("1s", "24h"),
      default: 600_000,
      about: "How often repeated discards of the same kind are summed up in the log; the first is told at once.",
    },
  },
};

export const discards: Table<Tables["discards"]> = {
  about: "A record of discarded messages, to look at and to replay.",
  keys: {
    path: { kind: directory, default: "", about: 'The directory of the record; "" is the buffer\'s.' },
    maxFile: { kind: size("64k", "16g"), default: 32 * MB, about: "How large one of its files gets." },
    maxTotal: {
      kind: size("64k", "1024g"),
      default: 256 * MB,
      about: "How large all of them get; the oldest go first.",
    },
    maxValue: {
      kind: wordOr(["all"], size("0", "100m")),
      default: 2048,
      about: 'How much of a message\'s value is kept; only "all" can be replayed.',
    },
  },
};

export const debug: Table<Tables["debug"]> = {
  about: "Copies of messages, for finding out what a client sends.",
  keys: {
    path: { kind: directory, default: "", about: 'The directory of the copies; "" makes none.' },
    timeLimit: { kind: duration("1s", "8760h"), default: 3_600_000, about: "How long copying may go on." },
    byteLimit: { kind: size("64k", "1024g"), default: 2048 * MB, about: "How much may be copied." },
  },
};

export const log: Table<Tables["log"]> = {
  about: "What bruce says about itself.",
  keys: {
    level: {
      kind: oneOf<LogLevel>("debug", "info", "warn", "error"),
      default: "info",
      about: "The least that is logged.",
    },
    format: {
      kind: oneOf<LogFormat>("auto", "text", "json", "journal"),
      default: "auto",
      about: '"text" is for people, "json" for programs, "journal" for systemd; "auto" finds out which.',
    },
    file: {
      kind: text('the path of a file, or ""', { empty: true }),
      default: "",
      about: 'The file to append to, reopened on SIGUSR1; "" is standard error.',
    },
  },
};
