// What of the settings this machine cannot do, although they are right in themselves: codecs that do not load, files that
// cannot be read.
import type { Objection } from "../config/load.ts";
import type { Settings } from "../config/settings.ts";
import { codecObjections } from "./codecs.ts";
import { securityObjections } from "./security.ts";

export function kafkaObjections(settings: Settings): Objection[] {
  return [...codecObjections(settings), ...securityObjections(settings)];
}
