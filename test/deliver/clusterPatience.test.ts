// How long the metadata connection waits for name and TCP: also a slow name server answers in the end.
import { expect, test } from "bun:test";
import { ClusterLink, type Connection } from "../../src/deliver/clusterLink.ts";

/** Milliseconds that the name server takes: it asks another one in vain before. */
const NAME_SERVER = 5_000;

for (const count of [1, 2, 3])
  test(`a name server that is slow is waited for in the end, with ${count} to connect to`, async () => {
    const brokers = Array.from({ length: count }, (_, n) => ({ host: `b${n}`, port: 9092 }));
    const connect = (host: string) => {
      const connection = {
        broker: host,
        open: false,
        sessionEndsAt: Number.POSITIVE_INFINITY,
        async connect(within = Number.POSITIVE_INFINITY) {
          if (within < NAME_SERVER) throw new Error(`no answer within ${within} ms`);
          connection.open = true;
        },
        destroy() {},
      };
      return connection as unknown as Connection;
    };
    const link = new ClusterLink(brokers, { connect, now: () => 0, random: () => 0.5, after: () => () => {} });
    const within: string[] = [];
    for (let open = false; !open && within.length < 10; ) {
      await link.open().then(
        () => {
          open = true;
        },
        ({ message }: Error) => {
          within.push(message);
          link.failed();
        },
      );
    }
    expect(within).toEqual([1_000, 2_000, 4_000].map((ms) => `no answer within ${ms} ms`));
    // Once that is known to be over, there is no more patience than at first.
    link.succeeded([]);
    link.failed();
    await link.open().catch(({ message }: Error) => within.push(message));
    expect(within.at(-1)).toBe("no answer within 2000 ms");
  });
