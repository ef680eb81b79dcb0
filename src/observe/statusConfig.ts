// What of the configuration a person should know, as text.
import { printable } from "./logPrintable.ts";
import type { DaemonStatus } from "./status.ts";
import { formatTime } from "./statusUnits.ts";

export interface ConfigText {
  text: string;
  /** It is wrong, and not merely to be known. */
  wrong: boolean;
}

/** Nothing while all that is in the file is in force. A daemon of an earlier version says nothing of it. */
export function configTexts({ config, now }: Pick<DaemonStatus, "now"> & Partial<DaemonStatus>): ConfigText[] {
  const texts: ConfigText[] = [];
  if (config === undefined) return texts;
  const { error, failed_at: at, restart_needed: waiting } = config;
  if (error !== null) {
    const ago = at === null ? "" : ` ${formatTime(now - at)} ago`;
    texts.push({ text: printable(`the configuration was not taken over${ago}: ${error}`), wrong: true });
  }
  if (waiting.length > 0)
    texts.push({ text: `a restart is needed for ${printable(waiting.join(", "))}`, wrong: false });
  return texts;
}
