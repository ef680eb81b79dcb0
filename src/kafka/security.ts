// What connections to brokers need to be let in: TLS and the login, made of the settings and the files that they name.
// Files are read once, here: what is wrong with them is known before anything is connected.
import { isIP } from "node:net";
import { checkServerIdentity, type PeerCertificate, type ConnectionOptions as TlsOptions } from "node:tls";
import type { Objection } from "../config/load.ts";
import type { Settings } from "../config/settings.ts";
import { openLogin, type SaslOptions } from "./login.ts";
import { readTlsFiles, type TlsMaterial } from "./tlsFiles.ts";

/** For one connection. */
export interface Security {
  ssl: TlsOptions | undefined;
  sasl: SaslOptions | undefined;
}

export interface SecuritySource {
  forHost(host: string): Security;
}

/** `problem` names the setting, the file and the reason; neither it nor a warning ever has a secret in it. */
export type OpenedSecurity = { security: SecuritySource; warnings: string[] } | { problem: string };

/** Of a stranger's certificate, characters. */
const MAX_NAMES = 300;

/** Reads the files of kafka.tls and kafka.sasl now. The settings are consistent already. */
export function openSecurity({ tls, sasl }: Pick<Settings["kafka"], "tls" | "sasl">): OpenedSecurity {
  const files = tls.enabled ? readTlsFiles(tls) : undefined;
  if (files !== undefined && "objections" in files) return { problem: inWords(files.objections) };
  const login = openLogin(sasl, { ca: files?.material.ca });
  if ("objections" in login) return { problem: inWords(login.objections) };
  const warnings = [...(files?.warnings ?? []), ...login.warnings];
  if (tls.enabled && !tls.verify) {
    warnings.push("kafka.tls.verify = false: whoever answers at a broker's address is taken for the broker");
  }
  if (!tls.enabled && (sasl.mechanism === "plain" || sasl.mechanism === "oauthbearer")) {
    warnings.push(`kafka.sasl: ${sasl.mechanism} without kafka.tls lets the network read the secret`);
  }
  const options = login.options;
  return {
    security: {
      forHost: (host) => ({ ssl: files && tlsOptions(host, tls, files.material), sasl: options }),
    },
    warnings,
  };
}

/** The settings whose files cannot be used, for the configuration's errors. */
export function securityObjections({ kafka: { tls, sasl } }: Pick<Settings, "kafka">): Objection[] {
  const files = tls.enabled ? readTlsFiles(tls) : undefined;
  const login = openLogin(sasl, { ca: undefined });
  return [files, login].flatMap((each) => (each !== undefined && "objections" in each ? each.objections : []));
}

function inWords(objections: readonly Objection[]): string {
  return objections.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; ");
}

function tlsOptions(
  host: string,
  { serverName, verify }: Settings["kafka"]["tls"],
  { context }: TlsMaterial,
): TlsOptions {
  // A name may end in the dot of the root; certificates and SNI (RFC 6066, 3) leave it out. SNI takes no addresses.
  const name = (serverName ?? host).replace(/\.$/, "");
  return {
    secureContext: context,
    rejectUnauthorized: verify,
    ...(isIP(name) === 0 ? { servername: name } : {}),
    checkServerIdentity: (_: string, certificate: PeerCertificate) =>
      verify ? identity(name, certificate) : undefined,
  };
}

/** Like that of node:tls, in our words. */
function identity(name: string, certificate: PeerCertificate): Error | undefined {
  if (checkServerIdentity(name, certificate) === undefined) return undefined;
  const names = certificate.subjectaltname ?? `CN:${certificate.subject?.CN ?? "nobody"}`;
  // Whoever it is may be called by thousands of names.
  const shown = names.length > MAX_NAMES ? `${names.slice(0, MAX_NAMES)}…` : names;
  const message = `its certificate is for ${shown}, not for ${name}`;
  return Object.assign(new Error(message), { code: "ERR_TLS_CERT_ALTNAME_INVALID" });
}
