import { expect, test } from "bun:test";
import picocolors from "picocolors";
import { pipeText, terminalText } from "../../src/observe/statusText.ts";
import { sampleStatus } from "./sampleStatus.ts";

const screen = { maxTopics: 10, columns: 100, colours: picocolors.createColors(false) };
const config = sampleStatus().config;

test("nothing is said of a configuration that is in force", () => {
  expect(terminalText(sampleStatus(), undefined, screen)).not.toMatch(/configuration|restart/);
  expect(pipeText(sampleStatus(), undefined)).not.toContain("config");
});

test("a reload that failed and what waits for a restart stand at the top, with what a file can hold made harmless", () => {
  const now = 1_700_000_600_000;
  const status = sampleStatus({
    config: { ...config, error: "b.toml:1:1: x\u001b[2J", failed_at: now - 60_000, restart_needed: ["kafka.acks"] },
  });
  const [, failed, restart] = terminalText(status, undefined, screen).split("\n");
  expect(failed).toBe("  the configuration was not taken over 60 s ago: b.toml:1:1: x\\x1b[2J");
  expect(failed).not.toContain("\u001b");
  expect(restart).toBe("  a restart is needed for kafka.acks");
  expect(pipeText(status, undefined)).toContain("config\ta restart is needed for kafka.acks\n");
});

test("a daemon of an earlier version, which says nothing of it, can be asked all the same", () => {
  const { config: _, ...older } = sampleStatus();
  expect(terminalText(older as ReturnType<typeof sampleStatus>, undefined, screen)).toContain("bruce");
});
