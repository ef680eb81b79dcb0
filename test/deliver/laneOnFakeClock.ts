// A lane without sockets or time: connections that do as they are told, and a clock that the test moves.
import { Lane, type LaneParts } from "../../src/deliver/lane.ts";
import type { LaneConnection } from "../../src/deliver/wire.ts";
import type { KafkaFailureKind } from "../../src/kafka/connectionFailure.ts";

export interface FakeConnection extends LaneConnection {
  destroyed: boolean;
  opens(): Promise<void>;
  refuses(kind: KafkaFailureKind, message: string): Promise<void>;
}

export function laneOnFakeClock(parts: Partial<LaneParts> = {}) {
  const connections: FakeConnection[] = [];
  const failures: string[] = [];
  let ready = 0;
  let time = 0;
  let timers: { at: number; callback: () => void }[] = [];
  /** How long the logins of connections made from now on last, ms. */
  const login = { lasts: Number.POSITIVE_INFINITY };

  function connect(): LaneConnection {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const turn = () => new Promise<void>((done) => setImmediate(done));
    const connection: FakeConnection = {
      broker: "broker:9092",
      open: false,
      destroyed: false,
      onClose: undefined,
      sessionEndsAt: Number.POSITIVE_INFINITY,
      throttledUntil: 0,
      connect: () => promise,
      request: () => new Promise(() => {}),
      supports: () => true,
      destroy() {
        Object.assign(connection, { destroyed: true, open: false });
      },
      opens() {
        Object.assign(connection, { open: true, sessionEndsAt: Date.now() + login.lasts });
        resolve();
        return turn();
      },
      refuses(kind, message) {
        reject(Object.assign(new Error(message), { kind }));
        return turn();
      },
    };
    connections.push(connection);
    return connection;
  }

  const lane = new Lane({
    connect,
    settings: { delivery: { backoff: 100, backoffMax: 1_000 } },
    random: () => 0.5,
    after(delay, callback) {
      const timer = { at: time + delay, callback };
      timers.push(timer);
      return () => {
        timers = timers.filter((each) => each !== timer);
      };
    },
    onReady: () => ready++,
    onFailure: (_, why) => failures.push(why),
    ...parts,
  });

  return {
    lane,
    connections,
    failures,
    login,
    get ready() {
      return ready;
    },
    get now() {
      return time;
    },
    get nextTimer() {
      return Math.min(...timers.map(({ at }) => at));
    },
    /** Moves the clock, and has what is due happen. */
    pass(ms: number) {
      time += ms;
      const due = timers.filter(({ at }) => at <= time);
      timers = timers.filter(({ at }) => at > time);
      for (const { callback } of due) callback();
    },
    /** Opens it, and returns its connection. */
    async opened(): Promise<FakeConnection> {
      lane.connection();
      const connection = connections.at(-1) as FakeConnection;
      await connection.opens();
      return connection;
    },
  };
}
