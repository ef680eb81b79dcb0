// `npm run demo`: the whole way of a message, on this machine alone. A growing log goes through `tail -f | bruce send` into
// `bruce serve --dev`, which prints what its embedded broker gets; then the books are checked. Ends by itself, exit 0 when
// every line arrived once.
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import picocolors from "picocolors";
import type { DaemonStatus } from "../src/observe/status.ts";
import { BRUCE, ensureExecutable } from "./executable.ts";

const TOPIC = "demo";
const LINES = 40;
/** Milliseconds. */
const BETWEEN_LINES = 150;
const PATIENCE = 40_000;
const STOP_PATIENCE = 10_000;

type Child = Bun.Subprocess<"ignore" | ReadableStream, "ignore" | "inherit" | "pipe", "inherit" | "pipe">;

const { bold, cyan, dim, green, red } = picocolors;
const children: Child[] = [];
const interrupted = Promise.withResolvers<never>();
interrupted.promise.catch(() => {});
for (const [signal, code] of [["SIGINT", 130] as const, ["SIGTERM", 143] as const]) {
  process.on(signal, () => interrupted.reject(new Interruption(signal, code)));
}

class Interruption extends Error {
  readonly code: number;
  constructor(signal: string, code: number) {
    super(`${signal}: ended before its time`);
    this.code = code;
  }
}

if (ensureExecutable()) process.exitCode = await main();
else process.exitCode = 1;

async function main(): Promise<number> {
  const directory = mkdtempSync(join(placeForSockets(), "bruce-demo-"));
  const timeout = setTimeout(() => interrupted.reject(new Error(`not done after ${PATIENCE / 1000} s`)), PATIENCE);
  try {
    return await Promise.race([show(directory), interrupted.promise]);
  } catch (error) {
    say(red(`demo: ${(error as Error).message}`));
    return error instanceof Interruption ? error.code : 1;
  } finally {
    clearTimeout(timeout);
    // The newest first: whoever reads outlives who writes.
    for (const child of children.toReversed()) await end(child);
    rmSync(directory, { recursive: true, force: true });
  }
}

async function show(directory: string): Promise<number> {
  step("bruce serve --dev", "the forwarder, with an embedded broker in the place of Kafka");
  const printed: string[] = [];
  const { daemon, stream, url } = await startDaemon(directory, (line) => {
    printed.push(line);
    say(`  ${dim("delivered │")} ${line}`);
  });

  const log = join(directory, "app.log");
  writeFileSync(log, "");
  step(
    `tail -f app.log | bruce send ${TOPIC}`,
    `an application writes ${LINES} lines to its log; each is sent as it comes`,
  );
  say(dim("  what comes out at the broker: time, topic[partition]@offset, message"));
  const tail = spawn(["tail", "-n", "+1", "-f", log], { stdout: "pipe" });
  // Its stderr is no terminal: a progress line would run into what is shown here.
  const source = { stdin: tail.stdout as ReadableStream, stderr: "pipe" } as const;
  const send = spawn([BRUCE, "send", TOPIC, "--socket", stream], source);
  void eachLine(send.stderr as ReadableStream, (line) => say(`  ${dim(line)}`));
  const lines = await writeLog(log);
  await until(async () => (await statusOf(url)).ledger.delivered >= LINES);
  await until(async () => printed.length >= LINES);
  await end(tail);
  const sent = await send.exited;

  step("bruce status", "what became of the messages: received = delivered + held + discarded");
  await spawn([BRUCE, "status", "--url", url], { stdout: "inherit" }).exited;
  const { ledger } = await statusOf(url);

  step("Ctrl-C", "the forwarder stops: its inputs first, then what it holds is delivered");
  const stopped = await end(daemon);

  const problems = [
    ...(sent === 0 ? [] : [`bruce send exited with ${sent}`]),
    ...(stopped === 0 ? [] : [`bruce serve exited with ${stopped}`]),
    ...wrongWith(ledger),
    ...missing(lines, printed),
  ];
  say("");
  for (const problem of problems) say(red(`✗ ${problem}`));
  if (problems.length > 0) return 1;
  say(green(`✓ ${LINES} lines written, received and delivered: each one there, once, in order; the ledger balances`));
  return 0;
}

