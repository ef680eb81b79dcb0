import { describe, expect, test } from "bun:test";
import { Cluster } from "../../src/deliver/cluster.ts";
import type { Connection } from "../../src/deliver/clusterLink.ts";
import type { KafkaRequest } from "../../src/kafka/connection.ts";
import type { MetadataResponse } from "../../src/kafka/metadata.ts";

/** Time that passes only when told to. */
function manualTime() {
  let now = 0;
  let timers: { at: number; callback: () => void }[] = [];
  return {
    now: () => now,
    after(delay: number, callback: () => void) {
      const timer = { at: now + delay, callback };
      timers.push(timer);
      return () => {
        timers = timers.filter((each) => each !== timer);
      };
    },
    get timers() {
      return timers.length;
    },
    /** Lets `ms` pass, timer by timer, with everything that follows from each. */
    async pass(ms: number) {
      const end = now + ms;
      await settle();
      for (;;) {
        const next = timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        timers = timers.filter((each) => each !== next);
        now = Math.max(now, next.at);
        next.callback();
        await settle();
      }
      now = end;
    },
  };
}

/** Lets all promises that can settle do so. */
async function settle() {
  for (let n = 0; n < 20; n++) await Promise.resolve();
}

interface Asked {
  to: string;
  topics: string[];
  at: number;
}

/** A cluster of brokers at b1:1, b2:2 … that answers from `topics` (name → leaders, or an error code). */
function fakeCluster(options: { random?: number } = {}) {
  const time = manualTime();
  const asked: Asked[] = [];
  const dialled: string[] = [];
  const down = new Set<string>();
  const silent = new Set<string>();
  const topics = new Map<string, number[] | number>();
  let live = Array.from({ length: 3 }, (_, n) => ({ id: n + 1, host: `b${n + 1}`, port: n + 1 }));
  let open = 0;

  function connect(host: string, port: number): Connection {
    const to = `${host}:${port}`;
    let state = "new";
    let cut = () => {};
    return {
      broker: to,
      get open() {
        return state === "open" && !down.has(to);
      },
      supports: () => true,
      async connect() {
        dialled.push(to);
        if (down.has(to)) throw new Error(`cannot connect to ${to}`);
        state = "open";
        open++;
      },
      destroy() {
        if (state === "open") open--;
        state = "closed";
        cut();
      },
      async request<T>(request: KafkaRequest<T>): Promise<T> {
        const names = namesIn(Buffer.concat(request.parts()));
        asked.push({ to, topics: names, at: time.now() });
        if (down.has(to)) throw new Error(`${to} closed the connection`);
        if (silent.has(to)) await new Promise((_, reject) => (cut = () => reject(new Error("given up"))));
        const response: MetadataResponse = {
          brokers: live,
          clusterId: "c",
          controllerId: 1,
          throttleTime: 0,
          topics: names.map((name) => {
            const leaders = topics.get(name) ?? 3;
            if (typeof leaders === "number") return { errorCode: leaders, name, partitions: [] };
            const partitions = leaders.map((leader, id) => ({ errorCode: 0, id, leader, leaderEpoch: 0 }));
            return { errorCode: 0, name, partitions };
          }),
        };
        return response as T;
      },
    };
  }

  const warnings: string[] = [];
  const log = { debug: () => {}, info: () => {}, warn: (message: string) => void warnings.push(message) };
  const kafka = {
    brokers: [{ host: "boot", port: 9 }],
    metadataRefresh: 300_000,
    requestTimeout: 30_000,
    autoCreateTopics: false,
  };
  const cluster = new Cluster({ kafka, log, connect, random: () => options.random ?? 0.5, ...time });
  const changes: string[][] = [];
  cluster.onChange = (names) => void changes.push([...names].sort());
  return {
    ...{ cluster, time, asked, dialled, down, silent, topics, changes, warnings },
    get open() {
      return open;
    },
    setBrokers(brokers: typeof live) {
      live = brokers;
    },
  };
}

function namesIn(body: Buffer): string[] {
  const names: string[] = [];
  for (let at = 4, left = body.readInt32BE(0); left > 0; left--) {
    const size = body.readInt16BE(at);
    names.push(body.toString("utf8", at + 2, at + 2 + size));
    at += 2 + size;
  }
  return names;
}

