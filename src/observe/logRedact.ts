// Makes what is logged harmless: secrets masked at any depth, errors as plain values, sizes bounded.
// pino's own redaction wants the paths beforehand; secrets here may sit anywhere in an error or a configuration.

const MASK = "[redacted]";
const MAX_DEPTH = 8;
const MAX_ITEMS = 100;
const MAX_TEXT = 8192;

/** Names of fields that carry secrets, in snake_case, camelCase or with dashes. */
const SECRET_NAME =
  /^(sasl|auth|authorization|cookie|set_?cookie)$|passw(or)?d|passphrase|secret|token$|credential|private_?key|api_?key$/i;
/** What such a name may hold without giving anything away. */
const HARMLESS_NAME = /(_?file|_?path|_?url)$/i;
/** user:password@ inside a URL. */
const URL_LOGIN = /(\/\/)[^/\s:@]*:[^/\s@]*@/g;
/** Names that pino writes itself; a second one on the line would hide the first. */
const TAKEN = new Set(["level", "time", "msg"]);

/** A copy of `fields` without secrets. */
export function cleanFields(fields: Record<string, unknown>, stacks: boolean): Record<string, unknown> {
  const seen = new Set<object>();
  const clean: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    clean[TAKEN.has(name) ? `${name}_` : name] = cleanNamed(name, value, 1, seen, stacks);
  }
  return clean;
}

/** `text` with the passwords of URLs masked, and cut to a size that no log reader chokes on. */
export function cleanText(text: string): string {
  const short = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
  return short.includes("//") ? short.replace(URL_LOGIN, `$1${MASK}@`) : short;
}

function cleanNamed(name: string, value: unknown, depth: number, seen: Set<object>, stacks: boolean): unknown {
  if (isSecret(name) && holdsSomething(value)) return MASK;
  try {
    return cleanValue(value, depth, seen, stacks);
  } catch {
    // A getter that throws: no reason to lose the line, or to make the caller fail.
    return "[unreadable]";
  }
}

function isSecret(name: string): boolean {
  const plain = name.replaceAll("-", "_");
  return SECRET_NAME.test(plain) && !HARMLESS_NAME.test(plain);
}

function holdsSomething(value: unknown): boolean {
  return value !== undefined && value !== null && value !== "" && typeof value !== "boolean";
}

function cleanValue(value: unknown, depth: number, seen: Set<object>, stacks: boolean): unknown {
  switch (typeof value) {
    case "string":
      return cleanText(value);
    case "bigint":
      return value.toString();
    case "function":
    case "symbol":
      return undefined;
    case "object":
      return value === null ? null : cleanObject(value, depth, seen, stacks);
    default:
      return value;
  }
}

function cleanObject(value: object, depth: number, seen: Set<object>, stacks: boolean): unknown {
  if (seen.has(value)) return "[circular]";
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (value instanceof Date || value instanceof URL) return cleanText(String(value.toJSON()));
  if (depth >= MAX_DEPTH) return "[deep]";
  seen.add(value);
  try {
    if (Array.isArray(value)) {
      return value.slice(0, MAX_ITEMS).map((item) => cleanValue(item, depth + 1, seen, stacks));
    }
    const clean: Record<string, unknown> = value instanceof Error ? errorHead(value, stacks) : {};
    if (value instanceof Error && value.cause !== undefined) {
      clean.cause = cleanValue(value.cause, depth + 1, seen, stacks);
    }
    const entries = value instanceof Map ? value.entries() : Object.entries(value);
    let count = 0;
    for (const [name, item] of entries) {
      if (count++ >= MAX_ITEMS) break;
      const key = String(name);
      if (!(key in clean)) clean[key] = cleanNamed(key, item, depth + 1, seen, stacks);
    }
    return clean;
  } finally {
    seen.delete(value);
  }
}

/** Name and message are not enumerable. Stacks only when debugging: a broker that is down is no bug. */
function errorHead(error: Error, stacks: boolean): Record<string, unknown> {
  const head = { type: error.name, message: cleanText(error.message) };
  return stacks && error.stack !== undefined ? { ...head, stack: cleanText(error.stack) } : head;
}
