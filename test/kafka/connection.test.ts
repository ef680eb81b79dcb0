import { afterEach, describe, expect, test } from "bun:test";
import type { KafkaConnection, KafkaFailure, KafkaRequest } from "../../src/kafka/connection.ts";
import {
  apiVersionsBody,
  connectionTo,
  METADATA,
  type RawBroker,
  type RawRequest,
  startRawBroker,
} from "./rawBroker.ts";

const started: { stop(): void }[] = [];
const opened: KafkaConnection[] = [];
afterEach(() => {
  for (const connection of opened.splice(0)) connection.destroy();
  for (const broker of started.splice(0)) broker.stop();
});

function broker(onRequest: (request: RawRequest) => void, options?: { raw?: boolean }): RawBroker {
  const raw = startRawBroker(onRequest, options);
  started.push(raw);
  return raw;
}

function prepare(...[port, options]: Parameters<typeof connectionTo>): KafkaConnection {
  const connection = connectionTo(port, options);
  opened.push(connection);
  return connection;
}

async function connect(...[port, options]: Parameters<typeof connectionTo>): Promise<KafkaConnection> {
  const connection = prepare(port, options);
  await connection.connect();
  return connection;
}

/** A request whose answer is text. */
function ask(text: string, more: Partial<KafkaRequest<{ text: string }>> = {}): KafkaRequest<{ text: string }> {
  return {
    apiKey: METADATA,
    apiVersion: 7,
    name: "Ask",
    expectResponse: true,
    parts: () => [Buffer.from(text)],
    decode: (body) => ({ text: body.toString() }),
    ...more,
  };
}

const failureOf = (promise: Promise<unknown>): Promise<KafkaFailure> =>
  promise.then(
    (value) => Promise.reject(new Error(`resolved with ${JSON.stringify(value)}`)),
    (failure: KafkaFailure) => failure,
  );

const echo = (request: RawRequest) => request.respond(request.body);

describe("a connection", () => {
  test("sends the client id and gets the answer", async () => {
    const raw = broker(echo);
    const connection = await connect(raw.port, { clientId: "brücе" });
    expect(connection.open).toBe(true);
    expect(await connection.request(ask("hello"))).toEqual({ text: "hello" });
    expect(raw.requests[0]).toMatchObject({ apiKey: METADATA, apiVersion: 7, clientId: "brücе" });
  });

  test("knows what the broker speaks", async () => {
    const connection = await connect(broker(echo).port);
    expect(connection.supports(0, 8)).toBe(true);
    expect(connection.supports(0, 12)).toBe(false);
    expect(connection.supports(99, 0)).toBe(false);
  });

  test("pipelines: the second request leaves before the first is answered, and answers find their requests", async () => {
    const held: RawRequest[] = [];
    const connection = await connect(
      broker((request) => {
        held.push(request);
        if (held.length === 3) for (const each of held) echo(each);
      }).port,
    );
    const answers = await Promise.all(["a", "b", "c"].map((text) => connection.request(ask(text))));
    expect(answers.map(({ text }) => text)).toEqual(["a", "b", "c"]);
  });

  test("takes answers in whatever pieces they come", async () => {
    const connection = await connect(
      broker((request) => {
        const body = request.body;
        const frame = Buffer.alloc(8 + body.length);
        frame.writeInt32BE(4 + body.length, 0);
        frame.writeInt32BE(request.correlationId, 4);
        body.copy(frame, 8);
        const cut = Number(body.toString("utf8", 0, 2));
        request.write(frame.subarray(0, cut));
        setImmediate(() => request.write(frame.subarray(cut)));
      }).port,
    );
    for (let cut = 1; cut < 14; cut++) {
      const text = `${String(cut).padStart(2, "0")} pieces`;
      expect(await connection.request(ask(text))).toEqual({ text });
    }
  });

  test("writes parts of megabytes byte for byte, with small ones between them", async () => {
    const parts = [
      Buffer.from("head"),
      Buffer.alloc(3_000_000, "x"),
      Buffer.from("mid"),
      Buffer.alloc(2_000_000, "y"),
      Buffer.from("end"),
    ];
    const raw = broker((request) => request.respond(Buffer.from(Bun.hash(request.body).toString())));
    const connection = await connect(raw.port);
    const expected = Bun.hash(Buffer.concat(parts)).toString();
    const asked = [1, 2, 3].map(() => connection.request(ask("", { parts: () => parts })));
    for (const { text } of await Promise.all(asked)) expect(text).toBe(expected);
  });

  test("without an answer to come resolves when the bytes were taken, and goes on", async () => {
    const raw = broker((request) => request.body.length < 10 && echo(request));
    const connection = await connect(raw.port);
    const parts = () => [Buffer.alloc(4_000_000)];
    const silent = ask("", { parts, expectResponse: false, decode: () => ({ text: "written" }) });
    expect(await connection.request(silent)).toEqual({ text: "written" });
    expect(await connection.request(ask("next"))).toEqual({ text: "next" });
    expect(raw.requests[0]?.body).toHaveLength(4_000_000);
  });

  test("without an answer to come rejects when the connection breaks before the bytes were taken", async () => {
    const raw = broker(() => {});
    const connection = await connect(raw.port, { requestTimeout: 60_000 });
    const parts = () => [Buffer.alloc(64_000_000)];
    const silent = connection.request(ask("", { parts, expectResponse: false }));
    connection.destroy();
    expect(await failureOf(silent)).toMatchObject({ kind: "closed" });
  });

  test("a request that cannot be encoded rejects alone", async () => {
    const connection = await connect(broker(echo).port);
    const parts = () => {
      throw new RangeError("too long");
    };
    await expect(connection.request(ask("", { parts }))).rejects.toThrow("too long");
    expect(await connection.request(ask("after"))).toEqual({ text: "after" });
  });
});

