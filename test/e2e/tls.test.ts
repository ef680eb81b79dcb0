// TLS to a real Kafka: a private authority, client certificates, and every way in which the other side is not to be trusted.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Bruce, type BruceOptions, startBruce } from "../support/bruce.ts";
import { type Authority, type Certificate, makeAuthority } from "../support/certificates.ts";
import { type Kafka, startKafka } from "../support/kafka.ts";
import { tlsListener } from "../support/kafkaListeners.ts";
import { runBruce } from "./command.ts";
import { expectDelivery, expectHeldBecause, expectOnce, sendFew, untilDelivered } from "./securityBed.ts";

let directory: string;
let authority: Authority;
let stranger: Authority;
let client: Certificate;
let kafka: Kafka;
const running: Bruce[] = [];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "bruce-tls-"));
  authority = makeAuthority(join(directory, "authority"));
  stranger = makeAuthority(join(directory, "stranger"), "somebody else");
  client = authority.issue({ name: "client" });
  const certificate = authority.issue({ name: "kafka", hosts: ["localhost", "127.0.0.1"] });
  const elsewhere = authority.issue({ name: "kafka", hosts: ["kafka.example"] });
  const expired = authority.issue({ name: "kafka", hosts: ["localhost", "127.0.0.1"], expired: true });
  kafka = await startKafka({
    listeners: {
      NAMED: tlsListener({ certificate, host: "localhost" }),
      NUMBERED: tlsListener({ certificate }),
      MUTUAL: tlsListener({ certificate, clients: authority.cert }),
      ELSEWHERE: tlsListener({ certificate: elsewhere }),
      EXPIRED: tlsListener({ certificate: expired }),
    },
  });
});
afterAll(async () => {
  for (const bruce of running) await bruce.close();
  await kafka?.close();
  rmSync(directory, { recursive: true, force: true });
});

/** `tls`: lines of [kafka.tls]. */
async function start(listener: string, tls: string[], more: Partial<BruceOptions> = {}): Promise<Bruce> {
  const bootstrap = listener === "PLAINTEXT" ? kafka.bootstrap : kafka.at(listener);
  const bruce = await startBruce({ bootstrap, config: ["[kafka.tls]", ...tls, ""].join("\n"), ...more });
  running.push(bruce);
  return bruce;
}

const trusting = (by: Authority = authority) => ["enabled = true", `ca = "${by.cert}"`];
const showing = ({ cert, key }: Certificate) => [`cert = "${cert}"`, `key = "${key}"`];

test.each([
  ["by its name", "NAMED", () => trusting()],
  ["by its address", "NUMBERED", () => trusting()],
  ["that knows us by our certificate", "MUTUAL", () => [...trusting(), ...showing(client)]],
  ["under another name, as server_name says", "ELSEWHERE", () => [...trusting(), 'server_name = "kafka.example"']],
  ["whoever it is, with verify = false", "EXPIRED", () => ["enabled = true", "verify = false"]],
])("messages reach a broker %s", async (_, listener, tls) => {
  const bruce = await start(listener, tls());
  await expectDelivery(kafka, bruce, `to-${listener}`);
  expect(await bruce.stop()).toBe(0);
});

const NO_CLIENT = "it wants a certificate of ours that it trusts: set kafka.tls.cert and kafka.tls.key";
const NO_AUTHORITY = "its certificate is signed by an authority that is not trusted here";

test.each([
  ["its authority is not one of the system's", "NAMED", () => ["enabled = true"], NO_AUTHORITY],
  ["its authority is not that of `ca`", "NAMED", () => trusting(stranger), NO_AUTHORITY],
  [
    "its certificate is for another name",
    "ELSEWHERE",
    () => trusting(),
    "its certificate is for DNS:kafka.example, not for 127.0.0.1",
  ],
  ["its certificate has expired", "EXPIRED", () => trusting(), "its certificate has expired: renew it on the broker"],
  ["it wants a certificate and gets none", "MUTUAL", () => trusting(), NO_CLIENT],
  [
    "it does not trust our certificate",
    "MUTUAL",
    () => [...trusting(), ...showing(stranger.issue({ name: "client" }))],
    NO_CLIENT,
  ],
  [
    "our certificate has expired",
    "MUTUAL",
    () => [...trusting(), ...showing(authority.issue({ name: "client", expired: true }))],
    NO_CLIENT,
  ],
  [
    "it speaks no TLS",
    "PLAINTEXT",
    () => trusting(),
    "it closed the connection: does this port speak TLS? Without, kafka.tls.enabled must be false",
  ],
  ["it speaks TLS and we do not", "NAMED", () => [], "closed the connection during ApiVersions: is it a TLS port"],
])("messages wait, and the status says why, when %s", async (_, listener, tls, reason) => {
  const bruce = await start(listener, tls());
  await expectHeldBecause(bruce, "nowhere", reason);
  await bruce.close();
});

test("what waited is delivered once when the right authority is put in place and the configuration read again", async () => {
  await kafka.createTopic("mended", 2);
  const ca = join(directory, "mended.pem");
  copyFileSync(stranger.cert, ca);
  const bruce = await start("NUMBERED", ["enabled = true", `ca = "${ca}"`]);
  const ids = await expectHeldBecause(bruce, "mended", NO_AUTHORITY);
  copyFileSync(authority.cert, ca);
  process.kill(bruce.pid, "SIGHUP");
  await untilDelivered(bruce, ids.length);
  ids.push(...(await sendFew(bruce, "mended", "again")));
  const after = await untilDelivered(bruce, ids.length);
  expect(after.metadata.reason).toBeUndefined();
  await expectOnce(kafka, "mended", ids);
  expect(await bruce.stop()).toBe(0);
});

test("a file that cannot be used refuses the start and the check alike, with the place", async () => {
  const config = join(directory, "bad.toml");
  const other = stranger.issue({ name: "client" });
  const empty = join(directory, "empty.pem");
  writeFileSync(empty, "nothing\n");
  const cases: [string, string][] = [
    ['ca = "/nowhere/ca.pem"', "3:6: kafka.tls.ca: /nowhere/ca.pem cannot be read: there is no such file"],
    [`ca = "${empty}"`, `3:6: kafka.tls.ca: there is no certificate in ${empty}: it must be a PEM file`],
    [
      showing({ ...client, key: other.key }).join("\n"),
      `4:7: kafka.tls.key: ${other.key} is not the key of the certificate in ${client.cert}`,
    ],
  ];
  for (const [lines, message] of cases) {
    writeFileSync(config, `[kafka.tls]\nenabled = true\n${lines}\n`);
    for (const args of [
      ["serve", "-c", config],
      ["check", config],
    ]) {
      await using bruce = runBruce(args, { cwd: directory });
      const { code, stderr } = await bruce.finished;
      expect(stderr).toStartWith(`${config}:${message}\n`);
      expect(code).toBe(2);
    }
  }
});
