// Compression of record batches: which codecs there are, their ids on the wire, and how to run them.
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import type { Objection } from "../config/load.ts";
import type { Settings } from "../config/settings.ts";
import { compressLz4, decompressLz4 } from "./lz4.ts";
import { lz4Module, snappyModule } from "./nativeCodecs.ts";
import { compressSnappy, decompressSnappy } from "./snappy.ts";

export type Codec = "none" | "gzip" | "snappy" | "lz4" | "zstd";

/** Codec ids as in the low three bits of a RecordBatch's attributes (Kafka protocol, RecordBatch). */
export const codecIds: Readonly<Record<Codec, number>> = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 };

/** What one batch may grow to when it is decompressed, unless told otherwise: a small batch can hold a bomb. */
const DEFAULT_MAX_SIZE = 256 * 1024 * 1024;

/** The settings that name a codec which cannot be used on this machine. Those that can be are loaded by this. */
export function codecObjections({ compression, topics }: Pick<Settings, "compression" | "topics">): Objection[] {
  const named = [
    { path: ["compression", "codec"], codec: compression.codec },
    ...topics.map(({ pattern, overrides }) => ({
      path: ["topics", pattern, "codec"],
      codec: overrides.codec ?? "none",
    })),
  ];
  return named.flatMap(({ path, codec }) => {
    const message = codecProblem(codec);
    return message === undefined ? [] : [{ path, message }];
  });
}

/** Why the codec cannot be used on this machine, with what to do; nothing when it can. It is loaded by this. */
function codecProblem(codec: Codec): string | undefined {
  try {
    if (codec === "snappy") snappyModule();
    if (codec === "lz4") lz4Module();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/**
 * Compresses `bytes`. `level` is clamped to what the codec knows: 1 to 9 for gzip, 1 to 22 for zstd; snappy and lz4 have none.
 * Throws an Error when the codec cannot be used, of which codecProblem() tells beforehand.
 */
export function compress(codec: Codec, level: number, bytes: Uint8Array): Uint8Array {
  switch (codec) {
    case "none":
      return bytes;
    case "gzip":
      return Bun.gzipSync(bytes as Uint8Array<ArrayBuffer>, { level: clamp(level, 9) as GzipLevel });
    case "zstd":
      return Bun.zstdCompressSync(bytes as Uint8Array<ArrayBuffer>, { level: clamp(level, 22) });
    case "snappy":
      return compressSnappy(bytes);
    case "lz4":
      return compressLz4(bytes);
  }
}

/** Reverses compress(). Throws an Error when the bytes are damaged or would grow beyond `maxSize` bytes. */
export function decompress(codecId: number, bytes: Uint8Array, maxSize = DEFAULT_MAX_SIZE): Uint8Array {
  switch (codecId) {
    case codecIds.none:
      return bytes;
    case codecIds.gzip:
      requireFrame(bytes);
      return gunzipSync(bytes, { maxOutputLength: maxSize });
    case codecIds.zstd:
      requireFrame(bytes);
      return zstdDecompressSync(bytes, { maxOutputLength: maxSize });
    case codecIds.snappy:
      requireFrame(bytes);
      return decompressSnappy(bytes, maxSize);
    case codecIds.lz4:
      requireFrame(bytes);
      return decompressLz4(bytes, maxSize);
    default:
      throw new Error(`there is no compression codec ${codecId}`);
  }
}

type GzipLevel = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9;

function clamp(level: number, max: number): number {
  return Math.min(Math.max(Math.trunc(level), 1), max);
}

/** zlib takes no bytes at all for an empty result; a compressed batch always has a frame. */
function requireFrame(bytes: Uint8Array): void {
  if (bytes.length === 0) throw new Error("a compressed batch has no bytes");
}
