// `bruce spool verify`: reads all of the buffer and names what is damaged.
import { createColors } from "picocolors";
import { printable } from "../observe/logPrintable.ts";
import { formatCount, formatSize } from "../observe/statusUnits.ts";
import { nodeFiles } from "../spool/files.ts";
import { checkDirectory } from "./spoolCheck.ts";
import type { CheckResult, Finding } from "./spoolFindings.ts";
import { EXIT, type SpoolSurroundings } from "./spoolIo.ts";
import { lockHolder } from "./spoolLock.ts";

/** The exit code: 1 when anything is damaged. */
export async function verifySpool(directory: string, json: boolean, io: SpoolSurroundings): Promise<number> {
  const holder = lockHolder(directory);
  // Where that is not known, a daemon may be at work.
  const result = checkDirectory(nodeFiles, directory, holder.state !== "absent");
  const damages = result.findings.filter(({ kind }) => kind === "damage").length;
  io.stdout.write(json ? jsonText(directory, result) : text(directory, result, damages, io));
  return damages > 0 ? EXIT.failed : EXIT.done;
}

function jsonText(directory: string, { findings, ...read }: CheckResult): string {
  const of = (wanted: Finding["kind"]) =>
    findings.filter(({ kind }) => kind === wanted).map(({ kind: _, ...finding }) => finding);
  return `${JSON.stringify({ directory, ...read, damages: of("damage"), notes: of("note") }, null, 2)}\n`;
}

function text(directory: string, result: CheckResult, damages: number, { stdout, env }: SpoolSurroundings): string {
  const { findings, files, bytes, messages } = result;
  if (stdout.isTTY !== true) {
    const lines = findings.map((f) => [f.kind, f.file, f.offset, f.bytes, f.messages, f.what]);
    return [["read", directory, files, bytes, messages], ...lines]
      .map((fields) => `${fields.map((field) => printable(String(field))).join("\t")}\n`)
      .join("");
  }
  const c = createColors((env.NO_COLOR ?? "") === "" && env.TERM !== "dumb");
  const read = `${directory}: read ${formatCount(files)} files, ${formatSize(bytes)}, ${formatCount(messages)} messages`;
  const lines = findings.map((finding) => {
    const line = printable(inWords(finding));
    return finding.kind === "damage" ? c.red(`✗ ${line}`) : c.dim(`· ${line}`);
  });
  const verdict =
    damages === 0
      ? c.green("✓ nothing is damaged")
      : `${c.red(damages === 1 ? "1 damage" : `${formatCount(damages)} damages`)}: bruce sets damaged bytes aside when it ` +
        "comes to them, counts their messages as discarded, and delivers the others. Is the disk all right?";
  return `${[printable(read), ...lines, verdict].join("\n")}\n`;
}

function inWords({ file, offset, bytes, messages, what }: Finding): string {
  const size = bytes > 0 ? ` (${formatCount(bytes)} bytes)` : "";
  const lost = messages > 0 ? `; ${formatCount(messages)} ${messages === 1 ? "message is" : "messages are"} lost` : "";
  return `${file} at byte ${offset}: ${what}${size}${lost}`;
}
