// Runs everything that shows whether bruce works; the last line counts it all: `N passed, N failed`.
// Arguments go to `bun test` as they are (`npm test -- test/wire`, `--randomize`, `--seed=7`); with a path among them only
// that is run, without the checks.
import { spawn } from "node:child_process";
import { ensureExecutable } from "./executable.ts";

interface Outcome {
  passed: number;
  failed: number;
}

const root = new URL("..", import.meta.url).pathname;
const given = process.argv.slice(2);
const paths = given.filter((argument, at) => !argument.startsWith("-") && given[at - 1] !== "-t");

const outcomes: Outcome[] = [];
if (paths.length === 0) outcomes.push(await check());
if (!ensureExecutable()) {
  outcomes.push({ passed: 0, failed: 1 });
} else if (paths.length > 0) {
  outcomes.push(await suite("selected tests", paths.some((path) => path.includes("e2e")) ? 600 : 60, []));
} else {
  const unit = ["--only-failures", "--path-ignore-patterns=test/e2e/**", "./test"];
  // Beside each other: most of an end-to-end test is waiting for Kafka to start, or to see that a broker is gone.
  const both = [suite("end-to-end tests", 600, ["./test/e2e"]), suite("unit tests", 120, unit, "at the end")];
  outcomes.push(...(await Promise.all(both)));
}

const total = { passed: 0, failed: 0 };
for (const { passed, failed } of outcomes) {
  total.passed += passed;
  total.failed += failed;
}
process.exitCode = total.failed === 0 ? 0 : 1;
process.stdout.write(`${total.passed} passed, ${total.failed} failed\n`);

/** All checks together count as one test. */
async function check(): Promise<Outcome> {
  const { code } = await run(["scripts/check.ts"]);
  return code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

/** One run of `bun test`; the timeout is in seconds, for each test. A timeout in bunfig.toml would be ignored. */
async function suite(name: string, timeout: number, args: string[], told: Told = "live"): Promise<Outcome> {
  if (told === "live") process.stderr.write(`\n${name}\n`);
  const { code, output } = await run(["test", "--no-orphans", `--timeout=${timeout * 1000}`, ...args, ...given], told);
  if (told === "at the end") process.stderr.write(`\n${name}\n${output}`);
  const passed = count(output, "pass");
  const failed = count(output, "fail");
  // Bun reports what breaks outside a test in its exit code only, and finding no test at all is no success.
  const unseen = failed === 0 && (code !== 0 || passed === 0) ? 1 : 0;
  if (unseen > 0) process.stderr.write(`${name}: ${code === 0 ? "nothing ran" : `bun test exited with ${code}`}\n`);
  return { passed, failed: failed + unseen };
}

/** Bun's summary has a line ` 12 pass` or ` 1 fail`, on stderr. */
function count(output: string, word: "pass" | "fail"): number {
  return Number(output.match(new RegExp(`^ *(\\d+) ${word}$`, "m"))?.[1] ?? 0);
}

/** When the output of a run is passed on. */
type Told = "live" | "at the end";

/** Runs Bun in the root of the tree, passes its output on if asked to, and gives what it said on stderr. */
function run(args: string[], told: Told = "live"): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", process.stderr, "pipe"] });
  let output = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    if (told === "live") process.stderr.write(text);
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject).on("close", (code) => resolve({ code, output: Bun.stripANSI(output) }));
  });
}
