// `bruce check`: says what is wrong with a configuration, or what it comes to.
import { formatConfigErrors, loadSettings } from "../config/load.ts";
import { printSettings } from "../config/print.ts";
import { kafkaObjections } from "../kafka/objections.ts";
import { openSecurity } from "../kafka/security.ts";

interface Output {
  write(text: string): unknown;
}

/** Prints all settings to stdout as TOML (secrets masked), warnings to stderr, and gives 0; or all errors there, and gives 2. */
export async function checkCommand(
  { file, set }: { file?: string; set: string[] },
  io: { stdout: Output; stderr: Output; env: Record<string, string | undefined>; uid?: number } = process,
): Promise<number> {
  const loaded = loadSettings({ file, set, env: io.env, uid: io.uid, objections: kafkaObjections });
  if ("errors" in loaded) {
    const count = loaded.errors.length;
    io.stderr.write(`${formatConfigErrors(loaded.errors)}\n${count} ${count === 1 ? "error" : "errors"}\n`);
    return 2;
  }
  const opened = openSecurity(loaded.settings.kafka);
  const warnings = [...("warnings" in opened ? opened.warnings : []), ...(loaded.warnings ?? [])];
  for (const warning of warnings) io.stderr.write(`warning: ${warning}\n`);
  const origin = loaded.file === undefined ? "No configuration file" : `Valid: ${loaded.file}`;
  io.stdout.write(`# ${origin}. All settings, defaults included:\n\n${printSettings(loaded.settings)}`);
  return 0;
}
