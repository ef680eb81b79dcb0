// Compiles bruce into one executable: dist/bruce, or dist/bruce-TARGET for `--target TARGET` (linux-arm64, linux-x64-musl …).
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { parseArgs } from "node:util";
import { version } from "../package.json";
import { nativeCodecs } from "./nativeCodecs.ts";

const root = new URL("..", import.meta.url).pathname;
const { values } = parseArgs({ options: { target: { type: "string" } } });
const target = values.target?.replace(/^bun-/, "");
const outfile = target === undefined ? "dist/bruce" : `dist/bruce-${target}`;
// Built beside its place and then renamed, so that whoever starts the old one meanwhile never sees half a file.
const unfinished = `${outfile}.${process.pid}`;

mkdirSync(`${root}dist`, { recursive: true });
const codecs = nativeCodecs(root, target);
if ("problem" in codecs) fail(codecs.problem);
else build(codecs.files);
if (codecs.room !== undefined) rmSync(codecs.room, { recursive: true, force: true });

function build(files: Record<string, string>): void {
  const { status } = spawnSync(process.execPath, ["build", ...buildArguments(files)], {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (status === 0 && existsSync(root + unfinished)) {
    renameSync(root + unfinished, root + outfile);
    process.stderr.write(`built ${outfile}\n`);
  } else {
    fail(`bun build exited with ${status}`);
  }
}

function fail(why: string): void {
  rmSync(root + unfinished, { force: true });
  process.stderr.write(`build: ${outfile} could not be built: ${why}\n`);
  process.exitCode = 1;
}

function buildArguments(files: Record<string, string>): string[] {
  return [
    "--compile",
    ...(target === undefined ? [] : [`--target=bun-${target}`]),
    "--root=.",
    `--outfile=${unfinished}`,
    // Whatever lies in the directory where a user starts bruce must not change what bruce does.
    "--no-compile-autoload-dotenv",
    "--no-compile-autoload-bunfig",
    `--define=BRUCE_VERSION=${JSON.stringify(version)}`,
    `--define=BRUCE_COMMIT=${JSON.stringify(commit())}`,
    ...Object.entries(files).map(([name, file]) => `--define=${name}=${JSON.stringify(file)}`),
    "src/main.ts",
    "src/ingest/input.worker.ts",
  ];
}

/** The short hash of the commit that is checked out, with a `+` when the tree differs from it; "" outside git. */
function commit(): string {
  const git = (...args: string[]) => spawnSync("git", args, { cwd: root, encoding: "utf8" });
  const head = git("rev-parse", "--short=12", "HEAD");
  if (head.status !== 0) return "";
  return head.stdout.trim() + (git("status", "--porcelain", "--", "src").stdout === "" ? "" : "+");
}
