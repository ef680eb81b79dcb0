import { expect, test } from "bun:test";
import { type Token, TokenFailure } from "../../src/kafka/tokenRequest.ts";
import { TokenSource } from "../../src/kafka/tokenSource.ts";

/** A source on a clock of its own; requests are answered by the test. */
function bed() {
  const asked: PromiseWithResolvers<Token>[] = [];
  const clock = { now: 1_000_000 };
  const source = new TokenSource({
    request: () => {
      const answer = Promise.withResolvers<Token>();
      asked.push(answer);
      return answer.promise;
    },
    now: () => clock.now,
    random: () => 0,
  });
  const give = (value: string, lifetime?: number) => asked.at(-1)?.resolve({ value, lifetime });
  const refuse = (why: string) => asked.at(-1)?.reject(new TokenFailure(why));
  return { asked, clock, source, give, refuse };
}

test("those who ask at the same time share one request, and all who come later the token", async () => {
  const { asked, clock, source, give } = bed();
  const both = [source.token(), source.token()];
  give("one", 60_000);
  expect(await Promise.all(both)).toEqual(["one", "one"]);
  clock.now += 44_999;
  expect(await source.token()).toBe("one");
  expect(asked).toHaveLength(1);
});

test("another is asked for before it ends", async () => {
  const { asked, clock, source, give } = bed();
  const first = source.token();
  give("one", 60_000);
  await first;
  clock.now += 45_000;
  const second = source.token();
  give("two", 60_000);
  expect(await second).toBe("two");
  expect(asked).toHaveLength(2);
});

test("an issuer that is away goes unnoticed while the last token holds, and not any longer", async () => {
  const { asked, clock, source, give, refuse } = bed();
  const first = source.token();
  give("one", 60_000);
  await first;
  clock.now += 45_000;
  const second = source.token();
  refuse("away");
  expect(await second).toBe("one");
  expect(await source.token()).toBe("one");
  expect(asked).toHaveLength(2);
  clock.now += 15_000;
  const third = source.token();
  refuse("still away");
  await expect(third).rejects.toThrow("still away");
});

test("after a failure all are told so at once, for longer each time; then it is asked again", async () => {
  const { asked, clock, source, give, refuse } = bed();
  for (const pause of [125, 250, 500]) {
    const token = source.token();
    refuse(`refused ${pause}`);
    await expect(token).rejects.toThrow(`refused ${pause}`);
    clock.now += pause - 1;
    await expect(source.token()).rejects.toThrow(`refused ${pause}`);
    clock.now += 1;
  }
  expect(asked).toHaveLength(3);
  const token = source.token();
  give("one", 60_000);
  expect(await token).toBe("one");
});

test("one that a broker refused is replaced at once; when the next is refused too, not at once", async () => {
  const { asked, clock, source, give } = bed();
  const first = source.token();
  give("one", 60_000);
  source.refused(await first);
  const second = source.token();
  give("two", 60_000);
  source.refused(await second);
  source.refused("two");
  source.refused("somebody else's");
  expect(await source.token()).toBe("two");
  expect(asked).toHaveLength(2);
  clock.now += 125;
  const third = source.token();
  give("three", 60_000);
  expect(await third).toBe("three");
});

test("a token of which nobody knows how long it holds is used once", async () => {
  const { asked, source, give } = bed();
  for (const value of ["one", "two"]) {
    const token = source.token();
    give(value, undefined);
    expect(await token).toBe(value);
  }
  expect(asked).toHaveLength(2);
});
