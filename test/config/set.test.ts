// biome-ignore-all lint/suspicious/noTemplateCurlyInString: that is what is tested
import { expect, test } from "bun:test";
import { errors, load } from "./support.ts";

const set = (...args: string[]) => load("", { set: args, env: { NAME: "x" } });

test("a value is TOML, or else a string", () => {
  expect(set("batch.linger=5ms").batch.linger).toBe(5);
  expect(set('batch.linger="5ms"').batch.linger).toBe(5);
  expect(set(" batch.linger = 5ms ").batch.linger).toBe(5);
  expect(set("batch.messages=7").batch.messages).toBe(7);
  expect(set("http.enabled=false").http.enabled).toBe(false);
  expect(set('kafka.brokers=["a:1", "b:2"]').kafka.brokers).toHaveLength(2);
  expect(set("kafka.brokers=a:1,b:2").kafka.brokers).toHaveLength(2);
  expect(set('input={stream={path="/x"}}').input.stream.path).toBe("/x");
  expect(errors("", { set: ["topics=[{a=1}]"] })).toEqual([
    "--set topics: must be a table: write [topics] and its settings below",
  ]);
  expect(set("log.file=").log.file).toBe("");
  expect(set("log.file=/a=b").log.file).toBe("/a=b");
  expect(set("kafka.client_id=${NAME}").kafka.clientId).toBe("x");
});

test("a number or a boolean is a string where only a string will do", () => {
  expect(set("kafka.client_id=007").kafka.clientId).toBe("007");
  expect(set("kafka.client_id=7").kafka.clientId).toBe("7");
  expect(set("kafka.client_id=true").kafka.clientId).toBe("true");
  expect(set("input.stream.mode=0666").input.stream.mode).toBe(0o666);
});

test("a topic's name may be quoted", () => {
  expect(set('topics."a.b".linger=5ms', "topics.c*.linger=6ms".replace("c*", "'c=*'".replace("=", "")))).toMatchObject({
    topics: [
      { pattern: "a.b", overrides: { linger: 5 } },
      { pattern: "c*", overrides: { linger: 6 } },
    ],
  });
});

test("later ones go over earlier ones, and all over the file, setting by setting", () => {
  const settings = load('[batch]\nlinger = "1ms"\nmessages = 1\nbytes = "1k"', {
    set: ["batch.linger=2ms", "batch.messages=2", "batch.linger=3ms"],
  });
  expect(settings.batch).toMatchObject({ linger: 3, messages: 2, bytes: 1024 });
  expect(load('kafka.acks = "wrong"', { set: ["kafka.acks=all"] }).kafka.acks).toBe("all");
});

test("errors name the argument", () => {
  const messages = (argument: string): string[] => errors("", { set: [argument] });
  const noKey = 'is not a key; write --set KEY=VALUE with a key such as batch.linger or topics."a.b".linger';
  expect(messages("batch.lnger=5ms")).toEqual(['--set batch.lnger: unknown setting; did you mean "linger"?']);
  expect(messages("batch.linger=soon")).toEqual([
    '--set batch.linger: got "soon"; must be a duration from "0" to "1h", such as "500ms", "30s", "15m" or "24h"',
  ]);
  expect(messages("batch.linger")).toEqual(["--set batch.linger: has no value; write --set KEY=VALUE"]);
  expect(messages("=5")).toEqual([`--set: ${noKey}`]);
  expect(messages("batch..linger=5")).toEqual([`--set batch..linger: ${noKey}`]);
  expect(messages('a = 1\n"b"=5')).toEqual(["--set a: unknown setting"]);
  expect(messages("kafka.acks=1")).toEqual([
    '--set kafka.acks: acks = 1 needs idempotence = false: brokers recognise a repeated batch only with acks = "all"',
  ]);
  expect(messages("batch.messages=1\nkafka.acks=2")).toEqual([
    '--set batch.messages: got "1\\nkafka.acks=2"; must be an integer from 0 to 1000000',
  ]);
  expect(messages("batch={lnger=1}")).toEqual(['--set batch: batch.lnger: unknown setting; did you mean "linger"?']);
});
