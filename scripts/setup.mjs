// Installs the pinned dependencies when package-lock.json has changed since the last time. Runs on plain Node, first thing in
// every npm script, because Bun itself is one of the dependencies.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";

const root = new URL("..", import.meta.url);
const stamp = new URL("node_modules/.setup-done", root);
const wanted = createHash("sha256")
  .update(readFileSync(new URL("package-lock.json", root)))
  .digest("hex");

if (installed() !== wanted) {
  run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], "could not install the dependencies");
  // Bun's package carries its executable in an install script, which some npm settings hold back.
  if (spawnSync("node_modules/.bin/bun", ["--version"], { cwd: root }).status !== 0) {
    run("node", ["node_modules/bun/install.js"], "could not finish the installation of Bun");
  }
  writeFileSync(stamp, wanted);
}

function installed() {
  try {
    return readFileSync(stamp, "utf8");
  } catch {
    return undefined;
  }
}

function run(command, args, failure) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
  if (status === 0) return;
  console.error(`setup: ${failure}: \`${command} ${args.join(" ")}\` ${error?.message ?? `exited with ${status}`}`);
  process.exit(1);
}
