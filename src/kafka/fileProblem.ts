// Why a file that the settings name cannot be used, in words.

const REASONS: Record<string, string> = {
  ENOENT: "there is no such file",
  EACCES: "permission denied",
  EISDIR: "it is a directory",
  ENOTDIR: "a part of its path is no directory",
};

/** One line about a file that could not be read. */
export function fileProblem(path: string, error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return `${path} cannot be read: ${REASONS[code] ?? (code || String(error))}`;
}
