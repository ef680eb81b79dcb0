// biome-ignore-all lint/suspicious/noTemplateCurlyInString: that is what is tested
import { describe, expect, test } from "bun:test";
import { errors } from "./support.ts";

/** Each kind of error once: the text, and all that is said of it. */
const CASES: Record<string, [text: string, ...messages: string[]]> = {
  "a syntax error": ["[kafka]\nacks = all", "bruce.toml:2:8: not valid TOML: invalid value (a string needs quotes)"],
  "a key given twice": [
    "log.level = 'info'\nlog.level = 'info'",
    "bruce.toml:2:1: not valid TOML: trying to redefine an already defined table or value",
  ],
  "a misspelt setting": [
    '[batch]\nlnger = "5ms"',
    'bruce.toml:2:1: batch.lnger: unknown setting; did you mean "linger"?',
  ],
  "a setting in the wrong table": [
    '[kafka]\nlinger = "5ms"',
    "bruce.toml:2:1: kafka.linger: unknown setting; it belongs in [batch]",
  ],
  "a setting that is like no other": ["colour = 1", "bruce.toml:1:1: colour: unknown setting"],
  "a misspelt table": ["[kafak]", 'bruce.toml:1:2: kafak: unknown table; did you mean "kafka"?'],
  "a misspelt table in a table": [
    "[input.datagramm]\nenabled = true",
    'bruce.toml:1:8: input.datagramm: unknown table; did you mean "datagram"?',
  ],
  "names that every object has": [
    "constructor = 1\n[__proto__]\nacks = 1",
    "bruce.toml:1:1: constructor: unknown setting",
    "bruce.toml:2:2: __proto__: unknown table",
  ],
  "a value where a table belongs": [
    "input.tcp = true",
    "bruce.toml:1:7: input.tcp: must be a table: write [input.tcp] and its settings below",
  ],
  "a table where a value belongs": [
    "[log.level]",
    'bruce.toml:1:6: log.level: got a table; must be "debug", "info", "warn" or "error"',
  ],
  "a list of tables where a table belongs": [
    "[[log]]",
    "bruce.toml:1:3: log: must be a table: write [log] and its settings below",
  ],
  "a size of no known unit": [
    'batch.bytes = "64kb"',
    'bruce.toml:1:15: batch.bytes: got "64kb"; must be a size from "1" to "100m", such as "64k", "128m" or "4g"',
  ],
  "a size out of range": [
    "[buffer]\nmemory = 1000",
    'bruce.toml:2:10: buffer.memory: got 1000; must be a size from "16m" to "64g", such as "64k", "128m" or "4g"',
  ],
  "a negative size": [
    "batch.bytes = -1",
    'bruce.toml:1:15: batch.bytes: got -1; must be a size from "1" to "100m", such as "64k", "128m" or "4g"',
  ],
  "a duration without a unit": [
    "batch.linger = 5",
    'bruce.toml:1:16: batch.linger: got 5; must be a duration from "0" to "1h", such as "500ms", "30s", "15m" or "24h"',
  ],
  "a duration out of range": [
    'batch.linger = "2h"',
    'bruce.toml:1:16: batch.linger: got "2h"; must be a duration from "0" to "1h", such as "500ms", "30s", "15m" or "24h"',
  ],
  "an integer out of range": [
    "kafka.max_in_flight = 0",
    "bruce.toml:1:23: kafka.max_in_flight: got 0; must be an integer from 1 to 100",
  ],
  "an integer larger than any": [
    "kafka.max_in_flight = 9223372036854775807",
    "bruce.toml:1:23: kafka.max_in_flight: got 9223372036854775807; must be an integer from 1 to 100",
  ],
  "a fraction": [
    "batch.messages = 1.5",
    "bruce.toml:1:18: batch.messages: got 1.5; must be an integer from 0 to 1000000",
  ],
  "no number": [
    "compression.max_ratio = nan",
    "bruce.toml:1:25: compression.max_ratio: got NaN; must be a number from 0 to 1",
  ],
  "a string for a boolean": ['http.enabled = "yes"', 'bruce.toml:1:16: http.enabled: got "yes"; must be true or false'],
  "a number for a string": [
    "kafka.client_id = 7",
    "bruce.toml:1:19: kafka.client_id: got 7; must be a string of 1 to 249 characters",
  ],
  "a date": [
    "kafka.client_id = 2026-01-01",
    "bruce.toml:1:19: kafka.client_id: got a date; must be a string of 1 to 249 characters",
  ],
  "a string with a line break": [
    'kafka.client_id = "a\\nb"',
    'bruce.toml:1:19: kafka.client_id: got "a\\nb"; must be a string of 1 to 249 characters',
  ],
  "a long value, shortened": [
    `kafka.client_id = "${"x".repeat(300)}"`,
    `bruce.toml:1:19: kafka.client_id: got "${"x".repeat(60)}…"; must be a string of 1 to 249 characters`,
  ],
  "a misspelt choice": [
    '[compression]\ncodec = "gzpi"',
    'bruce.toml:2:9: compression.codec: got "gzpi"; must be "none", "gzip", "snappy", "lz4" or "zstd"; did you mean "gzip"?',
  ],
  "a choice of another type": ["kafka.acks = 2", 'bruce.toml:1:14: kafka.acks: got 2; must be "all", 1 or 0'],
  "a mode that is a number": [
    "input.datagram.mode = 222",
    'bruce.toml:1:23: input.datagram.mode: got 222; must be permission bits as an octal string, such as "0222" or "0660"',
  ],
  "a mode that is not octal": [
    'input.stream.mode = "0888"',
    'bruce.toml:1:21: input.stream.mode: got "0888"; must be permission bits as an octal string, such as "0222" or "0660"',
  ],
  "an address without a port": [
    'http.listen = "localhost"',
    'bruce.toml:1:15: http.listen: got "localhost"; must be "host:port" with a port from 0 to 65535 (0: any free one), such as "127.0.0.1:9000" or "[::1]:9000"',
  ],
  "a port that is none": [
    'input.tcp.listen = "127.0.0.1:65536"',
    'bruce.toml:1:20: input.tcp.listen: got "127.0.0.1:65536"; must be "host:port" with a port from 0 to 65535 (0: any free one), such as "127.0.0.1:9000" or "[::1]:9000"',
  ],
  "no brokers": [
    "kafka.brokers = []",
    'bruce.toml:1:17: kafka.brokers: got an empty list; must be a list of at least one "host:port" with a port from 1 to 65535, such as ["kafka-1:9092", "[::1]:9092"]',
  ],
  "one bad broker of several": [
    '[kafka]\nbrokers = ["a:9092",\n  "::1:9092"]',
    'bruce.toml:3:3: kafka.brokers: got "::1:9092"; must be "host:port" with a port from 1 to 65535',
  ],
  "a broker with port 0": [
    'kafka.brokers = ["a:0"]',
    'bruce.toml:1:18: kafka.brokers: got "a:0"; must be "host:port" with a port from 1 to 65535',
  ],
  "a broker with credentials": [
    'kafka.brokers = ["sasl://me:hunter2@kafka:9092"]',
    'bruce.toml:1:18: kafka.brokers: got "sasl://***@kafka:9092"; must be "host:port" with a port from 1 to 65535',
  ],
  "a broker listed twice": [
    'kafka.brokers = ["a:1", "b:1", "A:1"]',
    'bruce.toml:1:32: kafka.brokers: "A:1" is listed twice',
  ],
  "a rate that is none": [
    'topics.a.rate_limit = "10000"',
    'bruce.toml:1:23: topics.a.rate_limit: got "10000"; must be messages per time, such as "10000/1s"',
  ],
  "acks that give up idempotence": [
    "[kafka]\nacks = 1",
    'bruce.toml:2:8: kafka.acks: acks = 1 needs idempotence = false: brokers recognise a repeated batch only with acks = "all"',
  ],
  "a backoff above its maximum": [
    '[delivery]\nbackoff_max = "10ms"',
    "bruce.toml:2:15: delivery.backoff_max: backoff must be at most backoff_max",
  ],
  "no input at all": [
    "input.datagram.enabled = false\ninput.stream.enabled = false",
    "bruce.toml:1:26: input.datagram.enabled: every input is disabled; enable at least one",
  ],
  "a socket path too long for the kernel": [
    `input.datagram.path = "/${"é".repeat(53)}x"`,
    "bruce.toml:1:23: input.datagram.path: the path has 108 bytes; a socket's path can have at most 107",
  ],
  "an empty socket path": [
    'input.stream.path = ""',
    'bruce.toml:1:21: input.stream.path: got ""; must be a path of 1 to 107 bytes',
  ],
  "two sockets at one path": [
    'input.stream.path = "/run/bruce/../bruce/bruce.sock"',
    "bruce.toml:1:21: input.stream.path: both sockets have the same path; each needs its own",
  ],
  "one port for HTTP and messages": [
    'input.tcp.enabled = true\ninput.tcp.listen = "0.0.0.0:9090"',
    "bruce.toml:2:20: input.tcp.listen: HTTP (127.0.0.1:9090) and messages (0.0.0.0:9090) need a port each",
  ],
  "batches larger than a request": [
    'batch.bytes = "2m"',
    "bruce.toml:1:15: batch.bytes: bytes must be at most request_bytes",
  ],
  "batches of one topic larger than a request": [
    '[topics.a]\nrequest_bytes = "64k"',
    "bruce.toml:2:17: topics.a.request_bytes: bytes must be at most request_bytes",
  ],
  "records that would not fit into memory": [
    'buffer.memory = "16m"\nbatch.max_record = "5m"\ntopics.a.max_record = "6m"',
    "bruce.toml:2:20: batch.max_record: max_record must be at most a quarter of buffer.memory (16m)",
    "bruce.toml:3:23: topics.a.max_record: max_record must be at most a quarter of buffer.memory (16m)",
  ],
  "records that would not fit into the disk buffer": [
    'buffer.disk = "3m"\ntopics.a.max_record = "1m"',
    "bruce.toml:1:15: buffer.disk: max_record must be at most a quarter of buffer.disk (3m)",
    "bruce.toml:2:23: topics.a.max_record: max_record must be at most a quarter of buffer.disk (3m)",
  ],
  "a disk buffer too small for its files": [
    'buffer.disk = "64k"\nbuffer.held = "1g"',
    "bruce.toml:1:15: buffer.disk: disk must be at least 1m, or 0 for memory only",
  ],
  "more disk for held topics than for all": [
    '[buffer]\ndisk = "1g"\nheld = "2g"',
    "bruce.toml:3:8: buffer.held: held is a part of disk: it must be at most that (1g)",
  ],
  "segments too large for the disk buffer": [
    '[buffer]\ndisk = "256m"\nsegment = "64m"',
    "bruce.toml:3:11: buffer.segment: segment must be at most an eighth of disk (32m), since space is freed in segments",
  ],
  "a time to sync that is none": [
    "buffer.sync = 0",
    'bruce.toml:1:15: buffer.sync: got 0; must be "always" or "never", or a duration from "1ms" to "1h", such as "500ms", "30s", "15m" or "24h"',
  ],
  "a level that gzip does not have": [
    '[compression]\ncodec = "gzip"\nlevel = 10\n[topics.a]\nlevel = 11',
    "bruce.toml:3:9: compression.level: gzip has the levels 1 to 9",
    "bruce.toml:5:9: topics.a.level: gzip has the levels 1 to 9",
  ],
  "a level that gzip does not have, meant for another codec": [
    '[compression]\nlevel = 19\n[topics.a]\ncodec = "gzip"',
    "bruce.toml:4:9: topics.a.codec: gzip has the levels 1 to 9",
  ],
  "a level for codecs that have none": [
    '[compression]\ncodec = "lz4"\nlevel = 2\n[topics.a]\ncodec = "snappy"\nlevel = 3',
    ...["3:9: compression.level: lz4", "6:9: topics.a.level: snappy"].map(
      (place) => `bruce.toml:${place} has no levels: leave it at 1, or set it only for topics with another codec`,
    ),
  ],
  "a topic's name that is none": [
    '[topics."a/b"]\n[topics.".."]\n[topics.""]\n[topics."a*b"]',
    ...['1:9: topics."a/b"', '2:9: topics.".."', '3:9: topics.""', '4:9: topics."a*b"'].map(
      (place) =>
        `bruce.toml:${place}: is no topic's name; must be 1 to 249 of letters, digits, ".", "_" and "-", and may end in "*"`,
    ),
  ],
  "a topic's name without its quotes": [
    '[topics.a.b]\nlinger = "5ms"',
    'bruce.toml:1:11: topics.a.b: unknown table; a topic\'s name with dots needs quotes: [topics."a.b"]',
  ],
  "a topic that is no table": [
    "topics.a = 1",
    "bruce.toml:1:8: topics.a: must be a table: write [topics.a] and its settings below",
  ],
  "a setting that topics do not have": [
    '[topics.a]\nbackoff = "1s"\nlinegr = "1s"',
    "bruce.toml:2:1: topics.a.backoff: cannot be set for a topic, only for all in [delivery]",
    'bruce.toml:3:1: topics.a.linegr: unknown setting; did you mean "linger"?',
  ],
  "a variable that is not set": [
    'kafka.client_id = "${HOST_NAME}"',
    "bruce.toml:1:19: kafka.client_id: the environment variable HOST_NAME is not set",
  ],
  "what is no variable": [
    'kafka.client_id = "${1}"\nlog.file = "a${"',
    'bruce.toml:1:19: kafka.client_id: "${" must be followed by the name of a variable and a closing brace; a dollar by itself is written "$$"',
    'bruce.toml:2:12: log.file: "${" must be followed by the name of a variable and a closing brace; a dollar by itself is written "$$"',
  ],
};

describe("every kind of error names its place, its key, what it got and what is allowed", () => {
  for (const [name, [text, ...messages]] of Object.entries(CASES)) {
    test(name, () => expect(errors(text)).toEqual(messages));
  }
});

test("all errors of a file are told at once, in its order", () => {
  const text = '[log]\nlevel = "loud"\n[batch]\nlinger = 5\nlnger = 1\n[kafka]\nacks = 0\n[nope]\n';
  expect(errors(text, { set: ["buffer.memory=1", "x"] }).map((line) => line.split(": ", 2).join(": "))).toEqual([
    "bruce.toml:2:9: log.level",
    "bruce.toml:4:10: batch.linger",
    "bruce.toml:5:1: batch.lnger",
    "bruce.toml:7:8: kafka.acks",
    "bruce.toml:8:2: nope",
    "--set x: has no value; write --set KEY=VALUE",
    '--set buffer.memory: got 1; must be a size from "16m" to "64g", such as "64k", "128m" or "4g"',
  ]);
});

test("what is wrong in itself is not also wrong beside others", () => {
  expect(errors('kafka.acks = 1\nkafka.idempotence = "no"')).toEqual([
    'bruce.toml:2:21: kafka.idempotence: got "no"; must be true or false',
  ]);
});
