// Logins to a real Kafka: every mechanism, with TLS and without; refused ones; sessions that end; and secrets, which stay so.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodePartitionKey } from "../../src/wire/frame.ts";
import { type Bruce, type BruceOptions, startBruce } from "../support/bruce.ts";
import { type Authority, type Certificate, makeAuthority } from "../support/certificates.ts";
import { openStreamClient } from "../support/clients.ts";
import { type Kafka, startKafka } from "../support/kafka.ts";
import { setScramPassword } from "../support/kafkaAccess.ts";
import { allowUrl, loginListener, scramUsers } from "../support/kafkaListeners.ts";
import { askKafka, parseAddress } from "../support/kafkaSocket.ts";
import { readBack } from "../support/readBack.ts";
import { accountFor, exactlyOnce } from "../support/readBackVerdict.ts";
import { startTokenEndpoint, type TokenEndpoint } from "../support/tokenEndpoint.ts";
import { expectBalanced } from "./books.ts";
import { runBruce } from "./command.ts";
import { expectDelivery, expectHeldBecause, expectOnce, sendFew, untilDelivered } from "./securityBed.ts";

const PASSWORD = "pa$word =#'1";
const CLIENT_SECRET = "s3cret/+&=:?";
/** How long a login lasts on the listeners where it does not last for ever, ms. */
const SESSION = 2_000;

let directory: string;
let authority: Authority;
let certificate: Certificate;
let kafka: Kafka;
let issuer: TokenEndpoint;
const running: Bruce[] = [];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "bruce-sasl-"));
  authority = makeAuthority(join(directory, "authority"));
  certificate = authority.issue({ name: "kafka", hosts: ["127.0.0.1"] });
  issuer = startTokenEndpoint({ clientId: "bruce", clientSecret: CLIENT_SECRET, subject: "bruce", tls: certificate });
  const keys = join(directory, "keys.json");
  issuer.writeKeys(keys);
  const ways = { plain: { bruce: PASSWORD }, scram: true, oauth: { keys, issuer: issuer.issuer } };
  kafka = await startKafka({
    listeners: {
      LOGIN: loginListener(ways),
      BOTH: loginListener({ ...ways, tls: { certificate } }),
      SHORT: loginListener({ ...ways, sessionLifetime: SESSION }),
      PLAINONLY: loginListener({ plain: ways.plain }),
    },
    scram: scramUsers({ bruce: PASSWORD, rotating: "first" }),
    java: [allowUrl(keys)],
  });
});
afterAll(async () => {
  for (const bruce of running) await bruce.close();
  issuer?.stop();
  await kafka?.close();
  rmSync(directory, { recursive: true, force: true });
});

const escaped = (text: string) => JSON.stringify(text.replaceAll("$", "$$$$"));
const user = (mechanism: string, password = PASSWORD) => [
  `mechanism = "${mechanism}"`,
  'username = "bruce"',
  `password = ${escaped(password)}`,
];
const client = (url: string, secret = CLIENT_SECRET) => [
  'mechanism = "oauthbearer"',
  `token_url = "${url}"`,
  'client_id = "bruce"',
  `client_secret = ${escaped(secret)}`,
];
const tls = () => ["[kafka.tls]", "enabled = true", `ca = "${authority.cert}"`];

/** `sasl`: lines of [kafka.sasl]. */
async function start(listener: string, sasl: string[], more: Partial<BruceOptions> = {}): Promise<Bruce> {
  const bootstrap = listener === "PLAINTEXT" ? kafka.bootstrap : kafka.at(listener);
  const config = [...(listener === "BOTH" ? tls() : []), "[kafka.sasl]", ...sasl, ""].join("\n");
  // The token endpoint is on loopback: no proxy must be asked for it, whatever the environment says.
  const env = { http_proxy: "http://127.0.0.1:1", https_proxy: "http://127.0.0.1:1", ...more.env };
  const bruce = await startBruce({ bootstrap, config, ...more, env });
  running.push(bruce);
  return bruce;
}

