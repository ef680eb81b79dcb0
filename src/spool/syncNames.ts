// Makes the names in a directory safe from a power cut, without keeping the event loop waiting for the disk.
import type { Files } from "./files.ts";

/** New, renamed and removed files of `directory` stay so. Rejects when the disk refuses. */
export async function syncNames(files: Files, directory: string): Promise<void> {
  // Linux syncs a directory's descriptor like a file's.
  const fd = files.open(directory, "r");
  try {
    await files.sync(fd);
  } finally {
    files.close(fd);
  }
}
