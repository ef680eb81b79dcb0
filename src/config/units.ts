// Sizes and durations as people write them, and back.

const SIZE_UNITS: Record<string, number> = { "": 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };
const DURATION_UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

function scaled(text: string, pattern: RegExp, units: Record<string, number>): number | undefined {
  const match = pattern.exec(text);
  const unit = units[match?.[2]?.toLowerCase() ?? ""];
  if (match === null || unit === undefined) return undefined;
  const value = Number(match[1]) * unit;
  return Number.isSafeInteger(value) ? value : undefined;
}

/** Bytes of "64k", "128m", "4g" (powers of 1024) or "1000"; undefined if it is no size. */
export function parseSize(text: string): number | undefined {
  return scaled(text, /^(\d+)([kmg]?)$/i, SIZE_UNITS);
}

/** Milliseconds of "500ms", "30s", "15m", "24h" or "0"; undefined if it is no duration. */
export function parseDuration(text: string): number | undefined {
  return text === "0" ? 0 : scaled(text, /^(\d+)(ms|s|m|h)$/, DURATION_UNITS);
}

function inLargestUnit(value: number, units: Record<string, number>): string {
  let best = "";
  for (const [unit, factor] of Object.entries(units)) if (value % factor === 0) best = `${value / factor}${unit}`;
  return value === 0 ? "0" : best;
}

/** The shortest text that parseSize() reads as `bytes`. */
export function formatSize(bytes: number): string {
  return inLargestUnit(bytes, SIZE_UNITS);
}

/** The shortest text that parseDuration() reads as `milliseconds`. */
export function formatDuration(milliseconds: number): string {
  return inLargestUnit(milliseconds, DURATION_UNITS);
}