describe("a connection that ends", () => {
  test("after a timeout is gone before the rejection is seen; the requests behind it were cut off", async () => {
    const raw = broker(() => {});
    const connection = await connect(raw.port, { requestTimeout: 50 });
    const closed = new Promise<KafkaFailure | undefined>((resolve) => {
      connection.onClose = resolve;
    });
    const first = failureOf(connection.request(ask("first")));
    const second = failureOf(connection.request(ask("second")));
    expect(await first).toMatchObject({ kind: "timeout", broker: `127.0.0.1:${raw.port}` });
    expect(connection.open).toBe(false);
    expect(await second).toMatchObject({ kind: "closed" });
    expect(await closed).toMatchObject({ kind: "timeout" });
    await raw.allClosed();
  });

  test("by the broker in the middle of an answer rejects all in flight as closed", async () => {
    const raw = broker((request) => {
      if (raw.requests.length < 2) return;
      request.write(Buffer.from([0, 0, 1, 0, 0, 0, 0, 1, 1, 2, 3]));
      request.close();
    });
    const connection = await connect(raw.port);
    const both = [failureOf(connection.request(ask("a"))), failureOf(connection.request(ask("b")))];
    for (const failure of await Promise.all(both)) expect(failure).toMatchObject({ kind: "closed" });
    expect(await failureOf(connection.request(ask("late")))).toMatchObject({ kind: "closed" });
  });

  test("by destroy() rejects what is out, closes the socket at once, and does not call onClose", async () => {
    const raw = broker(() => {});
    const connection = await connect(raw.port);
    let closed = false;
    connection.onClose = () => {
      closed = true;
    };
    const out = failureOf(connection.request(ask("out")));
    connection.destroy();
    connection.destroy();
    expect(await out).toMatchObject({ kind: "closed" });
    await raw.allClosed();
    expect(closed).toBe(false);
  });

  test("a second after its request timeout was set is not ended by it, once answered", async () => {
    const connection = await connect(broker(echo).port, { requestTimeout: 30 });
    for (let n = 0; n < 3; n++) {
      expect(await connection.request(ask("x"))).toEqual({ text: "x" });
      await Bun.sleep(20);
    }
    expect(connection.open).toBe(true);
  });

  test("while it connects, by destroy(), rejects connect()", async () => {
    const raw = broker(() => {}, { raw: true });
    const connection = prepare(raw.port);
    const failed = failureOf(connection.connect());
    connection.destroy();
    expect(await failed).toMatchObject({ kind: "closed" });
    expect(await failureOf(connection.connect())).toMatchObject({ kind: "closed" });
  });
});

