// The help texts, from the table of commands.
import type { CommandSpec, OptionSpec } from "./cliTable.ts";

export const GLOBAL_OPTIONS: OptionSpec[] = [
  { flags: "-h, --help", about: "show this" },
  { flags: "-v, --version", about: "show the version" },
];

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join("\n");
}

function optionRows(options: readonly OptionSpec[]): string {
  // Long names stand in one column, whether or not there is a short one.
  return columns(options.map(({ flags, about }) => [flags.startsWith("--") ? `    ${flags}` : flags, about]));
}

/** `bruce --help` */
export function generalHelp(commands: readonly CommandSpec[]): string {
  return `bruce moves messages from applications to Apache Kafka and never loses one.

Usage:
  bruce COMMAND [OPTIONS]

Commands:
${columns(commands.map(({ name, args, about }) => [`${name} ${args}`.trim(), about]))}

Options:
${optionRows(GLOBAL_OPTIONS)}

"bruce COMMAND --help" tells more about a command.
Exit codes: 0 done, 1 failed, 2 bad usage or configuration, 75 try again later.
`;
}

/** `bruce COMMAND --help` */
export function commandHelp({ name, args, about, details, options, examples }: CommandSpec): string {
  return `bruce ${name}: ${about}

Usage:
  bruce ${`${name} [OPTIONS] ${args}`.trim()}

${details}

Options:
${optionRows([...options, { flags: "-h, --help", about: "show this" }])}

Examples:
${columns(examples)}
`;
}