describe("the picture of the cluster", () => {
  test("knows brokers and leaders after the first answer, asked of the bootstrap list", async () => {
    const fake = fakeCluster();
    const { cluster, time, topics, changes } = fake;
    topics.set("t", [2, 3, 1]);
    cluster.want("t");
    expect(fake.dialled).toEqual([]);
    cluster.start();
    await time.pass(10);
    expect(fake.asked).toEqual([{ to: "boot:9", topics: ["t"], at: 0 }]);
    expect(cluster.brokers()).toHaveLength(3);
    expect(cluster.broker(2)).toEqual({ id: 2, host: "b2", port: 2 });
    expect(cluster.broker(4)).toBeUndefined();
    expect(cluster.topic("t")).toMatchObject({
      kind: "known",
      partitions: [{ leader: 2 }, { leader: 3 }, { leader: 1 }],
    });
    expect(changes).toEqual([["t"]]);
    expect(cluster.clusterId).toBe("c");
    expect(cluster.address).toBe("boot:9");
    expect(cluster.lastUpdated).toBeGreaterThan(0);
  });

  test("asks for hundreds of new topics in one request", async () => {
    const { cluster, time, asked } = fakeCluster();
    cluster.start();
    await time.pass(100);
    for (let n = 0; n < 700; n++) cluster.want(`t${n}`);
    await time.pass(100);
    expect(asked.slice(1).map(({ topics }) => topics.length)).toEqual([700]);
  });

  test("asks for thousands in requests of a thousand, one after the other", async () => {
    const { cluster, time, asked } = fakeCluster();
    cluster.start();
    await time.pass(100);
    for (let n = 0; n < 2_500; n++) cluster.want(`t${n}`);
    await time.pass(100);
    expect(asked.slice(1).map(({ topics }) => topics.length)).toEqual([1000, 1000, 500]);
  });

  test("is refreshed every metadata_refresh, give or take 10 %", async () => {
    for (const [random, expected] of [
      [0, 270_000],
      [0.5, 300_000],
      [0.999999, 330_000],
    ] as const) {
      // prettier-ignore
      const { cluster, time, asked, topics } = fakeCluster({ random });
      topics.set("t", [1]);
      cluster.want("t");
      cluster.start();
      await time.pass(340_000);
      const full = asked.filter(({ at }) => at > 1_000);
      expect(full[0]?.at).toBeCloseTo(expected, -1);
      cluster.stop();
    }
  });

  test("is refreshed soon when told to, many calls making one request, never more often than the backoff", async () => {
    const { cluster, time, asked, topics } = fakeCluster();
    topics.set("t", [1]);
    cluster.start();
    cluster.want("t");
    await time.pass(1_000);
    const before = asked.length;
    for (let n = 0; n < 1_000; n++) {
      cluster.refresh("a leader moved");
      if (n % 100 === 0) await time.pass(10);
    }
    await time.pass(500);
    const later = asked.slice(before);
    expect(later[0]).toEqual({ to: "boot:9", topics: ["t"], at: 1_002 });
    expect(later).toHaveLength(2);
    expect((later[1] as Asked).at - (later[0] as Asked).at).toBeGreaterThanOrEqual(100);
  });

  test("says which topics changed, and nothing after stop()", async () => {
    const fake = fakeCluster();
    const { cluster, time, topics, changes } = fake;
    for (const name of ["a", "b"]) topics.set(name, [1]);
    cluster.start();
    for (const name of ["a", "b", "c"]) cluster.want(name);
    await time.pass(100);
    topics.set("b", [2]);
    cluster.refresh("test");
    await time.pass(200);
    expect(changes).toEqual([["a", "b", "c"], ["b"]]);
    expect(cluster.topic("c")).toMatchObject({ kind: "missing" });
    cluster.stop();
    expect(fake.open).toBe(0);
    topics.set("b", [3]);
    cluster.refresh("test");
    cluster.want("d");
    await time.pass(1_000_000);
    expect(changes).toHaveLength(2);
    expect(time.timers).toBe(0);
  });

  test("is not told by an answer that comes after stop()", async () => {
    const { cluster, time, changes } = fakeCluster();
    cluster.start();
    const passing = time.pass(0);
    cluster.stop();
    await passing;
    expect(changes).toEqual([]);
    expect(time.timers).toBe(0);
  });
});

