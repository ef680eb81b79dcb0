// Certificates for tests: an authority of their own and what it signs, made by openssl in a moment (elliptic curves).
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Certificate {
  /** PEM files. */
  cert: string;
  key: string;
  /** Key and certificate in one file, as Kafka takes it. */
  both: string;
}

export interface Issue {
  /** The subject's common name; Kafka makes the principal of it. */
  name: string;
  /** Names and IP addresses in the certificate. */
  hosts?: string[];
  /** Valid until yesterday. */
  expired?: boolean;
}

export interface Authority {
  /** PEM file of its certificate. */
  cert: string;
  issue(issue: Issue): Certificate;
}

/** An authority that keeps everything in `directory`, which it makes. */
export function makeAuthority(directory: string, name = "bruce test authority"): Authority {
  mkdirSync(directory, { recursive: true });
  const at = (file: string) => join(directory, file);
  const ca = { cert: at("ca.pem"), key: at("ca.key") };
  let issued = 0;
  openssl(["req", "-x509", ...newKey(ca.key), "-days", "2", "-subj", `/CN=${name}`, "-out", ca.cert]);
  writeFileSync(at("index"), "");
  writeFileSync(at("serial"), "01\n");
  return {
    cert: ca.cert,
    issue({ name: subject, hosts = [], expired = false }) {
      const base = at(`issued-${++issued}`);
      const files = { cert: `${base}.pem`, key: `${base}.key`, both: `${base}-both.pem` };
      const config = `${base}.cnf`;
      writeFileSync(config, authorityConfig(directory, hosts));
      openssl(["req", "-new", ...newKey(files.key), "-subj", `/CN=${subject}`, "-out", `${base}.csr`]);
      const [start, end] = expired ? [daysFromNow(-2), daysFromNow(-1)] : [daysFromNow(-1), daysFromNow(2)];
      const signed = ["-keyfile", ca.key, "-cert", ca.cert, "-in", `${base}.csr`, "-out", files.cert];
      const dates = ["-startdate", start, "-enddate", end];
      openssl(["ca", "-batch", "-notext", "-config", config, ...signed, ...dates]);
      writeFileSync(files.both, readFileSync(files.key, "utf8") + readFileSync(files.cert, "utf8"));
      return files;
    },
  };
}

function newKey(file: string): string[] {
  return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", file];
}

/** `openssl ca` is the one that lets the dates be chosen, and it takes its settings from a file only. */
function authorityConfig(directory: string, hosts: string[]): string {
  const names = hosts.map((host) => `${/^[\d.]+$|:/.test(host) ? "IP" : "DNS"}:${host}`);
  return `[ca]
default_ca = own
[own]
database = ${directory}/index
serial = ${directory}/serial
new_certs_dir = ${directory}
default_md = sha256
policy = any
unique_subject = no
x509_extensions = extensions
[any]
commonName = supplied
[extensions]
basicConstraints = CA:FALSE
${names.length > 0 ? `subjectAltName = ${names.join()}` : ""}
`;
}

/** As openssl writes times: YYYYMMDDHHMMSSZ. */
function daysFromNow(days: number): string {
  const time = new Date(Date.now() + days * 86_400_000).toISOString();
  return `${time.replaceAll(/[-:T]/g, "").slice(0, 14)}Z`;
}

function openssl(args: string[]): void {
  const { error, status, stderr } = spawnSync("openssl", args, { encoding: "utf8" });
  if (error) throw new Error(`the tests need openssl (${error.message}); install it with: apt-get install openssl`);
  if (status !== 0) throw new Error(`openssl ${args.join(" ")} failed:\n${stderr}`);
}
