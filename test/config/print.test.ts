// biome-ignore-all lint/suspicious/noTemplateCurlyInString: strings that could be taken for variables are the point
import { expect, test } from "bun:test";
import fc from "fast-check";
import { parse } from "smol-toml";
import { printSettings } from "../../src/config/print.ts";
import type { Acks, Settings, TopicRule } from "../../src/config/settings.ts";
import { load } from "./support.ts";

const KB = 1024;
const words = <const T>(...values: T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const host = words("localhost", "kafka-1.example", "10.0.0.1", "::1", "fe80::1%eth0");
const port = fc.integer({ min: 1, max: 65_535 });
const text = (minLength: number): fc.Arbitrary<string> =>
  fc.string({ minLength, maxLength: 40, unit: words(..."aé\\\"'${}# =[].😀") });
const topic = fc
  .tuple(fc.string({ minLength: 1, maxLength: 20, unit: words(..."abcXYZ019_-.") }), fc.boolean())
  .map(([name, star]) => (star ? `${name}*` : name))
  .filter((name) => name !== "." && name !== "..");

const overrides: fc.Arbitrary<TopicRule["overrides"]> = fc.record(
  {
    linger: fc.integer({ min: 0, max: 3_600_000 }),
    bytes: fc.integer({ min: 1, max: KB }),
    messages: fc.integer({ min: 0, max: 1_000_000 }),
    maxRecord: fc.integer({ min: 1, max: KB * KB }),
    codec: words("none", "gzip", "zstd"),
    level: fc.integer({ min: 1, max: 9 }),
    minSize: fc.nat(KB * KB),
    maxRatio: fc.double({ min: 0, max: 1, noNaN: true }),
    unknownTopic: words("hold", "discard"),
    unauthorizedTopic: words("hold", "discard"),
    partitioner: words("sticky", "round-robin", "murmur2"),
    onUnavailable: words("wait", "next"),
  },
  { requiredKeys: [] },
);

/** Settings that pass every check, of all kinds of values. */
const settings: fc.Arbitrary<Settings> = fc
  .record({
    brokers: fc.uniqueArray(fc.record({ host, port }), {
      minLength: 1,
      maxLength: 4,
      selector: (each) => `${each.host}:${each.port}`,
    }),
    clientId: text(1),
    acks: words<Acks>("all", 1, 0),
    mode: fc.integer({ min: 0, max: 0o777 }),
    path: text(1).map((name) => `/run/${name.slice(0, 20)}`),
    maxMessage: fc.integer({ min: 64, max: 256 * KB }),
    whenFull: words("block", "drop_newest", "drop_oldest"),
    disk: words(0, 4 * KB * KB, 4 * KB ** 3),
    segment: fc.integer({ min: 64 * KB, max: (KB * KB) / 2 }),
    sync: words<Settings["buffer"]["sync"]>("always", "never", 1, 1000, 3_600_000),
    memory: fc.integer({ min: 16 * KB * KB, max: 2 ** 36 }),
    listen: fc.record({ host, port: words(0, 1, 65_535) }),
    file: text(0),
    common: overrides,
    topics: fc.uniqueArray(fc.record({ pattern: topic, overrides }), {
      selector: (rule) => rule.pattern,
      maxLength: 4,
    }),
  })
  .map(({ common, topics, ...given }) => {
    const all = load("");
    const { kafka, input, buffer, batch, compression, delivery } = all;
    Object.assign(kafka, { brokers: given.brokers, clientId: given.clientId, acks: given.acks });
    kafka.idempotence = given.acks === "all";
    Object.assign(input.datagram, { mode: given.mode, path: given.path, maxMessage: given.maxMessage });
    Object.assign(input.tcp, { enabled: true, listen: given.listen, whenFull: given.whenFull });
    const { disk, segment, sync, memory } = given;
    Object.assign(buffer, { disk, segment, sync, memory, held: Math.min(buffer.held, disk) });
    all.log.file = given.file;
    for (const table of [batch, compression, delivery]) {
      for (const [name, value] of Object.entries(common)) if (name in table) Object.assign(table, { [name]: value });
    }
    return { ...all, topics };
  });

test("printed settings load to the same settings", () => {
  fc.assert(
    fc.property(settings, (given) => {
      const { topics, ...loaded } = load(printSettings(given));
      // Objects put names that are numbers first; the order of rules means nothing.
      const inOrder = (rules: TopicRule[]): TopicRule[] => rules.toSorted((a, b) => (a.pattern < b.pattern ? -1 : 1));
      expect({ ...loaded, topics: inOrder(topics) }).toEqual({ ...given, topics: inOrder(given.topics) });
    }),
  );
});

test("every setting that has a value is printed", () => {
  const printed = parse(printSettings(load('[topics."a.b*"]\nlinger = "5ms"')));
  expect(printed).toMatchObject({
    buffer: { memory: "128m", max_topics: 10_000 },
    topics: { "a.b*": { linger: "5ms" } },
  });
  expect(Object.keys(printed)).toEqual(
    "kafka input buffer batch compression delivery http discards debug log topics".split(" "),
  );
});
