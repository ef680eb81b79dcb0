import { expect, test } from "bun:test";
import { errors, load } from "./support.ts";

const PLAIN = 'mechanism = "plain"\nusername = "a"\npassword = "b"';
const OAUTH = 'mechanism = "oauthbearer"\ntoken_url = "https://a/t"\nclient_id = "a"\nclient_secret = "b"';
const OFF = "has no effect without TLS: set kafka.tls.enabled = true, or leave it out";
const NO_MECHANISM =
  'has no effect without mechanism, which must be "scram-sha-512", "scram-sha-256", "plain" or "oauthbearer"';

const TLS: [string, string[]][] = [
  ["", []],
  ["verify = true", []],
  ["enabled = true", []],
  ['enabled = true\nca = "/a"\nserver_name = "b"\nverify = false', []],
  ['enabled = true\ncert = "/a"\nkey = "/b"', []],
  ['ca = "/a"', [`bruce.toml:2:6: kafka.tls.ca: ${OFF}`]],
  ['server_name = "a"', [`bruce.toml:2:15: kafka.tls.server_name: ${OFF}`]],
  ["verify = false", [`bruce.toml:2:10: kafka.tls.verify: ${OFF}`]],
  [
    'enabled = true\ncert = "/a"',
    ["bruce.toml:3:8: kafka.tls.cert: a certificate needs the key that belongs to it: set key too"],
  ],
  [
    'enabled = true\nkey = "/a"',
    ["bruce.toml:3:7: kafka.tls.key: a key needs the certificate that belongs to it: set cert too"],
  ],
];

const SASL: [string, string[]][] = [
  ["", []],
  [PLAIN, []],
  ['mechanism = "scram-sha-256"\nusername = "a"\npassword_file = "/b"', []],
  [OAUTH, []],
  [`${OAUTH.replace("client_secret", "client_secret_file")}\nscope = "kafka write"`, []],
  [
    'username = "a"\npassword = "b"',
    [`bruce.toml:2:12: kafka.sasl.username: ${NO_MECHANISM}`, `bruce.toml:3:12: kafka.sasl.password: ${NO_MECHANISM}`],
  ],
  [
    'mechanism = "plain"',
    [
      'bruce.toml:2:13: kafka.sasl.mechanism: mechanism = "plain" needs username',
      'bruce.toml:2:13: kafka.sasl.mechanism: mechanism = "plain" needs password or password_file',
    ],
  ],
  [
    `${PLAIN}\npassword_file = "/c"`,
    ["bruce.toml:5:17: kafka.sasl.password_file: password and password_file exclude each other: leave one out"],
  ],
  [
    `${PLAIN}\ntoken_url = "http://a/t"`,
    ['bruce.toml:5:13: kafka.sasl.token_url: has no effect with mechanism = "plain": leave it out'],
  ],
  [
    'mechanism = "oauthbearer"',
    [
      'bruce.toml:2:13: kafka.sasl.mechanism: mechanism = "oauthbearer" needs token_url',
      'bruce.toml:2:13: kafka.sasl.mechanism: mechanism = "oauthbearer" needs client_id',
      'bruce.toml:2:13: kafka.sasl.mechanism: mechanism = "oauthbearer" needs client_secret or client_secret_file',
    ],
  ],
  [
    `${OAUTH}\nusername = "a"`,
    ['bruce.toml:6:12: kafka.sasl.username: has no effect with mechanism = "oauthbearer": leave it out'],
  ],
];

for (const [table, cases] of [
  ["kafka.tls", TLS],
  ["kafka.sasl", SASL],
] as const) {
  test.each(cases)(`[${table}] %j`, (text, expected) => {
    expect(errors(`[${table}]\n${text}`)).toEqual(expected);
  });
}

test.each(["issuer.example/token", "ftp://a/t", "https://", "https://user:pass@a/t", "https://a/t#here", ""])(
  "no address of a token endpoint: %j",
  (url) => {
    const [first = ""] = errors(`[kafka.sasl]\n${OAUTH.replace("https://a/t", url)}`);
    expect(first).toContain('kafka.sasl.token_url: got "');
    expect(first).toContain('must be a URL that begins with "https://" or "http://", without a user in it');
  },
);

test("a path to one of systemd's credentials is made from the variable that systemd sets", () => {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: that is what is tested
  const text = `[kafka.sasl]\n${PLAIN.replace("password = ", "password_file = ").replace("b", "${CREDENTIALS_DIRECTORY}/kafka-password")}`;
  const env = { CREDENTIALS_DIRECTORY: "/run/credentials/bruce.service" };
  expect(load(text, { env }).kafka.sasl.passwordFile).toBe("/run/credentials/bruce.service/kafka-password");
  const [problem] = errors(text);
  expect(problem).toContain("the environment variable CREDENTIALS_DIRECTORY is not set");
});
