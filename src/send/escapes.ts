// Delimiters as people write them in a shell, where a tab or a zero byte is hard to type.

const SINGLE: Record<string, number> = { n: 0x0a, r: 0x0d, t: 0x09, "0": 0x00, "\\": 0x5c };

/** The bytes of `text` with \n \r \t \0 \\ \xNN replaced; undefined when it has any other backslash. */
export function unescaped(text: string): Buffer | undefined {
  const parts: Buffer[] = [];
  let from = 0;
  for (let at = text.indexOf("\\"); at >= 0; at = text.indexOf("\\", from)) {
    parts.push(Buffer.from(text.slice(from, at)));
    const hex = /^x([0-9a-fA-F]{2})/.exec(text.slice(at + 1, at + 4))?.[1];
    const byte = hex === undefined ? SINGLE[text[at + 1] ?? ""] : Number.parseInt(hex, 16);
    if (byte === undefined) return undefined;
    parts.push(Buffer.of(byte));
    from = at + (hex === undefined ? 2 : 4);
  }
  parts.push(Buffer.from(text.slice(from)));
  return Buffer.concat(parts);
}