/** The log of an application that has something to say now and then; resolves with its lines when all are written. */
async function writeLog(path: string): Promise<string[]> {
  const paths = ["/", "/basket", "/checkout", "/search?q=caf%C3%A9", "/item/42"];
  const lines: string[] = [];
  while (lines.length < LINES) {
    const number = lines.length + 1;
    const time = 3 + ((number * 37) % 50);
    lines.push(`request=${number} GET ${paths[number % paths.length]} 200 ${time}ms`);
    appendFileSync(path, `${lines.at(-1)}\n`);
    await pause(BETWEEN_LINES);
  }
  return lines;
}

interface Running {
  daemon: Child;
  /** Path of its stream socket. */
  stream: string;
  /** Of its HTTP server. */
  url: string;
}

/** Resolves when it is ready; rejects with what it said when it ends before. */
async function startDaemon(directory: string, onPrinted: (line: string) => void): Promise<Running> {
  // Settings of the machine's own forwarder, if there is one, are not for this one.
  const configuration = join(directory, "empty.toml");
  writeFileSync(configuration, "");
  const command = [BRUCE, "serve", "--dev", "-c", configuration, "--set", "log.format=json"];
  const env = { ...process.env, TMPDIR: directory };
  const daemon = spawn(command, { stdout: "pipe", stderr: "pipe", env, cwd: directory });
  void eachLine(daemon.stdout as ReadableStream, onPrinted);
  const said: string[] = [];
  const ready = Promise.withResolvers<Running>();
  void eachLine(daemon.stderr as ReadableStream, (line) => {
    said.push(line);
    if (!line.includes('"msg":"ready"')) return;
    const { stream, http } = JSON.parse(line) as { stream: string; http: { host: string; port: number } };
    ready.resolve({ daemon, stream, url: `http://${http.host}:${http.port}` });
  }).then(() => ready.reject(new Error(`bruce serve ended before it was ready:\n${said.join("\n")}`)));
  return await ready.promise;
}

function wrongWith({ received, delivered, held, discarded, balanced }: DaemonStatus["ledger"]): string[] {
  const books = `received ${received}, delivered ${delivered}, held ${held}, discarded ${discarded}`;
  if (received === LINES && delivered === LINES && held === 0 && discarded === 0 && balanced) return [];
  return [`the ledger is wrong: ${books}${balanced ? "" : ", and it does not balance"}`];
}

/** What the daemon printed must be what the application wrote. */
function missing(lines: string[], printed: string[]): string[] {
  const odd = printed.findIndex((line, at) => !line.endsWith(` ${lines[at]}`));
  if (odd >= 0) return [`message ${odd + 1} should be "${lines[odd]}", and is "${printed[odd]}"`];
  return printed.length === lines.length ? [] : [`${lines.length} lines were written, ${printed.length} arrived`];
}

async function statusOf(url: string): Promise<DaemonStatus> {
  return (await (await fetch(`${url}/api/v1/status`)).json()) as DaemonStatus;
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await pause(50);
}

/** Milliseconds; rejects when all of it is to end. */
async function pause(time: number): Promise<void> {
  await Promise.race([Bun.sleep(time), interrupted.promise]);
}

function spawn(
  command: string[],
  options: { stdin?: ReadableStream; stdout?: "inherit" | "pipe"; stderr?: "pipe"; env?: object; cwd?: string } = {},
): Child {
  const child = Bun.spawn(command, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdin: options.stdin ?? "ignore",
    stdout: options.stdout ?? "ignore",
    stderr: options.stderr ?? "inherit",
  });
  children.push(child);
  return child;
}

/** SIGTERM; SIGKILL if that does not help. The exit code; null when a signal ended it. */
async function end(child: Child): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
  const patience = setTimeout(() => child.kill("SIGKILL"), STOP_PATIENCE);
  await child.exited;
  clearTimeout(patience);
  return child.exitCode;
}

async function eachLine(stream: ReadableStream<Uint8Array>, onLine: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    lines.forEach(onLine);
  }
}

/** A socket's path has at most 107 bytes, whatever TMPDIR says. */
function placeForSockets(): string {
  return Buffer.byteLength(tmpdir()) <= 50 ? tmpdir() : "/tmp";
}

function step(command: string, explanation: string): void {
  say(`\n${bold(cyan(`$ ${command}`))}\n  ${explanation}`);
}

function say(text: string): void {
  console.log(text);
}
