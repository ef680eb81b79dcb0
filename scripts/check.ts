// Everything a machine can say about the code without running it: format, lint, import cycles, types, dead code.
import { spawnSync } from "node:child_process";

const root = new URL("..", import.meta.url).pathname;
const checks = [
  { name: "format and lint", command: ["biome", "check", "--error-on-warnings", "--max-diagnostics=200"] },
  { name: "types", command: ["tsc", "--noEmit", "-p", "."] },
  { name: "dead code", command: ["knip"] },
];

const failed: string[] = [];
for (const { name, command } of checks) {
  const [tool = "", ...args] = command;
  const { status, stdout, stderr } = spawnSync(`node_modules/.bin/${tool}`, args, { cwd: root, encoding: "utf8" });
  if (status === 0) continue;
  failed.push(name);
  process.stderr.write(`${stdout}${stderr}\ncheck: ${name} failed (${command.join(" ")})\n\n`);
}
process.stderr.write(failed.length === 0 ? "check: all good\n" : `check: failed: ${failed.join(", ")}\n`);
process.exitCode = failed.length === 0 ? 0 : 1;
