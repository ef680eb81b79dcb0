// What `bruce send` refuses before it reads anything.
import { describe, expect, test } from "bun:test";
import { type SendCommandOptions, sendCommand } from "../../src/commands/send.ts";

async function run(options: Partial<SendCommandOptions>): Promise<{ code: number; said: string }> {
  let said = "";
  const stderr = {
    terminal: false,
    write(text: string) {
      said += text;
    },
  };
  const code = await sendCommand({ topic: "t", socket: "/nonexistent/socket", retry: "0", ...options }, { stderr });
  return { code, said };
}

describe("bad usage is named in one line and exits with 2", () => {
  const cases: [Partial<SendCommandOptions>, string][] = [
    [{ topic: "" }, '"" is no topic'],
    [{ topic: "a topic" }, '"a topic" is no topic'],
    [{ topic: ".." }, '".." is no topic'],
    [{ topic: "x".repeat(250) }, "is no topic"],
    [{ topic: "ärger" }, "is no topic"],
    [{ tcp: "localhost:9000" }, "--socket and --tcp exclude each other"],
    [{ socket: undefined, tcp: "localhost" }, "--tcp wants HOST:PORT"],
    [{ socket: undefined, tcp: "localhost:0" }, "--tcp wants HOST:PORT"],
    [{ socket: "" }, "the socket's path is empty"],
    [{ socket: `/${"x".repeat(107)}` }, "at most 107 bytes"],
    [{ key: "k", keyDelimiter: ":" }, "--key and --key-delimiter exclude each other"],
    [{ keyDelimiter: "" }, "--key-delimiter wants at least one character"],
    [{ keyDelimiter: "a\\nb" }, "--key-delimiter contains what ends a line"],
    [{ delimiter: "" }, "--delimiter wants at least one character"],
    [{ delimiter: "\\q" }, "--delimiter wants at least one character"],
    [{ delimiter: "\\x1" }, "--delimiter wants at least one character"],
    [{ partitionKey: "2147483648" }, "--partition-key wants a whole number"],
    [{ partitionKey: "1.5" }, "--partition-key wants a whole number"],
    [{ partitionKey: "" }, "--partition-key wants a whole number"],
    [{ retry: "soon" }, "--retry wants a duration"],
    [{ retry: "-1s" }, "--retry wants a duration"],
    [{ wait: "written" }, '--wait wants none, spooled, synced or delivered, not "written"'],
    [{ wait: "" }, "--wait wants none"],
    [{ timeout: "soon" }, "--timeout wants a duration"],
    [{ files: ["/nonexistent/file"] }, "there is no file /nonexistent/file; nothing was sent"],
    [{ files: ["/"] }, "/ is a directory"],
    [{ socket: undefined, config: "/nonexistent/bruce.toml" }, "/nonexistent/bruce.toml: cannot be read"],
  ];
  for (const [options, words] of cases) {
    test(JSON.stringify(options).slice(0, 60), async () => {
      const { code, said } = await run(options);
      expect({ code, said }).toEqual({ code: 2, said: expect.stringContaining(words) });
      expect(said).toMatch(/^bruce send: [^\n]+\n$/);
    });
  }
});

test("what is well formed goes as far as the daemon that is not there, and exits with 75", async () => {
  for (const options of [{ partitionKey: "+5" }, { partitionKey: -1 }, { delimiter: "\\0" }, { key: "" }]) {
    const { code, said } = await run(options);
    expect({ code, said }).toEqual({ code: 75, said: expect.stringContaining("there is no such socket") });
  }
});
