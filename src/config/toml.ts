// TOML text of keys and strings, and values as an error may show them.

/** A string as TOML writes it. */
export function quote(text: string): string {
  // JSON's escapes are TOML's, but for the delete character, which TOML does not take raw.
  return JSON.stringify(text).replaceAll("\u007f", "\\u007f");
}

/** A dotted key; a part that is not bare is quoted. */
export function dotted(path: readonly string[]): string {
  return path.map((part) => (/^[A-Za-z0-9_-]+$/.test(part) ? part : quote(part))).join(".");
}

const SHOWN = 60;

/** A value as an error shows it: short, on one line, without credentials that hide in a URL, and without a key in PEM. */
export function describe(value: unknown): string {
  if (typeof value === "string") {
    const safe = harmless(value);
    return quote(safe.length > SHOWN ? `${safe.slice(0, SHOWN)}…` : safe);
  }
  if (value instanceof Date) return "a date";
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (typeof value === "object" && value !== null) return "a table";
  return String(value);
}

/** All before the last "@" is taken for a login: whoever writes one into a URL may have left its slashes as they are. */
function harmless(text: string): string {
  return text
    .replace(/-----BEGIN .*/s, "-----BEGIN …")
    .replace(/^([a-z][a-z\d+.-]*:\/\/)?.*@/is, "$1***@")
    .replace(/([?&#;][^=&#;]*=)[^&#;]+/g, "$1***");
}
