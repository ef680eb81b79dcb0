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
    name: "serve",
    args: "",
    about: "take messages and deliver them to Kafka",
    details:
      "Takes messages on local sockets and delivers them to Kafka until it is told to stop. On SIGTERM or\n" +
      "SIGINT it closes the sockets, delivers what it has, and ends; on a second one it ends at once. On SIGHUP\n" +
      "it reads the configuration again, and says what changed; on SIGUSR1 it opens its log file anew.",
    options: [
      config,
      set,
      { flags: "--dev", about: "no Kafka needed: an embedded one takes the messages, and each is printed" },
    ],
    examples: [
      ["bruce serve --dev", "to try it"],
      ["bruce serve -c /etc/bruce/bruce.toml", "as a service"],
      ["bruce serve --set kafka.brokers=kafka-1:9092", "without a file"],
    ],
    run: async ({ text, texts, flag }) => {
      const { serveCommand } = await import("./serve.ts");
      return await serveCommand({ config: text("config"), set: texts("set"), dev: flag("dev") });
    },
  },
  {
    name: "send",
    args: "TOPIC [FILE...]",
    about: "send lines to a topic",
    details:
      "Sends each line of standard input, or of the files (- is standard input), as a message to the daemon,\n" +
      "as it arrives. Waits for a daemon that is not there yet, and goes on when it is restarted or killed: every\n" +
      "line arrives once and in order. (Of a daemon without a disk buffer, says how many lines may be lost.)\n" +
      "Exits with 0 when every line came as far as it should; 1 when lines were too long, discarded, or may be\n" +
      "lost; 2 for bad usage; 75 when there is no daemon or no receipt; 130 or 143 when it was interrupted.",
    options: [
      { flags: "--socket PATH", about: "the daemon's stream socket; without it the one of its configuration" },
      { flags: "--tcp HOST:PORT", about: "the daemon's TCP address instead" },
      { flags: "-c, --config FILE", about: "the daemon's configuration, to find its socket" },
      { flags: "--key KEY", about: "the key of every message" },
      { flags: "--key-delimiter TEXT", about: "what separates the key from the message in each line" },
      { flags: "--partition-key NUMBER", about: "choose the partition by this number" },
      { flags: "--delimiter TEXT", about: "what ends a message (default: \\n); \\0 and \\xNN work" },
      { flags: "--retry DURATION", about: "how long to wait for a daemon that is away (default: 30s)" },
      {
        flags: "--wait LEVEL",
        about: "done when lines are spooled (default, if possible), synced or delivered; or none",
      },
      { flags: "--timeout DURATION", about: "how long to wait for that after the last line (default: no end)" },
    ],
    examples: [
      ["tail -f access.log | bruce send clicks", "a log as it grows"],
      ["bruce send clicks --key-delimiter : *.txt", "lines such as user7:hello"],
      ["bruce send orders --wait delivered < orders", "until Kafka has them"],
      ["find . -print0 | bruce send files --delimiter '\\0'", "names with any characters"],
    ],
    run: async ({ args: [topic = "", ...files], text }) => {
      const { sendCommand } = await import("./send.ts");
      return await sendCommand({
        topic,
        files,
        socket: text("socket"),
        tcp: text("tcp"),
        config: text("config"),
        key: text("key"),
        keyDelimiter: text("key-delimiter"),
        partitionKey: text("partition-key"),
        delimiter: text("delimiter"),
        retry: text("retry"),
        wait: text("wait"),
        timeout: text("timeout"),
      });
    },
  },
  {
    name: "status",
    args: "",
    about: "show what became of the messages",
    details:
      "Asks the running daemon what it has received, delivered, still holds and has discarded, per topic,\n" +
      "and how its brokers are. Exits with 75 if no daemon answers.",
    options: [
      { flags: "--json", about: "for programs: one JSON object" },
      { flags: "--watch", about: "go on showing it until interrupted" },
      { flags: "--url URL", about: "the daemon's HTTP address; without it the one of its configuration" },
      { flags: "-c, --config FILE", about: "the daemon's configuration, to find its HTTP address" },
    ],
    examples: [
      ["bruce status --watch", "to look on"],
      ["bruce status --json | jq .ledger", "for a script"],
    ],
    run: async ({ text, flag }) => {
      const { statusCommand } = await import("./status.ts");
      const [url, file] = [text("url"), text("config")];
      return await statusCommand({ json: flag("json"), watch: flag("watch"), url, config: file });
    },
  },
  {
    name: "spool",
    args: "ls|verify|export",
    about: "look into the buffer on disk",
    details:
      "Reads the directory of the disk buffer (buffer.path), whether or not the daemon runs, and changes\n" +
      "nothing in it. While the daemon runs the picture is that of a moment, and a little behind.\n\n" +
      "  ls      what is there: messages that wait, held topics and why, what was set aside as damaged\n" +
      "  verify  reads all of it; names each damage by file and offset, and then exits with 1\n" +
      "  export  writes every message that is not known to be delivered, in order: a JSON object a line,\n" +
      "          or with --frames the very bytes that a socket of bruce takes",
    options: [
      { flags: "--path DIRECTORY", about: "the directory; without it the one of the configuration" },
      { flags: "-c, --config FILE", about: "the daemon's configuration, to find the directory" },
      { flags: "--json", about: "for programs: one JSON object (of export: a line for each message, the default)" },
      { flags: "--topic TOPIC", about: "export: messages of this topic only; may be repeated", repeated: true },
      { flags: "--frames", about: "export: frames as the sockets take them, not for a terminal" },
    ],
    examples: [
      ["sudo bruce spool ls", "what the system's daemon keeps"],
      ["bruce spool verify --path /mnt/old-disk/bruce", "a directory that was moved"],
      ["bruce spool export --topic orders | jq .value", "what waits for one topic"],
    ],
    run: async ({ args: [action = ""], text, texts, flag }) => {
      const { spoolCommand } = await import("./spool.ts");
      return await spoolCommand({
        action,
        path: text("path"),
        config: text("config"),
        topics: texts("topic"),
        json: flag("json"),
        frames: flag("frames"),
      });
    },
  },
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
