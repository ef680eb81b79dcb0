// Which bruce this is: set at build time, taken from package.json when it runs from source.
import { version } from "../../package.json";

declare const BRUCE_VERSION: string | undefined;
declare const BRUCE_COMMIT: string | undefined;

export const VERSION = typeof BRUCE_VERSION === "string" ? BRUCE_VERSION : version;

/** As `bruce --version` prints it. */
export function versionLine(): string {
  const commit = typeof BRUCE_COMMIT === "string" ? BRUCE_COMMIT : "from source";
  return commit === "" ? `bruce ${VERSION}` : `bruce ${VERSION} (${commit})`;
}
