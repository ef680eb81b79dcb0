// One node of a real Kafka: its process, which can be killed, stopped, frozen and started again in the same place.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface KafkaNodeOptions {
  id: number;
  port: number;
  /** Exists, and is this node's alone. */
  directory: string;
  jars: string;
  clusterId: string;
  properties: Record<string, string>;
  /** As -Xmx takes it. */
  heap: string;
  /** As `StorageTool format --add-scram` takes them. */
  scram?: readonly string[];
  /** More arguments for Java. */
  java?: readonly string[];
}

/** What a node may have otherwise after a restart. */
export interface NodeChanges {
  /** Of the listener that `port` is about. */
  port?: number;
  /** server.properties over those it had. */
  properties?: Record<string, string>;
}

export interface KafkaNode {
  readonly id: number;
  readonly host: "127.0.0.1";
  readonly port: number;
  /** Undefined while it does not run. */
  readonly pid: number | undefined;
  /** Starts the process; `isReady` is asked until it says yes. Rejects with the log's end when the process ends before. */
  start(isReady: () => Promise<boolean>, changes?: NodeChanges): Promise<void>;
  /** Resolves when the process is gone; at once when it does not run. */
  end(signal: "SIGTERM" | "SIGKILL"): Promise<void>;
  signal(signal: "SIGSTOP" | "SIGCONT"): void;
}

/** Milliseconds. */
const startTimeout = 120_000;
const stopTimeout = 30_000;

/** Formats the node's directory. The node does not run yet. */
export async function prepareNode(options: KafkaNodeOptions): Promise<KafkaNode> {
  const { id, directory, jars, clusterId, heap } = options;
  let { port, properties } = options;
  const log = join(directory, "kafka.log");
  const configuration = join(directory, "server.properties");
  const java = ["-XX:-UsePerfData", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", `${jars}/*`];
  let running: ChildProcess | undefined;

  const configure = () =>
    writeFileSync(configuration, propertiesText({ ...properties, "log.dirs": join(directory, "data") }));
  configure();
  const scram = (options.scram ?? []).flatMap((user) => ["--add-scram", user]);
  const formatting = ["kafka.tools.StorageTool", "format", "-t", clusterId, "-c", configuration, ...scram];
  const format = launch([...java, ...formatting], log);
  const exitCode = await exited(format);
  if (exitCode !== 0) throw new Error(`Kafka's node ${id} could not be formatted (exit ${exitCode}):\n${tail(log)}`);

  async function end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const child = running;
    if (child === undefined) return;
    const gone = exited(child);
    child.kill(signal);
    // A node without a majority of controllers never finishes its shutdown.
    const patience = setTimeout(() => child.kill("SIGKILL"), stopTimeout);
    await gone;
    clearTimeout(patience);
  }

  async function start(isReady: () => Promise<boolean>, changes: NodeChanges = {}): Promise<void> {
    if (running !== undefined) throw new Error(`Kafka's node ${id} runs already`);
    const { port: next = port } = changes;
    const moved = Object.entries(properties).map(([key, value]) => [
      key,
      key.endsWith("listeners") ? value.replaceAll(new RegExp(`:${port}(?=,|$)`, "g"), `:${next}`) : value,
    ]);
    properties = { ...Object.fromEntries(moved), ...changes.properties };
    port = next;
    configure();
    const child = launch([`-Xmx${heap}`, ...(options.java ?? []), ...java, "kafka.Kafka", configuration], log);
    running = child;
    void exited(child).then(() => {
      if (running === child) running = undefined;
    });
    const deadline = Date.now() + startTimeout;
    while (!(await isReady())) {
      if (running !== child) throw new Error(`Kafka's node ${id} ended while it started:\n${tail(log)}`);
      if (Date.now() > deadline) {
        await end("SIGKILL");
        throw new Error(`Kafka's node ${id} was not ready in ${startTimeout / 1000} s:\n${tail(log)}`);
      }
      await Bun.sleep(50); // a port that is not open yet gives no event to wait for
    }
  }

  return {
    id,
    host: "127.0.0.1",
    get port() {
      return port;
    },
    get pid() {
      return running?.pid;
    },
    start,
    end,
    signal: (signal) => void running?.kill(signal),
  };
}

/** Ends with us, however we end: the kernel sees to it where setpriv can ask it to, and no handler could after a SIGKILL. */
function launch(javaArguments: string[], log: string): ChildProcess {
  const output = openSync(log, "a");
  const [command = "", ...args] = [...diesWithParent(), "java", ...javaArguments];
  const child = spawn(command, args, { stdio: ["ignore", output, output] });
  closeSync(output);
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  child.once("exit", () => process.off("exit", kill));
  return child;
}

let prefix: string[] | undefined;

function diesWithParent(): string[] {
  const setpriv = ["setpriv", "--pdeathsig", "KILL"];
  prefix ??= spawnSync("setpriv", ["--pdeathsig", "KILL", "true"]).status === 0 ? setpriv : [];
  return prefix;
}

function exited(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((resolve, reject) => child.once("exit", resolve).once("error", reject));
}

function tail(log: string): string {
  return readFileSync(log, "utf8").trimEnd().split("\n").slice(-20).join("\n");
}

function propertiesText(properties: Record<string, string>): string {
  return Object.entries(properties)
    .map(([key, value]) => `${key}=${value}\n`)
    .join("");
}