describe("garbage", () => {
  const i32 = (...values: number[]) => {
    const bytes = Buffer.alloc(values.length * 4);
    for (const [at, value] of values.entries()) bytes.writeInt32BE(value, at * 4);
    return bytes;
  };
  const cases: [string, (request: RawRequest) => void][] = [
    ["a negative size", (request) => request.write(i32(-1, request.correlationId, 0))],
    ["the most negative size", (request) => request.write(i32(-2147483648, request.correlationId))],
    ["a size too small for a correlation id", (request) => request.write(i32(3, request.correlationId))],
    ["a huge size", (request) => request.write(i32(0x7fffffff, request.correlationId))],
    ["a size just beyond the limit", (request) => request.write(i32(64 * 1024 * 1024 + 1, request.correlationId))],
    ["an answer to nothing that was asked", (request) => request.respond(Buffer.from("x"), 4711)],
    ["an HTTP server", (request) => request.write(Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"))],
  ];
  test.each(cases)("%s ends the connection", async (_, respond) => {
    const raw = broker(respond);
    const connection = await connect(raw.port);
    const failed = [failureOf(connection.request(ask("a"))), failureOf(connection.request(ask("b")))];
    expect(await failed[0]).toMatchObject({ kind: "garbage" });
    expect(connection.open).toBe(false);
    expect(await failed[1]).toMatchObject({ kind: "closed" });
    await raw.allClosed();
  });

  test("answers out of order end the connection", async () => {
    const connection = await connect(
      broker((request) => {
        if (request.body.toString() === "b") echo(request);
      }).port,
    );
    const failed = [failureOf(connection.request(ask("a"))), failureOf(connection.request(ask("b")))];
    expect(await failed[0]).toMatchObject({ kind: "garbage" });
    expect(await failed[1]).toMatchObject({ kind: "closed" });
  });

  test("an answer unasked ends the connection", async () => {
    const raw = broker((request) => {
      echo(request);
      request.respond(Buffer.from("again"));
    });
    const connection = await connect(raw.port);
    const closed = new Promise<KafkaFailure | undefined>((resolve) => {
      connection.onClose = resolve;
    });
    expect(await connection.request(ask("a"))).toEqual({ text: "a" });
    expect(await closed).toMatchObject({ kind: "garbage" });
  });

  test("an answer that its decoder refuses ends the connection", async () => {
    const connection = await connect(broker(echo).port);
    const decode = () => {
      throw new Error("count 9999 at byte 4");
    };
    const failure = await failureOf(connection.request(ask("a", { decode })));
    expect(failure).toMatchObject({ kind: "garbage" });
    expect(failure.message).toContain("count 9999 at byte 4");
    expect(connection.open).toBe(false);
  });

  test("an answer larger than its request takes ends the connection", async () => {
    const connection = await connect(broker(echo).port);
    expect(await failureOf(connection.request(ask("0123456789", { maxResponse: 13 })))).toMatchObject({
      kind: "garbage",
    });
  });
});

describe("throttling", () => {
  test("holds new requests back, and only those", async () => {
    const raw = broker(echo);
    const connection = await connect(raw.port);
    const throttle = (throttleTime: number) =>
      ask("x", { decode: () => ({ text: "x", throttleTime }) }) as KafkaRequest<{ text: string }>;
    const before = performance.now();
    await Promise.all([connection.request(throttle(60)), connection.request(ask("in flight"))]);
    expect(connection.throttledUntil).toBeGreaterThanOrEqual(before + 60);
    const held = [connection.request(ask("1")), connection.request(ask("2"))];
    expect(raw.requests).toHaveLength(2);
    expect((await Promise.all(held)).map(({ text }) => text)).toEqual(["1", "2"]);
    expect(performance.now()).toBeGreaterThanOrEqual(connection.throttledUntil);
  });

  test("is over when its time is, also when the clock is put back meanwhile", async () => {
    const connection = await connect(broker(echo).port);
    await connection.request(ask("x", { decode: () => ({ text: "x", throttleTime: 5 }) as { text: string } }));
    const { now } = Date;
    Date.now = () => now() - 3_600_000;
    try {
      expect(await connection.request(ask("1"))).toEqual({ text: "1" });
    } finally {
      Date.now = now;
    }
  });

  test("what is held back rejects when the connection ends", async () => {
    const connection = await connect(broker(echo).port);
    await connection.request(ask("x", { decode: () => ({ text: "x", throttleTime: 60_000 }) as { text: string } }));
    const held = failureOf(connection.request(ask("1")));
    connection.destroy();
    expect(await held).toMatchObject({ kind: "closed" });
  });

  test("for days is not believed", async () => {
    const connection = await connect(broker(echo).port);
    await connection.request(ask("x", { decode: () => ({ text: "x", throttleTime: 0x7fffffff }) as { text: string } }));
    expect(connection.throttledUntil).toBeLessThan(performance.now() + 3_600_000);
  });
});

describe("connect() fails with what to do", () => {
  test("when nothing listens", async () => {
    const raw = startRawBroker(() => {});
    raw.stop();
    const failure = await failureOf(prepare(raw.port).connect());
    expect(failure).toMatchObject({ kind: "connect", broker: `127.0.0.1:${raw.port}` });
    expect(failure.message).toContain("is the broker running");
  });

  test("when the name does not exist", async () => {
    const failure = await failureOf(prepare(9092, { host: "no-such-host.invalid" }).connect());
    expect(failure.kind).toBe("connect");
    expect(failure.message).toMatch(/cannot be resolved|DNS/);
  });

  test("when the broker never answers", async () => {
    const raw = broker(() => {}, { raw: true });
    const failure = await failureOf(prepare(raw.port, { connectTimeout: 50 }).connect());
    expect(failure).toMatchObject({ kind: "connect" });
    expect(failure.message).toContain("ApiVersions took over 50 ms");
    await raw.allClosed();
  });

  test("when the broker closes during ApiVersions", async () => {
    const raw = broker((request) => request.close(), { raw: true });
    const failure = await failureOf(prepare(raw.port).connect());
    expect(failure).toMatchObject({ kind: "connect" });
    expect(failure.message).toContain("TLS port");
  });

  test("when something else than Kafka answers", async () => {
    const raw = broker((request) => request.write(Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")), { raw: true });
    const failure = await failureOf(prepare(raw.port).connect());
    expect(failure).toMatchObject({ kind: "garbage" });
    expect(failure.message).toContain("not a Kafka port");
  });

  test("when ApiVersions is cut short", async () => {
    const raw = broker((request) => request.respond(apiVersionsBody().subarray(0, 15)), { raw: true });
    expect(await failureOf(prepare(raw.port).connect())).toMatchObject({ kind: "garbage" });
    await raw.allClosed();
  });

  test("when ApiVersions has a huge count", async () => {
    const body = Buffer.from([0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    const raw = broker((request) => request.respond(body), { raw: true });
    expect(await failureOf(prepare(raw.port).connect())).toMatchObject({ kind: "garbage" });
  });

  test("when the broker is too old", async () => {
    const old = [
      [0, 0, 7],
      [3, 0, 8],
      [18, 0, 2],
      [22, 0, 1],
    ] as const; // prettier-ignore
    const raw = broker((request) => request.respond(apiVersionsBody(old)), { raw: true });
    const failure = await failureOf(prepare(raw.port).connect());
    expect(failure).toMatchObject({ kind: "unsupported" });
    expect(failure.message).toContain("Produce 0 to 7");
    await raw.allClosed();
  });

  test("when the broker lost what we speak", async () => {
    const future = [
      [0, 9, 20],
      [3, 9, 20],
      [18, 0, 9],
      [22, 5, 9],
    ] as const; // prettier-ignore
    const raw = broker((request) => request.respond(apiVersionsBody(future)), { raw: true });
    expect((await failureOf(prepare(raw.port).connect())).message).toContain("Produce 9 to 20, not 8");
  });

  test("when the login is refused, without the password in any message or log line", async () => {
    const lines: string[] = [];
    const raw = broker(
      (request) => {
        if (request.apiKey === 18) request.respond(apiVersionsBody());
        else if (request.apiKey === 17) request.respond(Buffer.from("\0\0\0\0\0\x01\0\x05PLAIN", "latin1"));
        else request.respond(Buffer.from("\0\x3a\0\x06go off\0\0\0\0\0\0\0\0\0\0\0\0", "latin1"));
      },
      { raw: true },
    );
    const sasl = { mechanism: "plain" as const, username: "bruce", password: "sesame" };
    const log = { debug: (message: string, fields?: object) => lines.push(message + JSON.stringify(fields)) };
    const failure = await failureOf(prepare(raw.port, { sasl, log }).connect());
    expect(failure.kind).toBe("authentication");
    expect(failure.message).toContain("kafka.sasl");
    expect(failure.message + lines.join()).not.toContain("sesame");
  });

  describe("of a token", () => {
    const answer = (reason: string) => (request: RawRequest) => {
      const bytes = Buffer.from(reason);
      const length = Buffer.alloc(4);
      length.writeInt32BE(bytes.length);
      if (request.apiKey === 18) request.respond(apiVersionsBody());
      else if (request.apiKey === 17) request.respond(Buffer.from("\0\0\0\0\0\x01\0\x0bOAUTHBEARER", "latin1"));
      else request.respond(Buffer.concat([Buffer.alloc(4), length, bytes, Buffer.alloc(8)]));
    };
    const login = (refused: string[]) => ({
      mechanism: "oauthbearer" as const,
      oauthBearerProvider: async () => ({ value: "sesame" }),
      refused: (token: string) => void refused.push(token),
    });

    test("when the broker refuses it, which it says without an error code; its source is told", async () => {
      const refused: string[] = [];
      const raw = broker(answer('{"status":"invalid_token","scope":"x"}'), { raw: true });
      const failure = await failureOf(prepare(raw.port, { sasl: login(refused) }).connect());
      expect(failure.kind).toBe("authentication");
      expect(failure.message).toContain("refused the token (invalid_token)");
      expect(failure.message).not.toContain("sesame");
      expect(refused).toEqual(["sesame"]);
    });

    test("not when it takes it", async () => {
      const refused: string[] = [];
      const raw = broker(answer(""), { raw: true });
      await prepare(raw.port, { sasl: login(refused) }).connect();
      expect(refused).toEqual([]);
    });
  });

  test("when the broker offers other mechanisms than ours, with their names", async () => {
    const raw = broker(
      (request) => {
        if (request.apiKey === 18) request.respond(apiVersionsBody());
        else request.respond(Buffer.from("\0\x21\0\0\0\x02\0\x05PLAIN\0\x06GSSAPI", "latin1"));
      },
      { raw: true },
    );
    const sasl = { mechanism: "scram-sha-512", username: "bruce", password: "sesame" } as const;
    const failure = await failureOf(prepare(raw.port, { sasl }).connect());
    expect(failure.kind).toBe("authentication");
    expect(failure.message).toContain("offers PLAIN, GSSAPI on this port, not SCRAM-SHA-512");
  });
});
