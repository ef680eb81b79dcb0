// Makes the names in a directory safe from a power cut, without keeping the event loop waiting for the disk.
import type { Files } from "./files.ts";

/** New, renamed and removed files of `directory` stay so. Rejects when the disk refuses. */
export async function syncNames(files: Files, directory: string): Promise<void> {
  let fd: number;
  try {
    // Linux syncs a directory's descriptor like a file's.
    fd = files.open(directory, "r");
  } catch {
    files.syncDirectory(directory);
    return;
  }
  try {
    await files.sync(fd);
  } finally {
    files.close(fd);
  }
}
