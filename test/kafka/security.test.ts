import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer, type PeerCertificate, type TLSSocket } from "node:tls";
import type { Settings } from "../../src/config/settings.ts";
import { openSecurity, type Security, securityObjections } from "../../src/kafka/security.ts";
import { type Authority, type Certificate, makeAuthority } from "../support/certificates.ts";
import { connectionTo } from "./rawBroker.ts";

type Tls = Partial<Settings["kafka"]["tls"]>;
type Sasl = Settings["kafka"]["sasl"];

let directory: string;
let authority: Authority;
let client: Certificate;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "bruce-security-"));
  authority = makeAuthority(join(directory, "authority"));
  client = authority.issue({ name: "client" });
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const settings = (tls: Tls, sasl: Sasl = {}) => ({ tls: { enabled: true, verify: true, ...tls }, sasl });

function open(tls: Tls, sasl: Sasl = {}) {
  const opened = openSecurity(settings(tls, sasl));
  if ("problem" in opened) throw new Error(opened.problem);
  return opened;
}

const problem = (tls: Tls, sasl: Sasl = {}) => {
  const opened = openSecurity(settings(tls, sasl));
  return "problem" in opened ? opened.problem : undefined;
};

test("without either, connections get neither, and nobody is warned", () => {
  const { security, warnings } = open({ enabled: false });
  expect(security.forHost("a")).toEqual({ ssl: undefined, sasl: undefined });
  expect(warnings).toEqual([]);
});

