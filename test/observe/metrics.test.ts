import { expect, test } from "bun:test";
import { DISCARD_REASONS } from "../../src/observe/discards.ts";
import { memoryOnly } from "../../src/observe/memoryOnly.ts";
import { renderMetrics } from "../../src/observe/metrics.ts";
import { account, sampleStatus, topic } from "./sampleStatus.ts";

/** Prometheus' text format, strictly: name{label="value",…} number, with HELP and TYPE once before each family. */
function parse(text: string): Map<string, number> {
  const values = new Map<string, number>();
  const typed = new Set<string>();
  for (const line of text.trimEnd().split("\n")) {
    const type = /^# TYPE (\S+) (?:counter|gauge)$/.exec(line);
    if (type !== null) {
      expect(typed.has(type[1] ?? "")).toBe(false);
      typed.add(type[1] ?? "");
      continue;
    }
    if (/^# HELP \S+ \S/.test(line)) continue;
    const sample = /^([a-z_]+)((?:\{(?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*\})?) (-?[\d.e+-]+)$/.exec(line);
    expect({ line, sample }).not.toEqual({ line, sample: null });
    expect(typed.has(sample?.[1] ?? "")).toBe(true);
    values.set(`${sample?.[1]}${sample?.[2]}`, Number(sample?.[3]));
  }
  return values;
}

test("a scrape says what the status says", async () => {
  const values = parse(await renderMetrics(sampleStatus()));
  expect(Object.fromEntries([...values].filter(([name]) => name.startsWith("bruce_")))).toEqual({
    'bruce_build_info{version="1.2.3"}': 1,
    bruce_config_last_reload_successful: 1,
    bruce_config_last_reload_success_timestamp_seconds: 1_700_000_000,
    bruce_config_restart_needed: 0,
    'bruce_messages_received_total{topic=""}': 2,
    'bruce_messages_received_total{topic="clicks"}': 1000,
    'bruce_messages_received_total{topic="orders"}': 110,
    'bruce_messages_delivered_total{topic=""}': 0,
    'bruce_messages_delivered_total{topic="clicks"}': 1000,
    'bruce_messages_delivered_total{topic="orders"}': 0,
    'bruce_messages_discarded_total{topic="",reason="malformed"}': 2,
    'bruce_messages_discarded_total{topic="orders",reason="queue_full"}': 10,
    'bruce_messages_held{topic=""}': 0,
    'bruce_messages_held{topic="clicks"}': 0,
    'bruce_messages_held{topic="orders"}': 100,
    bruce_possible_duplicates_total: 3,
    bruce_ledger_balanced: 1,
    bruce_topics: 2,
    'bruce_topic_on_hold{topic="orders"}': 1,
    'bruce_topic_lag_bytes{topic="orders"}': 20_000,
    'bruce_topic_oldest_unsent_seconds{topic="orders"}': 90,
    bruce_oldest_unsent_seconds: 90,
    'bruce_topic_unread_messages{topic="orders"}': 15,
    'bruce_held_log_messages{topic="orders",partition=""}': 90,
    'bruce_held_log_bytes{topic="orders",partition=""}': 18_000,
    'bruce_buffer_mode{mode="disk"}': 1,
    'bruce_buffer_mode{mode="memory"}': 0,
    'bruce_buffer_mode{mode="degraded"}': 0,
    bruce_buffer_unspooled_messages: 3,
    bruce_buffer_full: 0,
    bruce_buffer_limit_bytes: 4_294_967_296,
    bruce_buffer_used_bytes: 1_073_741_824,
    bruce_buffer_held_bytes: 18_000,
    bruce_buffer_journal_bytes: 65_536,
    bruce_buffer_quarantined_bytes: 512,
    bruce_buffer_segments: 17,
    bruce_buffer_unsynced_seconds: 0.4,
    bruce_buffer_sync_failures_total: 0,
    bruce_buffer_unreadable: 0,
    bruce_queue_bytes: 4096,
    bruce_queue_messages: 20,
    bruce_queue_capacity_bytes: 67_108_864,
    bruce_batches_bytes: 262_144,
    'bruce_broker_up{broker="1",address="kafka-1:9092"}': 1,
    'bruce_broker_up{broker="2",address="kafka-2:9092"}': 0,
    'bruce_broker_throttled_seconds_total{broker="1",address="kafka-1:9092"}': 1.5,
    'bruce_broker_throttled_seconds_total{broker="2",address="kafka-2:9092"}': 0,
    'bruce_broker_slow_replica_sets{broker="1",address="kafka-1:9092"}': 1,
    'bruce_broker_slow_replica_sets{broker="2",address="kafka-2:9092"}': 0,
    'bruce_broker_in_flight{broker="1",address="kafka-1:9092"}': 2,
    'bruce_broker_in_flight{broker="2",address="kafka-2:9092"}': 0,
    'bruce_input_messages_total{input="datagram"}': 1100,
    'bruce_input_messages_total{input="stream"}': 12,
    'bruce_input_bytes_total{input="datagram"}': 220_000,
    'bruce_input_bytes_total{input="stream"}': 2400,
    'bruce_input_connections{input="datagram"}': 0,
    'bruce_input_connections{input="stream"}': 1,
    'bruce_input_connections_total{input="datagram"}': 0,
    'bruce_input_connections_total{input="stream"}': 4,
    'bruce_input_unclean_disconnects_total{input="datagram"}': 0,
    'bruce_input_unclean_disconnects_total{input="stream"}': 1,
    bruce_metadata_updated_timestamp_seconds: 1_700_000_590,
    bruce_metadata_failures_total: 1,
  });
});

test("the process is there under the usual names", async () => {
  const values = parse(await renderMetrics(sampleStatus()));
  expect(values.get("process_resident_memory_bytes")).toBe(90_000_000);
  expect(values.get("process_start_time_seconds")).toBe(1_700_000_000);
  expect(values.get("process_cpu_seconds_total")).toBeGreaterThan(0);
  expect(values.get("process_open_fds")).toBeGreaterThan(2);
});

test("names from anyone are escaped", async () => {
  const evil = 'a"} 1\nbruce_ledger_balanced 0\\';
  const text = await renderMetrics(sampleStatus({ topics: [topic(evil, 1, 0)] }));
  const values = parse(text);
  expect(values.get("bruce_ledger_balanced")).toBe(1);
  expect(values.get('bruce_messages_held{topic="a\\"} 1\\nbruce_ledger_balanced 0\\\\"}')).toBe(1);
});

test("a daemon that knows nothing yet has valid metrics", async () => {
  const empty = account(0, 0);
  const values = parse(
    await renderMetrics(
      sampleStatus({
        topics: [],
        brokers: [],
        inputs: [],
        ledger: { ...empty, balanced: true, no_topic: empty },
        metadata: { last_updated: null, last_modified: null, cluster_id: null, failures: 0 },
      }),
    ),
  );
  expect(values.get("bruce_oldest_unsent_seconds")).toBe(0);
  expect(values.get('bruce_messages_received_total{topic=""}')).toBe(0);
});

test("memory only has a mode, and no numbers of a disk", async () => {
  const values = parse(await renderMetrics(sampleStatus({ buffer: memoryOnly(true, 0).buffer })));
  const ofBuffer = Object.fromEntries([...values].filter(([name]) => name.startsWith("bruce_buffer_")));
  expect(ofBuffer).toEqual({
    'bruce_buffer_mode{mode="disk"}': 0,
    'bruce_buffer_mode{mode="memory"}': 1,
    'bruce_buffer_mode{mode="degraded"}': 0,
    bruce_buffer_full: 1,
  });
});

test("a number that went wrong is left out, and the others stay", async () => {
  const wrong = [topic("odd", -1, Number.NaN), topic("even", 2, 2)];
  const values = parse(await renderMetrics(sampleStatus({ topics: wrong })));
  expect(values.get('bruce_messages_received_total{topic="even"}')).toBe(2);
  expect(values.has('bruce_messages_received_total{topic="odd"}')).toBe(false);
});

test("10,000 topics are all there, and scrapes at once do not mix", async () => {
  const topics = Array.from({ length: 10_000 }, (_, i) => topic(`topic-${i}`, i, i));
  const [many, one] = await Promise.all([renderMetrics(sampleStatus({ topics })), renderMetrics(sampleStatus())]);
  const series = /^bruce_messages_received_total\{topic="topic-/gm;
  expect(many.match(series)).toHaveLength(10_000);
  expect(one.match(series)).toBeNull();
});

test("every reason to discard has a row in docs/status.md, and every metric too", async () => {
  const docs = await Bun.file(new URL("../../docs/status.md", import.meta.url)).text();
  for (const reason of DISCARD_REASONS) expect(docs).toContain(`\`${reason}\``);
  const names = (await renderMetrics(sampleStatus())).match(/(?<=^# TYPE )bruce_\S+/gm) ?? [];
  expect(names.length).toBeGreaterThan(20);
  for (const name of names) expect(docs).toContain(`\`${name}\``);
});