test.each([
  ["plain", "LOGIN", () => user("plain")],
  ["scram-sha-256", "LOGIN", () => user("scram-sha-256")],
  ["scram-sha-512", "LOGIN", () => user("scram-sha-512")],
  ["oauthbearer", "LOGIN", () => client(issuer.url)],
  ["plain", "BOTH", () => user("plain")],
  ["scram-sha-256", "BOTH", () => user("scram-sha-256")],
  ["scram-sha-512", "BOTH", () => user("scram-sha-512")],
  ["oauthbearer", "BOTH", () => [...client(issuer.secureUrl), 'scope = "kafka write"']],
])("messages reach Kafka with %s at its listener %s", async (mechanism, listener, sasl) => {
  const bruce = await start(listener, sasl());
  await expectDelivery(kafka, bruce, `${listener}-${mechanism}`);
  expect(await bruce.stop()).toBe(0);
});

test("one token does for all connections, and is asked for with the id, the secret and the scope", async () => {
  issuer.requests.length = 0;
  const bruce = await start("BOTH", [...client(issuer.secureUrl), 'scope = "kafka write"']);
  await expectDelivery(kafka, bruce, "one-token");
  expect(issuer.requests.map(({ form }) => form)).toEqual([{ grant_type: "client_credentials", scope: "kafka write" }]);
  expect(await bruce.stop()).toBe(0);
});

const WRONG = { plain: "Invalid username or password", scram: "invalid credentials with SASL mechanism SCRAM-SHA-256" };

test.each([
  ["the password is wrong", "LOGIN", () => user("plain", "wrong"), WRONG.plain],
  ["the password for SCRAM is wrong", "BOTH", () => user("scram-sha-256", "wrong"), WRONG.scram],
  [
    "Kafka does not offer the mechanism",
    "PLAINONLY",
    () => user("scram-sha-512"),
    "offers PLAIN on this port, not SCRAM",
  ],
  ["Kafka wants no login", "PLAINTEXT", () => user("plain"), "offers no login on this port, not PLAIN"],
  ["Kafka wants a login and gets none", "LOGIN", () => [], "during Metadata: does it want a login (kafka.sasl)?"],
  [
    "the issuer refuses the client",
    "LOGIN",
    () => client(issuer.url, "wrong"),
    "it answered 401 (invalid_client): look at kafka.sasl.client_id and client_secret",
  ],
  [
    "the issuer is not there",
    "LOGIN",
    () => client("http://127.0.0.1:1/token"),
    "http://127.0.0.1:1/token gives no token: nothing listens there",
  ],
  [
    "the issuer's certificate is not trusted",
    "LOGIN",
    () => client(issuer.secureUrl),
    "its certificate is signed by nobody known here: put the authority into kafka.tls.ca",
  ],
])("messages wait, and the status says why, when %s", async (_, listener, sasl, reason) => {
  const bruce = await start(listener, sasl());
  await expectHeldBecause(bruce, "nowhere", reason);
  await bruce.close();
});

test("messages wait when Kafka does not take the token, and go when the next one is good", async () => {
  issuer.lifetime = -600;
  await kafka.createTopic("token", 2);
  const bruce = await start("LOGIN", client(issuer.url));
  const ids = await expectHeldBecause(bruce, "token", "refused the token (invalid_token)");
  issuer.lifetime = 600;
  await untilDelivered(bruce, ids.length);
  await expectOnce(kafka, "token", ids);
  expect(await bruce.stop()).toBe(0);
});

