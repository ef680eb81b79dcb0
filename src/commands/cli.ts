// The command line to what it asks for. Prints nothing and runs nothing.
import { type CAC, cac } from "cac";
import { didYouMean } from "../config/nearest.ts";
import { commandHelp, GLOBAL_OPTIONS, generalHelp } from "./cliHelp.ts";
import type { CommandSpec, Given, OptionSpec } from "./cliTable.ts";

export type Action =
  | { kind: "run"; command: CommandSpec; given: Given }
  | { kind: "help"; text: string }
  | { kind: "version" }
  | { kind: "misuse"; message: string };

/** What `argv` (without the program's name) asks for. */
export function parseCommandLine(argv: readonly string[], commands: readonly CommandSpec[]): Action {
  if (argv[0] === "help") return parseCommandLine([...argv.slice(1, 2), "--help"], commands);
  const cli = declare(commands);
  const all = [...GLOBAL_OPTIONS, ...commands.flatMap((each) => each.options)];
  cli.parse(["", "", ...protect(argv, all)], { run: false });
  const options = new Map(Object.entries(cli.options).filter(([name]) => name !== "--"));
  const args = [...cli.args, ...dashed(cli)].map(restore);
  const command = commands.find((each) => each.name === cli.matchedCommandName);
  if (options.get("version") === true && command === undefined) return { kind: "version" };
  if (command === undefined) return withoutCommand(args[0], options, commands);
  if (options.get("help") === true) return { kind: "help", text: commandHelp(command) };
  const known = [...command.options, ...GLOBAL_OPTIONS];
  const message = badOptions(options, known) ?? badArguments(command, args);
  if (message !== undefined) return { kind: "misuse", message: `bruce ${command.name}: ${message}` };
  return { kind: "run", command, given: given(args, options) };
}

function withoutCommand(
  name: string | undefined,
  options: ReadonlyMap<string, unknown>,
  commands: readonly CommandSpec[],
): Action {
  if (name !== undefined) {
    const names = commands.map((each) => each.name);
    return { kind: "misuse", message: `bruce: there is no command "${name}"${didYouMean(name, names)}` };
  }
  if (options.get("help") === true) return { kind: "help", text: generalHelp(commands) };
  const message = badOptions(options, GLOBAL_OPTIONS) ?? `a command is missing\n\n${generalHelp(commands).trimEnd()}`;
  return { kind: "misuse", message: `bruce: ${message}` };
}

function declare(commands: readonly CommandSpec[]): CAC {
  const cli = cac("bruce");
  for (const { flags, about } of GLOBAL_OPTIONS) cli.option(flags, about);
  for (const { name, about, options } of commands) {
    // cac only splits the line up; what it makes of arguments is checked here, for better messages.
    const command = cli.command(`${name} [...args]`, about);
    for (const each of options) command.option(each.flags.replace(/ ([A-Z].*)$/, " <$1>"), each.about);
  }
  return cli;
}

/** Stands before what cac would make a number, or an option, of. No argument of a process can hold it. */
const MARK = "\0";

function isNumeric(text: string): boolean {
  return Number.isFinite(Number(text));
}

/** The arguments in the one form of each that cac reads without harm. */
function protect(argv: readonly string[], options: readonly OptionSpec[]): string[] {
  const end = argv.indexOf("--");
  return argv.map((written, index) => {
    if (end >= 0 && index >= end) return written;
    const argument = lengthen(written, options);
    const assigned = /^(--?[^=]+=)(.*)$/s.exec(argument);
    if (assigned !== null) return isNumeric(assigned[2] ?? "") ? `${assigned[1]}${MARK}${assigned[2]}` : argument;
    // A number with a dash is taken for options, as is usual; a dash alone is the standard input.
    return argument === "-" || (!argument.startsWith("-") && isNumeric(argument)) ? MARK + argument : argument;
  });
}

/** `-c` and `-cFILE` as `--config`: cac would lose one of `-c a --config b`, and take `-cFILE` for five flags. */
function lengthen(argument: string, options: readonly OptionSpec[]): string {
  const [, short, rest = ""] = /^-([a-z])(.*)$/s.exec(argument) ?? [];
  const option = options.map(nameOf).find(({ names }) => names.length > 1 && names[0] === short);
  if (option === undefined || (rest !== "" && !option.takesValue)) return argument;
  return `--${option.names.at(-1)}${rest === "" || rest.startsWith("=") ? rest : `=${rest}`}`;
}

function restore(value: unknown): string {
  const text = String(value);
  return text.startsWith(MARK) ? text.slice(1) : text;
}

function dashed(cli: CAC): unknown[] {
  const rest: unknown = cli.options["--"];
  return Array.isArray(rest) ? rest : [];
}

function kebab(name: string): string {
  return name.replaceAll(MARK, "").replace(/(?<=.)[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `--config` of `-c, --config FILE`, and whether it takes a value. */
function nameOf(option: OptionSpec): { names: string[]; takesValue: boolean } {
  const names = [...option.flags.matchAll(/--?([a-z][a-z-]*)/g)].map((match) => match[1] ?? "");
  return { names, takesValue: / [A-Z]/.test(option.flags) };
}

function badOptions(options: ReadonlyMap<string, unknown>, known: readonly OptionSpec[]): string | undefined {
  const specs = known.map((option) => ({ ...option, ...nameOf(option) }));
  for (const [camel, value] of options) {
    const name = kebab(camel);
    const shown = name.length === 1 ? `-${name}` : `--${name}`;
    const spec = specs.find((each) => each.names.includes(name));
    if (spec === undefined) {
      const near = didYouMean(
        name,
        specs.flatMap((each) => each.names),
      ).replace('"', '"--');
      return `there is no option ${shown}${near}`;
    }
    const values = Array.isArray(value) ? value : [value];
    const missing = values.some((each) => typeof each === "boolean");
    if (spec.takesValue && missing) {
      return `option ${shown} needs a value; one that begins with a dash is written ${shown}=-…`;
    }
    if (spec.takesValue && values.length > 1 && spec.repeated !== true) return `option ${shown} is given twice`;
    if (!spec.takesValue && !missing) return `option ${shown} takes no value`;
  }
  return undefined;
}

function badArguments(command: CommandSpec, args: readonly string[]): string | undefined {
  const specs = command.args.split(" ").filter((spec) => spec !== "");
  const missing = specs.slice(args.length).find((spec) => !spec.startsWith("["));
  if (missing !== undefined) return `${missing} is missing`;
  const extra = args[specs.length];
  return extra === undefined || specs.some((spec) => spec.includes("..."))
    ? undefined
    : `unexpected argument "${extra}"`;
}

function given(args: string[], options: ReadonlyMap<string, unknown>): Given {
  const camel = (name: string): string => name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
  const all = (name: string): string[] => {
    const value = options.get(camel(name));
    return value === undefined ? [] : (Array.isArray(value) ? value : [value]).map(restore);
  };
  return {
    args,
    flag: (name) => [options.get(camel(name))].flat().at(-1) === true,
    text: (name) => all(name)[0],
    texts: all,
  };
}
