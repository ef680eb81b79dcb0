import { describe, expect, test } from "bun:test";
import { type Action, parseCommandLine } from "../../src/commands/cli.ts";
import { COMMANDS, type CommandSpec } from "../../src/commands/cliTable.ts";

const TRY: CommandSpec = {
  name: "try",
  args: "TOPIC [FILE...]",
  about: "for the test",
  details: "Details.",
  options: [
    { flags: "-c, --config FILE", about: "a file" },
    { flags: "--key-delimiter TEXT", about: "a text" },
    { flags: "--set KEY=VALUE", about: "a setting", repeated: true },
    { flags: "--dev", about: "a flag" },
  ],
  examples: [["bruce try it", "an example"]],
  run: async () => 0,
};

const parse = (...argv: string[]): Action => parseCommandLine(argv, [TRY, ...COMMANDS]);

/** Arguments and options as the command gets them. */
function given(...argv: string[]) {
  const action = parse("try", ...argv);
  if (action.kind !== "run") throw new Error(JSON.stringify(action));
  const { args, text, texts, flag } = action.given;
  return { args, config: text("config"), keyDelimiter: text("key-delimiter"), set: texts("set"), dev: flag("dev") };
}

const NOTHING = { args: ["t"], config: undefined, keyDelimiter: undefined, set: [], dev: false };

describe("arguments reach the command as they were written", () => {
  test("what looks like a number stays text", () => {
    for (const text of ["007", "", " ", "1e3", "0x10", "1.0", "Infinity", "true", "false", "null", "-"]) {
      expect(given("t", "--key-delimiter", text)).toEqual({ ...NOTHING, keyDelimiter: text });
      expect(given("t", `--key-delimiter=${text}`)).toEqual({ ...NOTHING, keyDelimiter: text });
      expect(given("t", text)).toEqual({ ...NOTHING, args: ["t", text] });
      expect(given("t", "-c", text)).toEqual({ ...NOTHING, config: text });
    }
  });

  test("an empty value does not swallow what follows", () => {
    expect(given("--key-delimiter=", "t", "f")).toEqual({ ...NOTHING, args: ["t", "f"], keyDelimiter: "" });
  });

  test("a value may begin with a dash, or hold anything", () => {
    expect(given("t", "--key-delimiter=-5").keyDelimiter).toBe("-5");
    expect(given("t", "--key-delimiter=--dev").keyDelimiter).toBe("--dev");
    expect(given("t", "--key-delimiter=a=b\nc").keyDelimiter).toBe("a=b\nc");
  });

  test("what follows two dashes is no option", () => {
    expect(given("--dev", "--", "t", "--dev", "-1", "007", "--")).toEqual({
      ...NOTHING,
      args: ["t", "--dev", "-1", "007", "--"],
      dev: true,
    });
    expect(given("t", "--")).toEqual(NOTHING);
  });

  test("a short option may be written in every usual way", () => {
    for (const argv of [["-c", "f"], ["-cf"], ["-c=f"], ["--config=f"]]) {
      expect(given("t", ...argv)).toEqual({ ...NOTHING, config: "f" });
    }
    expect(given("t", "-c7").config).toBe("7");
  });

  test("an option may be repeated where that makes sense", () => {
    expect(given("t", "--set", "a=1", "--set=b=2", "--set", "3").set).toEqual(["a=1", "b=2", "3"]);
    expect(given("t", "--dev", "--dev").dev).toBe(true);
  });

  test("a flag takes nothing that follows", () => {
    expect(given("--dev", "t")).toEqual({ ...NOTHING, dev: true });
    expect(given("--dev", "007")).toEqual({ ...NOTHING, args: ["007"], dev: true });
  });
});

describe("what cannot be meant is refused, with the nearest name", () => {
  const CASES: [argv: string[], message: string][] = [
    [["chekc"], 'bruce: there is no command "chekc"; did you mean "check"?'],
    [["007"], 'bruce: there is no command "007"'],
    [["--vresion"], 'bruce: there is no option --vresion; did you mean "--version"?'],
    [["try"], "bruce try: TOPIC is missing"],
    [["try", "t", "--confg", "x"], 'bruce try: there is no option --confg; did you mean "--config"?'],
    [
      ["try", "t", "--key-delimeter=x"],
      'bruce try: there is no option --key-delimeter; did you mean "--key-delimiter"?',
    ],
    [["try", "t", "-x"], "bruce try: there is no option -x"],
    [["try", "t", "-X"], "bruce try: there is no option -X"],
    [["try", "t", "-1"], "bruce try: there is no option -1"],
    [["try", "t", "--no-dev=1"], "bruce try: there is no option --dev=1"],
    [
      ["try", "t", "--config"],
      "bruce try: option --config needs a value; one that begins with a dash is written --config=-…",
    ],
    [
      ["try", "t", "--config", "--dev"],
      "bruce try: option --config needs a value; one that begins with a dash is written --config=-…",
    ],
    [["try", "t", "-c", "a", "-c", "b"], "bruce try: option --config is given twice"],
    [["try", "t", "-c", "a", "--config", "b"], "bruce try: option --config is given twice"],
    [["spool"], "bruce spool: ls|verify|export is missing"],
    [["check", "a", "b"], 'bruce check: unexpected argument "b"'],
    [["check", "--no-set"], "bruce check: option --set needs a value; one that begins with a dash is written --set=-…"],
  ];
  for (const [argv, message] of CASES) {
    test(argv.join(" "), () => expect(parse(...argv)).toEqual({ kind: "misuse", message }));
  }

  test("no command at all shows what there is", () => {
    const action = parse();
    expect(action.kind === "misuse" && action.message).toStartWith(
      "bruce: a command is missing\n\nbruce moves messages",
    );
  });
});

describe("help and version", () => {
  test("are asked for in every usual way", () => {
    for (const argv of [["--help"], ["-h"], ["help"]]) {
      const action = parse(...argv);
      expect(action.kind === "help" && action.text).toStartWith("bruce moves messages");
    }
    for (const argv of [
      ["try", "--help"],
      ["try", "-h", "--nope"],
      ["help", "try"],
      ["--help", "try"],
    ]) {
      expect(parse(...argv)).toEqual({
        kind: "help",
        text: `bruce try: for the test

Usage:
  bruce try [OPTIONS] TOPIC [FILE...]

Details.

Options:
  -c, --config FILE         a file
      --key-delimiter TEXT  a text
      --set KEY=VALUE       a setting
      --dev                 a flag
  -h, --help                show this

Examples:
  bruce try it  an example
`,
      });
    }
    for (const argv of [["--version"], ["-v"]]) expect(parse(...argv)).toEqual({ kind: "version" });
    expect(parse("help", "tyr")).toEqual({
      kind: "misuse",
      message: 'bruce: there is no command "tyr"; did you mean "try"?',
    });
  });

  test("the help names every command, and fits into 110 columns", () => {
    for (const argv of [["--help"], ...COMMANDS.map(({ name }) => ["help", name])]) {
      const action = parse(...argv);
      const lines = action.kind === "help" ? action.text.split("\n") : [];
      expect(lines.length).toBeGreaterThan(5);
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(110);
      if (argv[0] === "--help") for (const { name } of COMMANDS) expect(lines.join("\n")).toContain(`\n  ${name} `);
    }
  });
});
