// Settings that are right each by itself, but not together.
import { resolve } from "node:path";
import { checkSasl, checkTls } from "./consistencySecurity.ts";
import { LEAST_DISK, largestSegment } from "./derived.ts";
import { formatAddress } from "./kinds.ts";
import { withOverrides } from "./settings.ts";
import { dotted } from "./toml.ts";
import { nodeAt, type Place, type TableNode } from "./tree.ts";
import type { Address, CodecName, Settings, TopicSettings } from "./types.ts";
import { formatSize } from "./units.ts";

/** `keys`: all that are involved, as in TOML. */
type Fail = (at: Place, path: readonly string[], message: string, keys: readonly string[]) => void;

/** What sun_path of a UNIX socket's address holds, without its closing zero. */
const SOCKET_PATH = 107;

/** Reports what does not fit together, but for what involves a key in `wrong`, whose value is not known. */
export function consistencyErrors(root: TableNode, settings: Settings, wrong: ReadonlySet<string>, fail: Fail): void {
  const report: Report = (message, ...paths) => {
    if (paths.some((path) => wrong.has(path))) return;
    const split = paths.map((path) => path.split("."));
    const path = split.find((each) => nodeAt(root, each) !== undefined) ?? split[0] ?? [];
    fail(placeOf(root, path), path, message, paths);
  };
  checkKafka(settings, report);
  checkTls(settings.kafka.tls, report);
  checkSasl(settings.kafka.sasl, report);
  checkInputs(settings, report);
  checkBuffer(settings, report);
  checkLimits(settings, report);
  checkRules(root, settings, wrong, fail);
}

/** Takes all keys involved; the error stands at the first of them that the configuration mentions. */
type Report = (message: string, ...paths: [string, ...string[]]) => void;

/** Where the setting stands, or the table that it would stand in. */
export function placeOf(root: TableNode, path: readonly string[]): Place {
  const node = nodeAt(root, path);
  if (node === undefined) return root.at;
  return node.kind === "table" ? node.at : node.valueAt;
}

function checkKafka({ kafka, delivery }: Settings, report: Report): void {
  if (kafka.acks !== "all" && kafka.idempotence) {
    report(
      `acks = ${kafka.acks} needs idempotence = false: brokers recognise a repeated batch only with acks = "all"`,
      "kafka.acks",
      "kafka.idempotence",
    );
  }
  if (delivery.backoff > delivery.backoffMax) {
    report("backoff must be at most backoff_max", "delivery.backoff", "delivery.backoff_max");
  }
}

function checkInputs({ input, http }: Settings, report: Report): void {
  if (!input.datagram.enabled && !input.stream.enabled && !input.tcp.enabled) {
    const paths = ["input.stream.enabled", "input.tcp.enabled"];
    report("every input is disabled; enable at least one", "input.datagram.enabled", ...paths);
  }
  for (const name of ["datagram", "stream"] as const) {
    const { enabled, path } = input[name];
    const length = Buffer.byteLength(path);
    if (!enabled || length <= SOCKET_PATH) continue;
    report(
      `the path has ${length} bytes; a socket's path can have at most ${SOCKET_PATH}`,
      `input.${name}.path`,
      `input.${name}.enabled`,
    );
  }
  const { datagram, stream, tcp } = input;
  if (datagram.enabled && stream.enabled && resolve(datagram.path) === resolve(stream.path)) {
    report("both sockets have the same path; each needs its own", "input.stream.path", "input.datagram.path");
  }
  if (tcp.enabled && http.enabled && overlap(tcp.listen, http.listen)) {
    const message = `HTTP (${formatAddress(http.listen)}) and messages (${formatAddress(tcp.listen)}) need a port each`;
    report(message, "input.tcp.listen", "http.listen");
  }
}

function overlap(a: Address, b: Address): boolean {
  const everywhere = ({ host }: Address): boolean => host === "0.0.0.0" || host === "::";
  return a.port !== 0 && a.port === b.port && (a.host === b.host || everywhere(a) || everywhere(b));
}

function checkBuffer({ buffer }: Settings, report: Report): void {
  const { disk, segment, held } = buffer;
  if (disk === 0) return;
  if (disk < LEAST_DISK) {
    report(`disk must be at least ${formatSize(LEAST_DISK)}, or 0 for memory only`, "buffer.disk");
    return;
  }
  const size = formatSize(disk);
  if (held > disk) report(`held is a part of disk: it must be at most that (${size})`, "buffer.held", "buffer.disk");
  const most = largestSegment(disk);
  if (segment > most) {
    const message = `segment must be at most an eighth of disk (${formatSize(most)}), since space is freed in segments`;
    report(message, "buffer.segment", "buffer.disk");
  }
}

const BYTES = "bytes must be at most request_bytes";

/** What is wrong with the level for the codec, if anything is. */
function levelProblem({ codec, level }: Pick<TopicSettings, "codec" | "level">): string | undefined {
  if (codec === "gzip" && level > 9) return "gzip has the levels 1 to 9";
  if (hasNoLevels(codec) && level > 1)
    return `${codec} has no levels: leave it at 1, or set it only for topics with another codec`;
  return undefined;
}

function hasNoLevels(codec: CodecName): boolean {
  return codec === "snappy" || codec === "lz4";
}

/** What a record may have at most, and the setting that says so. */
interface RecordLimit {
  most: number;
  setting: "buffer.memory" | "buffer.disk";
  message: string;
}

// A message must fit into the queue, and into the disk buffer, with room to spare, or it could wait there for ever.
function largestRecord({ buffer: { memory, disk } }: Settings): RecordLimit {
  const isDisk = disk >= LEAST_DISK && disk < memory;
  const setting = isDisk ? "buffer.disk" : "buffer.memory";
  const whole = isDisk ? disk : memory;
  const message = `max_record must be at most a quarter of ${setting} (${formatSize(whole)})`;
  return { most: Math.floor(whole / 4), setting, message };
}

function checkLimits(settings: Settings, report: Report): void {
  const { batch, compression } = settings;
  const { most, setting, message } = largestRecord(settings);
  if (batch.bytes > batch.requestBytes) report(BYTES, "batch.bytes", "batch.request_bytes");
  if (batch.maxRecord > most) report(message, "batch.max_record", setting);
  const level = levelProblem(compression);
  if (level !== undefined) report(level, "compression.level", "compression.codec");
}

function checkRules(root: TableNode, settings: Settings, wrong: ReadonlySet<string>, fail: Fail): void {
  const { most, setting, message } = largestRecord(settings);
  for (const { pattern, overrides } of settings.topics) {
    const topic = withOverrides(settings, overrides);
    const report = (problem: string, common: string[], ...names: string[]): void => {
      const paths = names.map((name) => ["topics", pattern, name]);
      const keys = [...common, ...paths.map(dotted)];
      if (keys.some((path) => wrong.has(path))) return;
      const path = paths.find((each) => nodeAt(root, each) !== undefined);
      // What is wrong without this rule's doing is reported for all topics.
      if (path !== undefined) fail(placeOf(root, path), path, problem, keys);
    };
    if (topic.bytes > topic.requestBytes)
      report(BYTES, ["batch.bytes", "batch.request_bytes"], "bytes", "request_bytes");
    if (topic.maxRecord > most) report(message, ["batch.max_record", setting], "max_record");
    const level = levelProblem(topic);
    if (level !== undefined) {
      // A level for all topics means nothing to a codec without any: only one of the rule's own is wrong there.
      const names = hasNoLevels(topic.codec) ? ["level"] : ["level", "codec"];
      report(level, ["compression.level", "compression.codec"], ...names);
    }
  }
}
