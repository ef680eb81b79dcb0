// SIGHUP: reads the configuration again, and puts all of it in force that needs no restart; or, when anything is wrong, nothing.
import { adopt, describeChange, type SettingChange } from "./config/changes.ts";
import { formatConfigErrors, type Loaded } from "./config/load.ts";
import { planReload, type ReloadPlan } from "./config/plan.ts";
import type { LogLevel, Settings } from "./config/settings.ts";
import type { OpenedSecurity, SecuritySource } from "./kafka/security.ts";
import type { Log } from "./observe/log.ts";
import type { ConfigStatus } from "./observe/status.ts";
import { changedFiles, securityFiles } from "./securityFiles.ts";

/** Whether one of these settings, or of these tables, is another one now. */
export type Changed = (...names: string[]) => boolean;

/** What works by the settings. */
export interface Reloadable {
  /** They have changed in place. */
  settingsChanged(changed: Changed): void;
}

export interface ReloaderParts {
  /** Those in force, which are changed in place. */
  settings: Settings;
  /** That they were read from; undefined: there was none. */
  file: string | undefined;
  /** Reads them again, as at the start. */
  load: () => Loaded;
  openSecurity: (kafka: Settings["kafka"]) => OpenedSecurity;
  /** By which connections are made. */
  security: { current: SecuritySource };
  log: Log;
}

/** Errors in one line of the log, and in the status. */
const ERRORS_TOLD = 50;

const BLANK = "there is nothing in it; should it be so, put a comment into it, and all settings go to their defaults";

const LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

export class Reloader {
  readonly #parts: ReloaderParts;
  readonly #status: ConfigStatus;
  #files: ReadonlyMap<string, string>;
  #target: Reloadable | undefined;
  #state: "starting" | "running" | "stopping" = "starting";
  #wanted = false;

  constructor(parts: ReloaderParts) {
    this.#parts = parts;
    this.#files = securityFiles(parts.settings.kafka);
    const file = parts.file ?? null;
    this.#status = { file, loaded_at: Date.now(), error: null, failed_at: null, restart_needed: [] };
  }

  get status(): ConfigStatus {
    return this.#status;
  }

  /** Reads it soon; while bruce starts, when it has. What is asked for many times before is read once. */
  request(): void {
    if (this.#state === "stopping") {
      this.#parts.log.warn("the configuration is not read again: bruce is stopping");
      return;
    }
    if (this.#wanted) return;
    this.#wanted = true;
    if (this.#state === "running") this.#soon();
  }

  /** From now on there is somebody to take settings over. */
  start(target: Reloadable): void {
    this.#target = target;
    this.#state = "running";
    if (this.#wanted) this.#soon();
  }

  /** What is in force stays. */
  stop(): void {
    this.#state = "stopping";
    this.#wanted = false;
  }

  #soon(): void {
    setImmediate(() => {
      if (!this.#wanted) return;
      this.#wanted = false;
      this.reload();
    });
  }

  /** Reads it now. Nothing changes unless all of it is good. */
  reload(): void {
    try {
      const problems = this.#reload();
      if (problems === undefined) return;
      this.#failed(problems);
      this.#parts.log.error("the configuration is not taken over, everything stays as it was", { errors: problems });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#failed([`it may be in force in part, restart bruce: ${why}`]);
      this.#parts.log.error("the configuration is in force in part, for a reason that nobody knew of: restart bruce", {
        why,
      });
    }
  }

  /** What is wrong, if anything is. */
  #reload(): string[] | undefined {
    const { settings, load, openSecurity, log } = this.#parts;
    const loaded = load();
    if ("errors" in loaded) return atMost(formatConfigErrors(loaded.errors).split("\n"));
    const { file = null } = loaded;
    if (file === null && this.#status.file !== null) return [`${this.#status.file}: there is no such file any more`];
    const plan = planReload(settings, loaded.settings);
    // Somebody is writing it, or it was a pipe: to go over to other brokers, without a login, is not what was wanted.
    if (loaded.blank && plan.now.length + plan.later.length > 0) return [`${file}: ${BLANK}`];
    // Before they are used: what is put in their place meanwhile is noticed the next time.
    const files = securityFiles(plan.settings.kafka);
    const opened = openSecurity(plan.settings.kafka);
    if ("problem" in opened) return [opened.problem];
    const prepared = log.prepare(plan.settings.log);
    if ("problem" in prepared) return [prepared.problem];

    // From here on nothing fails.
    const rotated = changedFiles(this.#files, files);
    const said = { ...settings.log };
    adopt(settings, loaded.settings, plan.now);
    this.#files = files;
    Object.assign(this.#status, {
      file,
      loaded_at: Date.now(),
      error: null,
      failed_at: null,
      restart_needed: plan.later.map(({ key }) => key),
    });
    const changed = changedIn(plan.now, rotated);
    if (changed("kafka.tls", "kafka.sasl")) {
      this.#parts.security.current = opened.security;
      for (const warning of [...opened.warnings, ...(loaded.warnings ?? [])]) log.warn(warning);
    }
    const tell = () => this.#tell(plan, rotated);
    // In the log where it is looked for: the old one must not end, nor the new one begin, without a word.
    const quieter = LEVELS.indexOf(settings.log.level) > LEVELS.indexOf(said.level);
    if (quieter) tell();
    if (settings.log.file !== said.file) log.info("the log goes on elsewhere", { file: settings.log.file || "stderr" });
    prepared.use();
    if (!quieter) tell();
    this.#target?.settingsChanged(changed);
    return undefined;
  }

  #tell({ now, later }: ReloadPlan, rotated: readonly string[]): void {
    const { log } = this.#parts;
    const changes = [...now.map(describeChange), ...rotated.map((name) => `${name}: the file's content changed`)];
    const { file } = this.#status;
    const about = file === null ? {} : { file };
    log.info("configuration read again", { ...about, changed: changes.length === 0 ? "nothing" : changes });
    if (later.length > 0) {
      const settings = later.map(describeChange);
      log.warn("settings of the configuration take effect with the next start only: restart bruce for them", {
        settings,
      });
    }
  }

  #failed(problems: readonly string[]): void {
    Object.assign(this.#status, { error: problems.join("; "), failed_at: Date.now() });
  }
}

function atMost(problems: string[]): string[] {
  const more = problems.length - ERRORS_TOLD;
  return more <= 0 ? problems : [...problems.slice(0, ERRORS_TOLD), `and ${more} more`];
}

function changedIn(changes: readonly SettingChange[], rotated: readonly string[]): Changed {
  const keys = [...changes.map(({ key }) => key), ...rotated];
  return (...names) => keys.some((key) => names.some((name) => key === name || key.startsWith(`${name}.`)));
}
