// Loading text in made-up surroundings.
import { formatConfigErrors, type LoadOptions, loadSettings } from "../../src/config/load.ts";
import type { Settings } from "../../src/config/settings.ts";

export const ROOT = { env: {}, uid: 0 };

/** The settings of `text`; throws its errors. */
export function load(text: string, options: Partial<LoadOptions> = {}): Settings {
  const loaded = loadSettings({ text, ...ROOT, ...options });
  if ("errors" in loaded) throw new Error(formatConfigErrors(loaded.errors));
  return loaded.settings;
}

/** The errors of `text`, as they are printed, one in each element. */
export function errors(text: string, options: Partial<LoadOptions> = {}): string[] {
  const loaded = loadSettings({ text, ...ROOT, ...options });
  return "errors" in loaded ? formatConfigErrors(loaded.errors).split("\n") : [];
}