describe("the name that TLS asks for", () => {
  let server: ReturnType<typeof createServer>;
  const names: (string | false | undefined)[] = [];
  beforeAll(async () => {
    const { cert, key } = authority.issue({ name: "kafka", hosts: ["localhost", "127.0.0.1", "kafka.example"] });
    server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (socket: TLSSocket) => {
      names.push(socket.servername as string | false | undefined);
      socket.on("error", () => {});
      socket.end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  });
  afterAll(() => void server.close());

  /** How connecting ends: the server speaks no Kafka, so it ends in any case. */
  async function connect(host: string, security: Security): Promise<string> {
    const { port } = server.address() as { port: number };
    const failed = connectionTo(port, { host, ...security }).connect();
    return await failed.then(
      () => "connected",
      (error: Error) => error.message,
    );
  }

  test.each<[string, string, Tls, string | false]>([
    ["a name is told (SNI)", "localhost", {}, "localhost"],
    ["its last dot is not", "127.0.0.1", { serverName: "localhost." }, "localhost"],
    ["an address is not told", "127.0.0.1", {}, false],
    ["server_name is, whatever the host", "127.0.0.1", { serverName: "kafka.example" }, "kafka.example"],
  ])("%s", async (_, host, tls, told) => {
    names.length = 0;
    const { security } = open({ ca: authority.cert, ...tls });
    expect(await connect(host, security.forHost(host))).toContain("closed the connection during ApiVersions");
    expect(names).toEqual([told]);
  });

  test("one that is not in the certificate ends it, unless verify is false", async () => {
    const tls = { ca: authority.cert, serverName: "other.example" };
    const message = await connect("localhost", open(tls).security.forHost("localhost"));
    expect(message).toContain(
      "its certificate is for DNS:localhost, IP Address:127.0.0.1, DNS:kafka.example, not for other.example",
    );
    const any = open({ ...tls, verify: false }).security.forHost("localhost");
    expect(await connect("localhost", any)).toContain("closed the connection during ApiVersions");
  });

  test("of a stranger with countless names only some are told", () => {
    const { ssl } = open({ ca: authority.cert }).security.forHost("kafka.example");
    const subjectaltname = Array.from({ length: 1000 }, (_, index) => `DNS:${index}.example`).join(", ");
    const certificate = { subject: {}, subjectaltname } as PeerCertificate;
    const message = ssl?.checkServerIdentity?.("kafka.example", certificate)?.message ?? "";
    expect(message).toStartWith("its certificate is for DNS:0.example, ");
    expect(message).toEndWith("…, not for kafka.example");
    expect(message.length).toBeLessThan(400);
  });

  test("an authority that is not known ends it: only those of `ca` are trusted, or the system's", async () => {
    const stranger = makeAuthority(join(directory, "stranger"));
    for (const tls of [{}, { ca: stranger.cert }]) {
      const message = await connect("localhost", open(tls).security.forHost("localhost"));
      expect(message).toContain("signed by an authority that is not trusted here");
    }
    const both = join(directory, "both.pem");
    writeFileSync(both, `# two\n${readFileSync(stranger.cert)}${readFileSync(authority.cert)}`);
    const message = await connect("localhost", open({ ca: both }).security.forHost("localhost"));
    expect(message).toContain("closed the connection during ApiVersions");
  });
});

describe("files of kafka.tls", () => {
  test("that cannot be used are named, with the reason", () => {
    const text = (content: string) => {
      const path = join(directory, crypto.randomUUID());
      writeFileSync(path, content);
      return path;
    };
    const { cert, key } = client;
    const other = authority.issue({ name: "other" });
    const broken = text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    const locked = text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    expect(problem({ ca: "/nowhere" })).toBe("kafka.tls.ca: /nowhere cannot be read: there is no such file");
    expect(problem({ ca: key })).toBe(`kafka.tls.ca: there is no certificate in ${key}: it must be a PEM file`);
    expect(problem({ ca: broken })).toBe(`kafka.tls.ca: certificate 1 of 1 in ${broken} cannot be read`);
    expect(problem({ cert, key: cert })).toBe(
      `kafka.tls.key: there is no private key in ${cert}: it must be a PEM file`,
    );
    expect(problem({ cert, key: locked })).toContain(`kafka.tls.key: the key in ${locked} is encrypted`);
    expect(problem({ cert: other.cert, key })).toBe(
      `kafka.tls.key: ${key} is not the key of the certificate in ${other.cert}`,
    );
    expect(problem({ ca: "/a", cert: "/b", key })).toBe(
      "kafka.tls.ca: /a cannot be read: there is no such file; kafka.tls.cert: /b cannot be read: there is no such file",
    );
    const kafka = settings({ ca: "/a" }, { mechanism: "plain", username: "a", passwordFile: "/c" });
    expect(securityObjections({ kafka: kafka as Settings["kafka"] }).map(({ path }) => path)).toEqual([
      ["kafka", "tls", "ca"],
      ["kafka", "sasl", "password_file"],
    ]);
  });

  test("are not looked at while TLS is off", () => {
    expect(problem({ enabled: false, ca: "/nowhere" })).toBeUndefined();
  });

  test("that are good but not well kept are warned of", () => {
    const key = join(directory, "open.key");
    copyFileSync(client.key, key);
    chmodSync(key, 0o644);
    const expired = authority.issue({ name: "client", expired: true });
    expect(open({ cert: client.cert, key }).warnings).toEqual([`kafka.tls.key: everybody may read ${key}: chmod o-r`]);
    expect(open({ cert: expired.cert, key: expired.key }).warnings[0]).toStartWith(
      `kafka.tls.cert: the certificate in ${expired.cert} expired on `,
    );
  });
});

test("what gives secrets away on the network is warned of", () => {
  const plain: Sasl = { mechanism: "plain", username: "a", password: "b" };
  const oauth: Sasl = {
    mechanism: "oauthbearer",
    tokenUrl: "http://issuer.example/",
    clientId: "a",
    clientSecret: "b",
  };
  expect(open({ enabled: false }, plain).warnings).toEqual([
    "kafka.sasl: plain without kafka.tls lets the network read the secret",
  ]);
  expect(open({ enabled: false }, { ...plain, mechanism: "scram-sha-512" }).warnings).toEqual([]);
  expect(open({ verify: false }, plain).warnings).toEqual([
    "kafka.tls.verify = false: whoever answers at a broker's address is taken for the broker",
  ]);
  expect(open({}, oauth).warnings).toEqual([
    "kafka.sasl.token_url is http: the network can read the client's secret and the tokens",
  ]);
  expect(open({}, { ...oauth, tokenUrl: "http://127.0.0.1:80/" }).warnings).toEqual([]);
});

test("the login is what the mechanism needs, with the secret from wherever it is", () => {
  const file = join(directory, "password");
  writeFileSync(file, "from file\n", { mode: 0o600 });
  const user = { mechanism: "scram-sha-256", username: "a" } as const;
  const login = (sasl: Sasl) => open({ enabled: false }, sasl).security.forHost("b").sasl;
  expect(login({ ...user, password: "here" })).toEqual({ ...user, password: "here" });
  expect(login({ ...user, passwordFile: file })).toEqual({ ...user, password: "from file" });
  expect(problem({ enabled: false }, { ...user, passwordFile: "/nowhere" })).toBe(
    "kafka.sasl.password_file: /nowhere cannot be read: there is no such file",
  );
});
