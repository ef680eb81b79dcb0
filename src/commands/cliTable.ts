// What the commands are called and take: the source of parsing and of the help texts.

/** The arguments of one call, by the long name of the option. */
export interface Given {
  args: string[];
  flag(name: string): boolean;
  text(name: string): string | undefined;
  /** Of an option that may be repeated. */
  texts(name: string): string[];
}

export interface OptionSpec {
  /** `-c, --config FILE`; without a word in capitals it is a flag. */
  flags: string;
  about: string;
  repeated?: true;
}

export interface CommandSpec {
  name: string;
  /** `TOPIC [FILE...]`: required, optional, any number. */
  args: string;
  about: string;
  details: string;
  options: OptionSpec[];
  examples: [command: string, about: string][];
  run(given: Given): Promise<number>;
}

const config: OptionSpec = {
  flags: "-c, --config FILE",
  about: "the configuration; without it the file at the default place, if there is one",
};
const set: OptionSpec = {
  flags: "--set KEY=VALUE",
  about: "one setting over the configuration's, such as batch.linger=5ms; may be repeated",
  repeated: true,
};

// The imports are lazy so that each command starts with only what it needs; the names are literals for the bundler.
export const COMMANDS: CommandSpec[] = [
  {
    name: "check",
    args: "[FILE]",
    about: "check a configuration and show what it comes to",
    details:
      "Prints every setting with its value, defaults included, as TOML; or everything that is wrong,\n" +
      "each with its line, and exits with 2. Secrets are not shown.",
    options: [{ ...config, about: "the configuration, as `bruce serve` takes it" }, set],
    examples: [
      ["bruce check /etc/bruce/bruce.toml", "before a restart"],
      ["bruce check --set kafka.brokers=kafka-1:9092 > bruce.toml", "to start from"],
    ],
    run: async ({ args, text, texts }) => {
      const { checkCommand } = await import("./check.ts");
      return await checkCommand({ file: args[0] ?? text("config"), set: texts("set") });
    },
  },
];