test("a password is taken from a file that systemd provides, without its line end; one that all may read is told of once", async () => {
  const credentials = join(directory, "credentials");
  mkdirSync(credentials);
  const file = join(credentials, "kafka-password");
  writeFileSync(file, `${PASSWORD}\n`);
  chmodSync(file, 0o644);
  // biome-ignore lint/suspicious/noTemplateCurlyInString: that is what systemd's users write
  const path = 'password_file = "${CREDENTIALS_DIRECTORY}/kafka-password"';
  const sasl = [...user("scram-sha-512").filter((line) => !line.startsWith("password")), path];
  const bruce = await start("LOGIN", sasl, { env: { CREDENTIALS_DIRECTORY: credentials } });
  await expectDelivery(kafka, bruce, "from-file");
  expect(bruce.log().split(`kafka.sasl.password_file: everybody may read ${file}`)).toHaveLength(2);
  expect(await bruce.stop()).toBe(0);
});

/** Messages per second; and the time they come for, ms. */
const RATE = 4_000;
const LOAD = 4 * SESSION;
const PARTITIONS = 4;

test.each([
  ["scram-sha-512", () => user("scram-sha-512")],
  ["oauthbearer", () => client(issuer.url)],
])(`logins of ${SESSION} ms end under load, nothing is lost or comes twice: %s`, async (mechanism, sasl) => {
  const topic = `short-${mechanism}`;
  await kafka.createTopic(topic, PARTITIONS);
  // Tokens, too, end while they are in use.
  issuer.lifetime = mechanism === "oauthbearer" ? LOAD / 1000 : 600;
  const before = issuer.tokens.length;
  const bruce = await start("SHORT", sasl(), { set: ['log.level="debug"', 'kafka.metadata_refresh="500ms"'] });
  const stream = await openStreamClient(bruce.sockets.stream);
  const began = performance.now();
  let sent = 0;
  while (performance.now() - began < LOAD) {
    const due = Math.floor(((performance.now() - began) * RATE) / 1000);
    const frames: Buffer[] = [];
    for (; sent < due; sent++) frames.push(frameOf(topic, sent));
    if (frames.length > 0) await stream.write(Buffer.concat(frames));
    await Bun.sleep(5); // the pace is what is tested
  }
  await stream.end();
  const after = await untilDelivered(bruce, sent);
  expect(after.ledger).toMatchObject({ received: sent, delivered: sent, discarded: 0, possible_duplicates: 0 });
  expectBalanced(after);

  const account = accountFor(Array.from({ length: sent }, (_, index) => String(index)));
  await readBack(kafka.bootstrap, topic, ({ value, partition }) => {
    account.found(value?.toString("latin1", 0, value.indexOf(32)) ?? "", partition);
  });
  expect(account.verdict()).toEqual(exactlyOnce);
  expect(bruce.log().split("authentication successful").length).toBeGreaterThan((2 * LOAD) / SESSION);
  // Nobody noticed: connections were replaced before their time was over, not after Kafka had closed them.
  expect(bruce.log()).not.toContain("a broker cannot be reached");
  if (mechanism === "oauthbearer") expect(issuer.tokens.length - before).toBeGreaterThanOrEqual(2);
  // The last logins by a token that is nearly over are too short for a busy machine to tell in time for metadata.
  else expect(bruce.log()).not.toContain("closed the connection");
  issuer.lifetime = 600;
  expect(await bruce.stop()).toBe(0);
});

function frameOf(topic: string, index: number): Buffer {
  const value = Buffer.from(`${index} `.padEnd(100, "."));
  const message = { topic, timestamp: Date.now(), key: new Uint8Array(), value };
  return encodePartitionKey({ ...message, partitionKey: index % PARTITIONS });
}

