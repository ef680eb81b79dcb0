// The part of `bruce spool verify` that looks at the checkpoint and the journal.
import { join } from "node:path";
import type { Checkpoint } from "../spool/checkpoint.ts";
import { decodeCheckpoint } from "../spool/checkpointFormat.ts";
import { codeOf, readWhole } from "../spool/files.ts";
import { listJournals } from "../spool/journalFile.ts";
import { replayJournal } from "../spool/journalReplay.ts";
import { type Check, damage, note } from "./spoolFindings.ts";

const SLOTS = ["checkpoint.0", "checkpoint.1"];
/** How often to look again while a daemon may be writing the one slot, and then the other. */
const TRIES = 3;

export function checkStateFiles(check: Check): void {
  checkSlots(check);
  checkJournal(check);
}

interface Slot {
  name: string;
  size: number;
  /** Why it cannot be read, or what it says. */
  content: Checkpoint | string;
}

function checkSlots(check: Check): void {
  let slots = SLOTS.flatMap((name) => readSlot(check, name));
  for (let left = TRIES; check.running && left > 0 && !slots.some(isGood); left--) {
    slots = SLOTS.flatMap((name) => readSlot(check, name));
  }
  const newest = slots
    .flatMap(({ content }) => (typeof content === "string" ? [] : content))
    .reduce<Checkpoint | undefined>(
      (best, each) => (each.generation > (best?.generation ?? -1) ? each : best),
      undefined,
    );
  for (const slot of slots) {
    check.result.files++;
    check.result.bytes += slot.size;
    if (typeof slot.content !== "string" || slot.size === 0) continue;
    if (newest !== undefined) {
      note(check, slot.name, 0, `${slot.content}: a crash cut off its writing; the other one counts`, slot.size);
    } else {
      const effect = "without any checkpoint, what is in the log may be delivered again";
      damage(check, slot.name, 0, `${slot.content}; ${effect}`, slot.size);
    }
  }
  if (newest === undefined || check.running || newest.clean) return;
  const journals = listJournals(check.files, join(check.directory, "journal"));
  if (journals.includes(newest.journal)) return;
  const name = slots.find(({ content }) => content === newest)?.name ?? "";
  damage(check, name, 0, `its journal, file ${newest.journal}, is not there: what was delivered since may be again`);
}

function isGood({ content }: Slot): boolean {
  return typeof content !== "string";
}

function readSlot({ files, directory }: Check, name: string): Slot[] {
  const path = join(directory, name);
  if (!files.exists(path)) return [];
  try {
    const bytes = readWhole(files, path);
    return [{ name, size: bytes.length, content: decodeCheckpoint(bytes) ?? "is no valid checkpoint" }];
  } catch (error) {
    return [{ name, size: 1, content: `cannot be read (${codeOf(error)})` }];
  }
}

function checkJournal(check: Check): void {
  const { files, directory, result } = check;
  const { problems } = replayJournal(files, join(directory, "journal"), 0, () => {});
  result.files += listJournals(files, join(directory, "journal")).length;
  for (const { path, from, to, why } of problems) {
    // Deleted since the directory was listed: a checkpoint has what it said.
    if (!files.exists(path)) continue;
    damage(check, `journal/${path.slice(path.lastIndexOf("/") + 1)}`, from, why, to - from);
  }
}