describe("asking somebody else", () => {
  test("goes on to another broker when one fails, with backoff, and to the bootstrap list last", async () => {
    const fake = fakeCluster();
    const { cluster, time, dialled, down, warnings } = fake;
    cluster.start();
    await time.pass(10);
    for (const each of ["b1:1", "b2:2", "b3:3", "boot:9"]) down.add(each);
    cluster.refresh("test");
    await time.pass(60_000);
    const tried = dialled.slice(1);
    expect(tried.slice(0, 3).toSorted()).toEqual(["b1:1", "b2:2", "b3:3"]);
    expect(tried[3]).toBe("boot:9");
    expect(tried.slice(4, 7).toSorted()).toEqual(["b1:1", "b2:2", "b3:3"]);
    expect(warnings).toHaveLength(1);
    expect(cluster.failures).toBe(tried.length);
    // At most 5 s apart, and not without pause.
    expect(tried.length).toBeGreaterThan(12);
    expect(tried.length).toBeLessThan(30);
    down.delete("b2:2");
    await time.pass(60_000);
    expect(cluster.address).toBe("b2:2");
    expect(fake.open).toBe(1);
  });

  test("leaves a broker that is silent after 10 s, and asks for the same topics", async () => {
    const { cluster, time, asked, silent, topics } = fakeCluster();
    topics.set("t", [1]);
    cluster.start();
    await time.pass(10);
    silent.add("boot:9");
    cluster.want("t");
    await time.pass(11_000);
    expect(asked.slice(1).map(({ topics: names }) => names)).toEqual([["t"], ["t"]]);
    expect(asked[2]?.to).not.toBe("boot:9");
    expect(cluster.topic("t").kind).toBe("known");
  });

  test("follows brokers that change their address", async () => {
    const { cluster, time, setBrokers, changes, down } = fakeCluster();
    cluster.start();
    await time.pass(10);
    setBrokers([{ id: 1, host: "elsewhere", port: 7 }]);
    cluster.refresh("test");
    await time.pass(200);
    expect(cluster.brokers()).toEqual([{ id: 1, host: "elsewhere", port: 7 }]);
    expect(changes).toHaveLength(2);
    down.add("boot:9");
    cluster.refresh("test");
    await time.pass(1_000);
    expect(cluster.address).toBe("elsewhere:7");
  });

  test("an answer without brokers is none", async () => {
    const { cluster, time, setBrokers, topics } = fakeCluster();
    topics.set("t", [1]);
    cluster.start();
    cluster.want("t");
    await time.pass(10);
    setBrokers([]);
    cluster.refresh("test");
    await time.pass(1_000);
    expect(cluster.brokers()).toHaveLength(3);
    expect(cluster.topic("t")).toMatchObject({ kind: "known", partitions: [{ leader: 1 }] });
    expect(cluster.failures).toBeGreaterThan(0);
  });
});

describe("a topic seen before that is gone", () => {
  test("is asked of a second broker before it counts as missing", async () => {
    const { cluster, time, asked, topics, down } = fakeCluster();
    topics.set("t", [1]);
    cluster.start();
    cluster.want("t");
    await time.pass(10);
    down.add("boot:9");
    cluster.refresh("so that the broker asked is one with an id");
    await time.pass(1_000);
    const first = cluster.address;
    topics.delete("t");
    cluster.refresh("test");
    await time.pass(59_000);
    expect(cluster.topic("t").kind).toBe("known");
    expect(cluster.address).toBe(first);
    await time.pass(10_000);
    expect(cluster.topic("t").kind).toBe("missing");
    expect(cluster.address).not.toBe(first);
    const forTopic = asked.filter(({ topics: names, at }) => names.includes("t") && at > 1_010).map(({ at }) => at);
    for (const [n, at] of forTopic.slice(1).entries()) {
      expect(at - (forTopic[n] as number)).toBeGreaterThanOrEqual(5_000);
    }
  });

  test("still counts as there when no second broker can be asked", async () => {
    const { cluster, time, topics, down } = fakeCluster();
    topics.set("t", [1]);
    cluster.start();
    cluster.want("t");
    await time.pass(10);
    for (const each of ["b2:2", "b3:3", "boot:9"]) down.add(each);
    cluster.refresh("test");
    await time.pass(20_000);
    expect(cluster.address).toBe("b1:1");
    topics.delete("t");
    cluster.refresh("test");
    await time.pass(300_000);
    expect(cluster.topic("t").kind).toBe("known");
  });
});
