// What each codec makes of JSON logs, and what it costs: the table of docs/compression.md. `bun scripts/compression.ts`
import { availableParallelism, cpus } from "node:os";
import { type Codec, compress } from "../src/kafka/codecs.ts";

/** Bytes of a batch before it is compressed. */
const SIZES = [16_384, 262_144, 1_048_576];
const WAYS: { codec: Codec; level: number }[] = [
  { codec: "snappy", level: 1 },
  { codec: "lz4", level: 1 },
  ...[1, 3, 9, 19].map((level) => ({ codec: "zstd" as const, level })),
  ...[1, 6, 9].map((level) => ({ codec: "gzip" as const, level })),
];
/** Different batches of each size: a codec must not learn one by heart. */
const BATCHES = 16;
/** CPU time of one measurement, ms. The best of several counts, since others may use the machine as well. */
const LONG_ENOUGH = 300;
const ROUNDS = 4;

const pathOf = ["/api/v1/orders", "/api/v1/orders/items", "/login", "/static/app.js", "/healthz", "/api/v2/search"];
const agents = ["Mozilla/5.0 (X11; Linux x86_64)", "curl/8.5.0", "okhttp/4.12.0", "Mozilla/5.0 (iPhone; CPU OS 17_2)"];
let state = 1;
/** [0, below), the same in every run. */
function random(below: number): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}

/** A line of an access log, about 300 bytes. */
function logLine(index: number): string {
  return JSON.stringify({
    time: new Date(1_795_000_000_000 + index * 37).toISOString(),
    level: random(20) === 0 ? "warn" : "info",
    host: `web-${random(12)}.example`,
    method: random(4) === 0 ? "POST" : "GET",
    path: `${pathOf[random(pathOf.length)]}/${random(100_000)}`,
    status: random(25) === 0 ? 404 : 200,
    bytes: random(50_000),
    took_ms: random(900),
    remote: `10.${random(4)}.${random(256)}.${random(256)}`,
    agent: agents[random(agents.length)],
    trace_id: Array.from({ length: 4 }, () => random(2 ** 32).toString(16)).join(""),
  });
}

function batchesOf(size: number): Buffer[] {
  let index = 0;
  return Array.from({ length: BATCHES }, () => {
    let text = "";
    while (text.length < size) text += `${logLine(index++)}\n`;
    return Buffer.from(text.slice(0, size));
  });
}

/** Megabytes per second of CPU time. */
function speed(bytes: number, run: (round: number) => void): number {
  let best = 0;
  for (let attempt = 0; attempt < ROUNDS; attempt++) {
    let rounds = 0;
    const before = process.cpuUsage();
    let used = 0;
    while (used < LONG_ENOUGH * 1000) {
      run(rounds++);
      const { user, system } = process.cpuUsage(before);
      used = user + system;
    }
    best = Math.max(best, (rounds * bytes) / used);
  }
  return best;
}

console.log(`${cpus()[0]?.model}, ${availableParallelism()} cores, Bun ${Bun.version}\n`);
console.log(
  "| codec | level | batch | size left | compresses, MB/s | unpacks, MB/s |\n| --- | --- | --- | --- | --- | --- |",
);
for (const { codec, level } of WAYS) {
  for (const size of SIZES) {
    const plain = batchesOf(size);
    const packed = plain.map((batch) => compress(codec, level, batch).length);
    const left = packed.reduce((sum, length) => sum + length, 0) / (BATCHES * size);
    const rate = speed(size, (round) => compress(codec, level, plain[round % BATCHES] as Buffer));
    const cells = [codec, level, `${size / 1024}k`, left.toFixed(3), Math.round(rate)];
    console.log(`| ${cells.join(" | ")} |`);
  }
}
