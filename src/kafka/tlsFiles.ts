// The files of kafka.tls: read and looked through, so that what is wrong with them is said at the start, by name, and not
// by a handshake that fails.
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls";
import type { Objection } from "../config/load.ts";
import type { Settings } from "../config/settings.ts";
import { fileProblem } from "./fileProblem.ts";

type TlsSettings = Settings["kafka"]["tls"];

export interface TlsMaterial {
  context: SecureContext;
  /** The certificates of `ca`, PEM; undefined: the system's are trusted. */
  ca: string | undefined;
}

export type TlsFiles = { material: TlsMaterial; warnings: string[] } | { objections: Objection[] };

const CERTIFICATE = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]*-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g;
const OTHERS_MAY_READ = 0o004;

export function readTlsFiles({ ca, cert, key }: TlsSettings, now = Date.now()): TlsFiles {
  const warnings: string[] = [];
  const objections: Objection[] = [];
  const attempt = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof BadFile)) throw error;
      objections.push({ path: ["kafka", "tls", error.setting], message: error.message });
      return undefined;
    }
  };
  const authorities = ca === undefined ? undefined : attempt(() => certificatesIn("ca", ca));
  const own = cert === undefined || key === undefined ? undefined : attempt(() => readOwn(cert, key, now, warnings));
  if (objections.length > 0) return { objections };
  const trusted = authorities?.map(({ pem }) => pem) ?? systemAuthorities();
  try {
    const context = createSecureContext({ ...(trusted === undefined ? {} : { ca: trusted }), ...own });
    return { material: { context, ca: authorities?.map(({ pem }) => pem).join("\n") }, warnings };
  } catch (error) {
    const message = `its files do not make a TLS configuration: ${(error as Error).message}`;
    return { objections: [{ path: ["kafka", "tls"], message }] };
  }
}

class BadFile extends Error {
  readonly setting: "ca" | "cert" | "key";

  constructor(setting: BadFile["setting"], message: string) {
    super(message);
    this.setting = setting;
  }
}

/** Those of the operating system; where it has none (a small container), those that come with the runtime. */
export function systemAuthorities(): string[] | undefined {
  const found = getCACertificates("system");
  return found.length === 0 ? undefined : found;
}

interface OwnCertificate {
  cert: string;
  key: string;
}

function readOwn(cert: string, key: string, now: number, warnings: string[]): OwnCertificate {
  const [first] = certificatesIn("cert", cert);
  const keyText = read("key", key);
  const privateKey = privateKeyIn(key, keyText);
  if (first !== undefined && !first.certificate.checkPrivateKey(privateKey)) {
    throw new BadFile("key", `${key} is not the key of the certificate in ${cert}`);
  }
  const end = first === undefined ? Number.NaN : Date.parse(first.certificate.validTo);
  if (end <= now) warnings.push(`kafka.tls.cert: the certificate in ${cert} expired on ${new Date(end).toISOString()}`);
  if ((statSync(key).mode & OTHERS_MAY_READ) !== 0)
    warnings.push(`kafka.tls.key: everybody may read ${key}: chmod o-r`);
  return { cert: read("cert", cert), key: keyText };
}

function read(setting: BadFile["setting"], path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new BadFile(setting, fileProblem(path, error));
  }
}

function certificatesIn(setting: BadFile["setting"], path: string): { pem: string; certificate: X509Certificate }[] {
  const found = read(setting, path).match(CERTIFICATE) ?? [];
  if (found.length === 0) throw new BadFile(setting, `there is no certificate in ${path}: it must be a PEM file`);
  return found.map((pem, index) => {
    try {
      return { pem, certificate: new X509Certificate(pem) };
    } catch {
      throw new BadFile(setting, `certificate ${index + 1} of ${found.length} in ${path} cannot be read`);
    }
  });
}

function privateKeyIn(path: string, text: string): KeyObject {
  if (/ENCRYPTED/.test(text)) {
    throw new BadFile(
      "key",
      `the key in ${path} is encrypted, and bruce could not ask for its passphrase: ` +
        "keep it without one, where only bruce may read it",
    );
  }
  try {
    return createPrivateKey(text);
  } catch {
    throw new BadFile("key", `there is no private key in ${path}: it must be a PEM file`);
  }
}