test("a password that is changed at Kafka while bruce runs: held, and delivered once it is put right and read again", async () => {
  await kafka.createTopic("rotated", 2);
  const file = join(directory, "rotating");
  writeFileSync(file, "first\n", { mode: 0o600 });
  const sasl = ['mechanism = "scram-sha-256"', 'username = "rotating"', `password_file = "${file}"`];
  const bruce = await start("SHORT", sasl);
  const ids = await sendFew(bruce, "rotated", "before");
  await untilDelivered(bruce, ids.length);
  await askKafka(parseAddress(kafka.bootstrap), setScramPassword("rotating", "second"));
  const delivered = ids.length;
  // What goes before the login ends is delivered yet.
  const refused = (async () => {
    for (let run = 0; ; run++) {
      ids.push(...(await sendFew(bruce, "rotated", `during-${run}`)));
      const { brokers } = await bruce.status();
      if (brokers.some(({ state, reason }) => state === "refused" && reason?.includes(WRONG.scram))) return;
      await Bun.sleep(100); // the login ends when it does
    }
  })();
  await refused;
  ids.push(...(await sendFew(bruce, "rotated", "held")));
  const held = await bruce.until(({ ledger }) => ledger.received === ids.length);
  expect(held.ledger.held).toBeGreaterThan(0);
  expect(held.ledger.delivered).toBeGreaterThanOrEqual(delivered);
  expectBalanced(held);

  writeFileSync(file, "second\n");
  process.kill(bruce.pid, "SIGHUP");
  const after = await untilDelivered(bruce, ids.length);
  expect(after.ledger).toMatchObject({ discarded: 0, possible_duplicates: 0 });
  await expectOnce(kafka, "rotated", ids);
  expect(await bruce.stop()).toBe(0);
});

/** All that bruce says with that configuration: the log, the commands, what it serves. `good`: it can log in. */
async function allSaid(listener: string, sasl: string[], good: boolean, more: string[] = []): Promise<string> {
  const bruce = await start(listener, sasl, { set: ['log.level="debug"', ...more] });
  await sendFew(bruce, "said");
  await bruce.until(({ ledger, metadata }) => (good ? ledger.delivered > 0 : metadata.reason !== undefined));
  const pages = ["/", "/api/v1/status", "/metrics"].map(async (path) => (await fetch(bruce.url + path)).text());
  const said = await Promise.all(pages);
  const file = join(bruce.directory, "bruce.toml");
  for (const args of [
    ["check", file],
    ["check", file, "--set", 'kafka.sasl.mechanism="none"'],
    ["status", "--url", bruce.url],
  ]) {
    await using command = runBruce(args, { cwd: bruce.directory });
    const { stdout, stderr } = await command.finished;
    expect(stdout + stderr).not.toBe("");
    said.push(stdout, stderr);
  }
  process.kill(bruce.pid, "SIGHUP");
  await bruce.untilLogged("configuration read again");
  await bruce.kill("SIGTERM");
  return [...said, bruce.log()].join("\n");
}

test("no secret is in anything that bruce says", async () => {
  const own = authority.issue({ name: "client" });
  const mutual = [`kafka.tls.cert="${own.cert}"`, `kafka.tls.key="${own.key}"`];
  await kafka.createTopic("said");
  const said = [
    await allSaid("BOTH", user("plain"), true, mutual),
    await allSaid("BOTH", client(issuer.secureUrl), true, mutual),
    await allSaid("LOGIN", user("scram-sha-512", "wRoNgPaSs"), false),
  ];
  const description = `you said ${CLIENT_SECRET}`;
  issuer.refuse = { status: 400, body: JSON.stringify({ error: "bad", error_description: description }) };
  said.push(await allSaid("LOGIN", client(issuer.url), false));
  issuer.refuse = undefined;
  issuer.lifetime = -600;
  said.push(await allSaid("LOGIN", client(issuer.url), false));
  issuer.lifetime = 600;

  const base64 = issuer.requests.flatMap(({ authorization }) => authorization?.split(" ")[1] ?? []);
  const keyLines = readFileSync(own.key, "utf8")
    .split("\n")
    .filter((line) => line.length > 40);
  const passwords = [PASSWORD, JSON.stringify(PASSWORD).slice(1, -1), "wRoNgPaSs", CLIENT_SECRET];
  const tokens = issuer.tokens.flatMap((token) => [token, token.split(".")[2] ?? token]);
  const text = said.join("\n");
  for (const secrets of [passwords, base64, keyLines, tokens]) {
    expect(secrets).not.toBeEmpty();
    for (const secret of secrets) expect(text).not.toContain(secret);
  }
  expect(text).toContain("you said ***");
});
