// Gives segments their own names back: a copy, or one that somebody has renamed, would be taken for a later part of the log.
import { type Files, quietly } from "./files.ts";
import { setFileAside } from "./quarantine.ts";
import type { RecoveryProblem } from "./recoverSegments.ts";
import { segmentName } from "./segmentWriter.ts";

/** A segment whose header says another ordinal than its name. */
export interface Misnamed {
  path: string;
  /** As its header says. */
  ordinal: number;
  /** Bytes of the file. */
  size: number;
}

/** Each gets the name that its header says; where another file has that by right, it is set aside. */
export function rightNames(
  files: Files,
  directory: string,
  quarantine: string,
  misnamed: readonly Misnamed[],
  onProblem: (problem: RecoveryProblem) => void,
): void {
  // They may have each other's names. If the disk refuses, what has another name is not read, and tried again at the next start.
  const away = misnamed.map(({ path, ...rest }) => ({ path, ...rest, now: `${path}.renamed` }));
  for (const { path, now } of away) quietly(() => files.rename(path, now));
  for (const { path, now, ordinal, size } of away) {
    const name = segmentName(ordinal);
    let what = `its header says that it is ${name}`;
    if (!files.exists(`${directory}/${name}`)) {
      quietly(() => files.rename(now, `${directory}/${name}`));
      what += "; it is called so again";
    } else if (setFileAside(files, quarantine, now, size)) what += ", which is another file; it was set aside";
    onProblem({ path, from: 0, to: size, why: what });
  }
}
