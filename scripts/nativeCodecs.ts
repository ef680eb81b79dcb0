// The native modules of the codecs snappy and lz4 that go into an executable: those for the platform that it is built for.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** As the packages name it, such as "linux-arm64-gnu". */
interface Platform {
  os: "linux" | "darwin";
  cpu: "x64" | "arm64";
  libc: "gnu" | "musl" | undefined;
}

/** `files`: by the name that src/kafka/nativeCodecs.ts knows each under. `room`: a directory to remove when all is done. */
export type NativeCodecs = ({ files: Record<string, string> } | { problem: string }) & { room?: string };

const TARGETS = "linux-x64, linux-arm64, darwin-x64 or darwin-arm64, with -musl, -baseline or -modern behind it";

/** `target`: what bun build takes without "bun-"; undefined is this machine. */
export function nativeCodecs(root: string, target: string | undefined): NativeCodecs {
  const own = ownPlatforms(target).map((platform) => filesOf(root, platform));
  const found = own.find(allThere);
  if (found !== undefined) return { files: found };
  if (target === undefined) return { problem: "the codecs snappy and lz4 are not installed for this machine: npm ci" };
  const platform = platformOf(target);
  if (platform === undefined) return { problem: `no codecs for the target ${target}; there are some for ${TARGETS}` };
  return fetchCodecs(root, platform);
}

function platformOf(target: string): Platform | undefined {
  const match = /^(linux|darwin)-(x64|arm64)(-musl)?(-baseline|-modern)?$/.exec(target);
  if (match === null) return undefined;
  const os = match[1] as Platform["os"];
  const libc = match[3] === undefined ? "gnu" : "musl";
  return { os, cpu: match[2] as Platform["cpu"], libc: os === "linux" ? libc : undefined };
}

/** What node_modules may hold already: for another target only, if it is this machine's. */
function ownPlatforms(target: string | undefined): Platform[] {
  const given = target === undefined ? undefined : platformOf(target);
  if (given !== undefined) return [given];
  if (target !== undefined) return [];
  const own = `${process.platform}-${process.arch}`;
  return [own, `${own}-musl`].flatMap((each) => platformOf(each) ?? []);
}

function filesOf(root: string, { os, cpu, libc }: Platform): Record<string, string> {
  const name = [os, cpu, libc].filter((part) => part !== undefined).join("-");
  const modules = join(root, "node_modules");
  return {
    BRUCE_SNAPPY: join(modules, `@napi-rs/snappy-${name}/snappy.${name}.node`),
    BRUCE_LZ4: join(modules, `@antoniomuso/lz4-napi-${name}/lz4-napi.${name}.node`),
  };
}

function allThere(files: Record<string, string>): boolean {
  return Object.values(files).every((file) => existsSync(file));
}

/** Installs what the lock file pins for another platform, in a room of its own: beside ours it would replace it. */
function fetchCodecs(root: string, platform: Platform): NativeCodecs {
  const { os, cpu, libc } = platform;
  const room = mkdtempSync(join(tmpdir(), "bruce-build-"));
  for (const file of ["package.json", "package-lock.json", ".npmrc"]) copyFileSync(join(root, file), join(room, file));
  const where = [`--os=${os}`, `--cpu=${cpu}`, ...(libc === undefined ? [] : [`--libc=${LIBC[libc]}`])];
  const args = ["ci", ...where, "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  const { status, error } = spawnSync("npm", args, { cwd: room, stdio: ["ignore", "ignore", "inherit"] });
  const files = filesOf(room, platform);
  if (status === 0 && allThere(files)) return { files, room };
  const missing = Object.values(files).filter((file) => !existsSync(file));
  const why = error?.message ?? (status === 0 ? `${missing.join(", ")} is missing` : `npm exited with ${status}`);
  return { problem: `the codecs snappy and lz4 for ${where.join(" ")} could not be fetched: ${why}`, room };
}

const LIBC = { gnu: "glibc", musl: "musl" } as const;
