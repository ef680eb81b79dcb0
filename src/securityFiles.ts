// The files that connections are made secure with: whether what is in them is still what it was.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Settings } from "./config/settings.ts";

/** A checksum of each file that is in use, by the name of its setting and its path. */
export function securityFiles({ tls, sasl }: Pick<Settings["kafka"], "tls" | "sasl">): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  const add = (setting: string, path: string | undefined) => {
    if (path !== undefined) files.set(`${setting}\0${path}`, checksum(path));
  };
  if (tls.enabled) {
    add("kafka.tls.ca", tls.ca);
    add("kafka.tls.cert", tls.cert);
    add("kafka.tls.key", tls.key);
  }
  if (sasl.mechanism !== undefined) {
    add("kafka.sasl.password_file", sasl.passwordFile);
    add("kafka.sasl.client_secret_file", sasl.clientSecretFile);
  }
  return files;
}

/** The settings that name the same file as before, with other content. */
export function changedFiles(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  const changed = [...after].filter(([id, sum]) => before.has(id) && before.get(id) !== sum);
  return changed.map(([id]) => id.slice(0, id.indexOf("\0")));
}

/** What cannot be read is told of by those who use it. */
function checksum(path: string): string {
  try {
    return createHash("sha256").update(readFileSync(path)).digest("hex");
  } catch {
    return "";
  }
}
