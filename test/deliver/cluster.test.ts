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
function fakeCluster(options: { random?: number; session?: number; bootstrap?: string[] } = {}) {
  const time = manualTime();
  const asked: Asked[] = [];
  const dialled: string[] = [];
  const down = new Set<string>();
  const hanging = new Set<string>();
  const silent = new Set<string>();
  let held: PromiseWithResolvers<void> | undefined;
  /** Holds answers back, and lets them go. */
  const answer = {
    hold() {
      held = Promise.withResolvers();
    },
    go: () => held?.resolve(),
  };
  const topics = new Map<string, number[] | number>();
  /** What brokers by that name say instead. */
  const lagging = new Map<string, typeof topics>();
  /** The leader epoch of a topic's partitions; 0 where there is none. */
  const epochs = new Map<string, number>();
  const name = { is: "c" };
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
      sessionEndsAt: options.session === undefined ? Number.POSITIVE_INFINITY : Date.now() + options.session,
      async connect() {
        dialled.push(to);
        if (down.has(to)) throw new Error(`cannot connect to ${to}`);
        if (hanging.has(to)) await new Promise((_, reject) => (cut = () => reject(new Error("given up"))));
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
        await held?.promise;
        if (silent.has(to)) await new Promise((_, reject) => (cut = () => reject(new Error("given up"))));
        const response: MetadataResponse = {
          brokers: live,
          clusterId: name.is,
          controllerId: 1,
          throttleTime: 0,
          topics: names.map((topic) => {
            const leaders = (lagging.get(to) ?? topics).get(topic) ?? 3;
            if (typeof leaders === "number") return { errorCode: leaders, name: topic, partitions: [] };
            const leaderEpoch = epochs.get(`${topic} ${to}`) ?? epochs.get(topic) ?? 0;
            const partitions = leaders.map((leader, id) => ({ errorCode: 0, id, leader, leaderEpoch }));
            return { errorCode: 0, name: topic, partitions };
          }),
        };
        return response as T;
      },
    };
  }

  const warnings: string[] = [];
  const log = { debug: () => {}, info: () => {}, warn: (message: string) => void warnings.push(message) };
  const kafka = {
    brokers: (options.bootstrap ?? ["boot:9"]).map((each) => {
      const [host = "", port] = each.split(":");
      return { host, port: Number(port) };
    }),
    metadataRefresh: 300_000,
    requestTimeout: 30_000,
    autoCreateTopics: false,
  };
  const cluster = new Cluster({ kafka, log, connect, random: () => options.random ?? 0.5, ...time });
  const changes: string[][] = [];
  cluster.onChange = (names) => void changes.push([...names].sort());
  return {
    ...{
      cluster,
      kafka,
      time,
      asked,
      dialled,
      down,
      hanging,
      silent,
      topics,
      lagging,
      epochs,
      name,
      changes,
      warnings,
      answer,
    },
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

  test("asks for fewer topics at once when they have many partitions", async () => {
    const { cluster, time, asked, topics } = fakeCluster();
    for (let n = 0; n < 250; n++) topics.set(`t${n}`, new Array(100).fill(1));
    cluster.start();
    for (let n = 0; n < 250; n++) cluster.want(`t${n}`);
    await time.pass(1_000);
    cluster.refresh("test");
    await time.pass(1_000);
    expect(asked.map((each) => each.topics.length)).toEqual([250, 100, 100, 50]);
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

  test("is refreshed soon when told to, many calls making one request", async () => {
    const { cluster, time, asked, topics } = fakeCluster();
    topics.set("t", [1]);
    cluster.start();
    cluster.want("t");
    await time.pass(1_000);
    const before = asked.length;
    for (let n = 0; n < 1_000; n++) cluster.refresh("a leader moved");
    await time.pass(1_000);
    expect(asked.slice(before)).toEqual([{ to: "boot:9", topics: ["t"], at: 1_052 }]);
  });

  test("is refreshed at an instant of its own by each host that sees the same trouble", async () => {
    const times = new Set<number>();
    for (let host = 0; host < 10; host++) {
      const { cluster, time, asked } = fakeCluster({ random: host / 10 });
      cluster.start();
      await time.pass(1_000);
      cluster.refresh("a broker closed all connections");
      await time.pass(1_000);
      times.add((asked[1] as Asked).at);
    }
    expect([...times].sort()).toEqual([1002, 1012, 1022, 1032, 1042, 1052, 1062, 1072, 1082, 1092]);
  });

  test("is refreshed less and less while that teaches nothing, and soon again after news", async () => {
    const { cluster, time, asked, topics } = fakeCluster();
    topics.set("t", [1]);
    cluster.start();
    cluster.want("t");
    await time.pass(1_000);
    const trouble = async (ms: number) => {
      const before = asked.length;
      for (let passed = 0; passed < ms; passed += 10) {
        cluster.refresh("a partition cannot be written");
        await time.pass(10);
      }
      return asked.slice(before).map(({ at }) => at);
    };
    // Doubling from backoff to 2 s, and three quarters of that here.
    expect((await trouble(10_000)).length).toBeLessThan(12);
    expect((await trouble(60_000)).length).toBeLessThan(20);
    const late = await trouble(60_000);
    expect(late.length).toBeLessThan(10);
    expect(late.length).toBeGreaterThan(5);
    topics.set("t", [2]);
    await trouble(10_000);
    expect(cluster.topic("t")).toMatchObject({ partitions: [{ leader: 2 }] });
    topics.set("t", [3]);
    await time.pass(30_000);
    await trouble(300);
    expect(cluster.topic("t")).toMatchObject({ partitions: [{ leader: 3 }] });
  });

  test("is asked of another broker when what one says goes on being contradicted", async () => {
    const { cluster, time, topics, lagging } = fakeCluster();
    topics.set("t", [1]);
    cluster.start();
    cluster.want("t");
    await time.pass(1_000);
    lagging.set("boot:9", new Map(topics));
    topics.set("t", [2]);
    for (let passed = 0; passed < 5_000; passed += 10) {
      cluster.refresh("not the leader");
      await time.pass(10);
    }
    expect(cluster.topic("t")).toMatchObject({ partitions: [{ leader: 2 }] });
    expect(cluster.address).not.toBe("boot:9");
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

describe("when the settings change", () => {
  test("another bootstrap list is asked soon, and before the brokers of before", async () => {
    const { cluster, time, asked, dialled, setBrokers } = fakeCluster();
    cluster.start();
    await time.pass(10);
    setBrokers([{ id: 1, host: "other", port: 1 }]);
    cluster.setBootstrap([{ host: "boot", port: 8 }]);
    await time.pass(1_000);
    expect(dialled).toEqual(["boot:9", "boot:8"]);
    expect(asked.at(-1)?.to).toBe("boot:8");
    expect(cluster.brokers()).toEqual([{ id: 1, host: "other", port: 1 }]);
  });

  test("the same bootstrap list in another order changes nothing", async () => {
    const { cluster, time, dialled } = fakeCluster();
    cluster.start();
    await time.pass(10);
    cluster.setBootstrap([{ host: "boot", port: 9 }]);
    await time.pass(1_000);
    expect(dialled).toEqual(["boot:9"]);
  });

  test("where nobody of a new bootstrap list answers, the brokers of before are asked", async () => {
    const { cluster, time, down, dialled } = fakeCluster();
    cluster.start();
    await time.pass(10);
    down.add("nowhere:1").add("nowhere:2");
    cluster.setBootstrap([
      { host: "nowhere", port: 1 },
      { host: "nowhere", port: 2 },
    ]);
    await time.pass(10_000);
    expect(dialled.slice(1, 3).toSorted()).toEqual(["nowhere:1", "nowhere:2"]);
    expect(cluster.failing).toBe(false);
    expect(cluster.address).toStartWith("b");
  });

  test("a new bootstrap list does not wait for the backoff of the old one", async () => {
    const { cluster, time, down, dialled } = fakeCluster();
    down.add("boot:9");
    cluster.start();
    await time.pass(60_000);
    expect(cluster.failing).toBe(true);
    cluster.setBootstrap([{ host: "boot", port: 8 }]);
    await time.pass(300);
    expect(dialled.at(-1)).toBe("boot:8");
    expect(cluster.failing).toBe(false);
  });

  test("an idle connection is closed, and all is asked for on a new one", async () => {
    const fake = fakeCluster();
    const { cluster, time, asked, dialled, topics } = fake;
    topics.set("t", [1]);
    cluster.want("t");
    cluster.start();
    await time.pass(1_000);
    cluster.renewConnection("the password changed");
    expect(fake.open).toBe(0);
    await time.pass(1_000);
    expect(dialled).toHaveLength(2);
    expect(asked.at(-1)?.topics).toEqual(["t"]);
    expect(fake.open).toBe(1);
  });

  test("a connection that is asked on is closed after its answer", async () => {
    const fake = fakeCluster();
    const { cluster, time, asked, dialled, answer } = fake;
    cluster.start();
    answer.hold();
    await time.pass(10);
    expect(asked).toHaveLength(1);
    cluster.renewConnection("the password changed");
    await time.pass(1_000);
    expect(fake.open).toBe(1);
    expect(cluster.brokers()).toHaveLength(0);
    answer.go();
    await time.pass(1_000);
    expect(cluster.brokers()).toHaveLength(3);
    expect(dialled).toHaveLength(2);
    expect(fake.open).toBe(1);
  });

  test("what was captured of the settings is nothing: they are read when needed", async () => {
    const { cluster, time, asked, kafka, topics } = fakeCluster();
    topics.set("t", [1]);
    cluster.start();
    cluster.want("t");
    await time.pass(10);
    kafka.metadataRefresh = 10_000;
    kafka.autoCreateTopics = true;
    cluster.refresh("test");
    await time.pass(60_000);
    expect(asked.length).toBeGreaterThan(5);
    cluster.want("new");
    await time.pass(9_000);
    expect(cluster.topic("new").kind).toBe("unknown");
  });
});

test("a login that ends soon is renewed by a new connection before it is asked again", async () => {
  const { cluster, time, asked, dialled } = fakeCluster({ session: 60_000 });
  cluster.start();
  await time.pass(10);
  cluster.refresh("early");
  await time.pass(50_000);
  expect(asked).toHaveLength(2);
  expect(dialled).toHaveLength(1);
  await time.pass(4_000);
  cluster.refresh("late");
  await time.pass(1_000);
  expect(asked).toHaveLength(3);
  expect(dialled).toHaveLength(2);
});

test("brokers that have all moved are found by the bootstrap list, however many of the old ones hang", async () => {
  const { cluster, time, dialled, hanging, setBrokers } = fakeCluster();
  const thirty = (host: string) => Array.from({ length: 30 }, (_, id) => ({ id, host: `${host}${id}`, port: 1 }));
  setBrokers(thirty("old"));
  cluster.start();
  await time.pass(10);
  setBrokers(thirty("new"));
  for (const { host, port } of thirty("old")) hanging.add(`${host}:${port}`);
  cluster.renewConnection("test");
  await time.pass(60_000);
  expect(cluster.broker(7)?.host).toBe("new7");
  expect(dialled.length).toBeLessThanOrEqual(5);
});

test("one that hangs while connecting is left for another after 3 s", async () => {
  const { cluster, time, asked, hanging } = fakeCluster({ bootstrap: ["one:1", "two:1"] });
  hanging.add("one:1");
  cluster.start();
  await time.pass(4_000);
  expect(asked.map(({ to }) => to)).toEqual(["two:1"]);
});

test("a broker that asks for it is left for the bootstrap list", async () => {
  const { cluster, time, dialled, topics } = fakeCluster();
  topics.set("t", [1]);
  cluster.start();
  cluster.want("t");
  await time.pass(10);
  topics.set("t", 129);
  cluster.renewConnection("so that it is a broker that the cluster named");
  await time.pass(150);
  topics.set("t", [2]);
  await time.pass(1_000);
  expect(dialled.slice(0, 3)).toEqual(["boot:9", expect.stringMatching(/^b\d:/), "boot:9"]);
  expect(cluster.topic("t")).toMatchObject({ partitions: [{ leader: 2 }] });
});

describe("a broker whose picture is older", () => {
  const known = async (options?: Parameters<typeof fakeCluster>[0]) => {
    const fake = fakeCluster(options);
    fake.topics.set("t", [2]);
    fake.epochs.set("t", 7);
    fake.cluster.start();
    fake.cluster.want("t");
    await fake.time.pass(10);
    expect(fake.cluster.topic("t")).toMatchObject({ partitions: [{ leader: 2 }] });
    return fake;
  };
  const leader = ({ cluster }: { cluster: Cluster }) => {
    const state = cluster.topic("t");
    return state.kind === "known" ? state.partitions[0]?.leader : state.kind;
  };

  test("does not move a leader back: another broker is asked", async () => {
    const fake = await known();
    const { cluster, time, epochs, lagging, asked, changes } = fake;
    lagging.set("boot:9", new Map([["t", [1]]]));
    epochs.set("t boot:9", 6);
    cluster.refresh("test");
    await time.pass(10_000);
    expect(leader(fake)).toBe(2);
    expect(changes.flat()).toEqual(["t"]);
    expect(asked.at(-1)?.to).not.toBe("boot:9");
    expect(asked).toHaveLength(3);
  });

  test("is believed when another has the same: the topic was deleted and made again", async () => {
    const fake = await known();
    const { cluster, time, epochs, topics } = fake;
    epochs.set("t", 0);
    topics.set("t", [3]);
    cluster.refresh("test");
    await time.pass(2_500);
    expect(leader(fake)).toBe(3);
    topics.set("t", [1]);
    cluster.refresh("test");
    await time.pass(200);
    expect(leader(fake)).toBe(1);
  });

  test("is believed at once when the topic was gone in between", async () => {
    const fake = await known();
    const { cluster, time, epochs, topics, asked } = fake;
    topics.delete("t");
    cluster.refresh("test");
    await time.pass(200);
    epochs.set("t", 0);
    topics.set("t", [3]);
    await time.pass(6_000);
    expect(leader(fake)).toBe(3);
    expect(asked).toHaveLength(3);
  });

  test("is believed after 5 s when nobody else can be asked", async () => {
    const fake = await known();
    const { cluster, time, epochs, topics, down } = fake;
    for (const each of ["b1:1", "b2:2", "b3:3"]) down.add(each);
    epochs.set("t", 0);
    topics.set("t", [3]);
    cluster.refresh("test");
    await time.pass(20_000);
    expect(leader(fake)).toBe(3);
  });

  test("takes away no partitions; two brokers do", async () => {
    const fake = await known();
    const { cluster, time, lagging, topics } = fake;
    topics.set("t", [2, 2]);
    cluster.refresh("test");
    await time.pass(200);
    lagging.set("boot:9", new Map([["t", [2]]]));
    cluster.refresh("test");
    await time.pass(10_000);
    expect(cluster.topic("t")).toMatchObject({ partitions: [{ id: 0 }, { id: 1 }] });
    topics.set("t", [2]);
    cluster.refresh("test");
    await time.pass(10_000);
    const state = cluster.topic("t");
    expect(state.kind === "known" && state.partitions).toHaveLength(1);
  });

  test("of another cluster is no older one", async () => {
    const fake = await known();
    const { cluster, time, epochs, topics, name } = fake;
    name.is = "another";
    epochs.set("t", 0);
    topics.set("t", [3]);
    cluster.refresh("test");
    await time.pass(200);
    expect(leader(fake)).toBe(3);
  });
});
