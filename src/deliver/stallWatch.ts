// Watches the answers of one broker. Kafka answers a connection in order, and a produce request with acks = all when all its
// partitions are replicated: one follower that is frozen keeps everything on that connection waiting, until it falls out
// of the in-sync replicas or the request times out.
//
// When the fast lane's oldest request is late, the lanes therefore swap their connections: what is in flight waits on in the
// slow lane, everything else goes on. That is all there is to do without idempotence, or when everything that is in flight has
// its copies on the same brokers. Otherwise those that only share the connection with the culprit are cut loose, once
// the broker has shown on its other connection that it is well: the late one is cut, and each replica set is sent again on
// the slow lane, the same batches under the same sequences, in a request of its own (see trial.ts). One that is answered
// returns to the fast lane; one that is not waits there when all others have had their turn.
import type { Settings } from "../config/settings.ts";
import { type After, afterDelay } from "./after.ts";
import { backoffDelay } from "./backoff.ts";
import type { Broker } from "./broker.ts";
import type { Lane } from "./lane.ts";
import type { Outbox } from "./outbox.ts";
import type { ReplicaSet } from "./replicaSet.ts";
import { Trial } from "./trial.ts";
import type { Flight, Wire } from "./wire.ts";

export interface StallWatchParts {
  settings: {
    readonly kafka: Pick<Settings["kafka"], "idempotence">;
    readonly delivery: Pick<Settings["delivery"], "backoff" | "backoffMax">;
  };
  /** Milliseconds, monotonic. */
  now: () => number;
  random: () => number;
  after?: After;
  refreshMetadata: (why: string) => void;
  /** Sends something that a broker that is well answers at once. Resolves when it did; rejects when the connection ended. */
  ping: (wire: Wire) => Promise<unknown>;
  /** Whether a broker of that id keeps us waiting now. */
  keepsWaiting: (brokerId: number) => boolean;
  /** What stands in line may have to stand in the other. */
  onJudged: (broker: Broker) => void;
  onStall: (broker: Broker, what: { waited_ms: number; replicas: string[]; tried: boolean }) => void;
}

/** A request must be seen to be late twice, so far apart: an answer may be there that we had no time to look at. ms */
const SURE_AFTER = 30;
/** How often to look at what is late, ms. */
const LOOK_AGAIN = 100;
/** The leader moves when the cluster has noticed: it is asked at once, then after these ms, doubling. */
const ASK_APART = 1_000;
/** What is cut loose is sent again, which costs the broker: so at most once in so many ms, doubling while it is of no use. */
const CUT_APART = 2_000;
const CUT_APART_AT_MOST = 300_000;
/** What is stuck gives way to what else is stuck after so many ms, doubling until there is an answer: that may be well again. */
const TURN = 5_000;
/** What is tried should be answered at once, so it gets less time than the others. */
const TRIAL_SHARE = 1 / 2;

export class StallWatch {
  readonly #broker: Broker;
  readonly #parts: Required<StallWatchParts>;
  #cancelLook = () => {};
  /** When it looks next; Infinity: there is nothing to look at. */
  #lookAt = Number.POSITIVE_INFINITY;
  #stopped = false;
  #trial: Trial | undefined;
  #lastCut = Number.NEGATIVE_INFINITY;
  #cutApart = CUT_APART;
  #madeRoomAt = Number.NEGATIVE_INFINITY;
  #turn = TURN;
  #pinged: Wire | undefined;
  #asked = 0;
  #askAt = Number.NEGATIVE_INFINITY;

  constructor(broker: Broker, parts: StallWatchParts) {
    this.#broker = broker;
    this.#parts = { after: afterDelay, ...parts };
  }

  /** A request was sent. */
  sent(flight: Flight): void {
    const at = flight.sentAt + this.#patience(flight);
    if (this.#stopped || at >= this.#lookAt) return;
    this.#cancelLook();
    this.#lookAfter(at - flight.sentAt);
  }

  /** The broker said something on one of its connections. */
  heard(): void {
    if (this.#broker.lanes.some((lane) => lane.late)) this.#look();
  }

  /** A request was answered, after `took` ms. */
  answered(flight: Flight, took: number): void {
    this.#broker.answerTime.add(took);
    if (flight.wire.lane === this.#broker.slow) this.#turn = TURN;
    // Also one that has been late in vain: what failed may now wait behind what comes after it, or need not any more.
    let changed = flight.late;
    for (const set of flight.sets) {
      if (flight.late) this.#broker.judge(set, "suspect");
      else if (set.pace !== "quick") {
        this.#trial?.answered(set);
        this.#broker.judge(set, "quick");
        changed = true;
      }
    }
    if (changed) this.#parts.onJudged(this.#broker);
    this.heard();
  }

  /** It was given up. */
  timedOut({ sets }: Flight): void {
    for (const set of sets) if (set.pace === "quick") this.#broker.judge(set, "suspect");
    this.#parts.onJudged(this.#broker);
  }

  /** Which of those in the slow lane's line are next: what failed, then what is to be tried, then what is stuck. */
  next(line: readonly Outbox[]): ReplicaSet | undefined {
    let best: ReplicaSet | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (const set of new Set(line.map(({ partition }) => this.#broker.setOf(partition)))) {
      const rank = this.#rank(set);
      if (rank < least) [best, least] = [set, rank];
    }
    return best;
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelLook();
  }

  #rank(set: ReplicaSet): number {
    switch (set.pace) {
      case "quick":
        return 0;
      case "suspect": {
        const silent = set.followers.filter((id) => this.#parts.keepsWaiting(id)).length;
        // One that has no followers waits for nobody.
        return 1 + (this.#trial?.suspicion(set) ?? 0) * 100 + silent * 10 + Math.min(1, set.followers.length);
      }
      case "stuck":
        return 1e6;
    }
  }

  #lookAfter(delay: number): void {
    this.#lookAt = this.#parts.now() + delay;
    this.#cancelLook = this.#parts.after(delay, () => this.#look());
  }

  #look(): void {
    this.#cancelLook();
    this.#lookAt = Number.POSITIVE_INFINITY;
    if (this.#stopped) return;
    const { fast, slow, lanes } = this.#broker;
    const now = this.#parts.now();
    if (this.#isLate(fast, now)) this.#takeOff(fast.wire as Wire, now);
    if (this.#isLate(slow, now)) this.#passOver(slow.wire as Wire, now);
    if (lanes.some((lane) => lane.late)) this.#askForMetadata(now);
    else this.#asked = 0;
    const next = Math.min(...lanes.map((lane) => this.#untilNextLook(lane, now)));
    if (next < Number.POSITIVE_INFINITY) this.#lookAfter(next);
  }

  #untilNextLook({ wire, late }: Lane, now: number): number {
    const [oldest] = wire?.flights ?? [];
    if (wire === undefined || oldest === undefined) return Number.POSITIVE_INFINITY;
    return late ? LOOK_AGAIN : Math.max(SURE_AFTER, this.#patience(oldest) - wire.waited(now));
  }

  #patience({ sets }: Flight): number {
    const { patience } = this.#broker.answerTime;
    if (this.#trial === undefined) return patience;
    for (const set of sets) if (!this.#trial.has(set)) return patience;
    return patience * TRIAL_SHARE;
  }

  #isLate({ wire }: Lane, now: number): boolean {
    const [oldest] = wire?.flights ?? [];
    if (wire === undefined || oldest === undefined) return false;
    if (oldest.late) return true;
    if (wire.waited(now) < this.#patience(oldest)) return false;
    oldest.seemsLateSince ??= now;
    oldest.late = now - oldest.seemsLateSince >= SURE_AFTER;
    return oldest.late;
  }

  /** The fast lane's oldest request is late. */
  #takeOff(wire: Wire, now: number): void {
    const { fast, slow } = this.#broker;
    if (slow.unreachable) return;
    if (slow.inFlight > 0) {
      // What is stuck there can as well wait in line, but not without end: each time, it is sent again.
      if (!slow.late || !this.#mayCut(now) || now - this.#madeRoomAt < CUT_APART) return;
      this.#madeRoomAt = now;
      slow.cut();
    }
    const sets = [...wire.sets()];
    const replicas = sets.map((set) => [this.#broker.id, ...set.followers].join());
    this.#parts.onStall(this.#broker, { waited_ms: Math.round(wire.waited(now)), replicas, tried: this.#mayCut(now) });
    // One of several is the culprit. The others are many: until that is known, what of them is not in flight goes on.
    if (sets.length === 1) for (const set of sets) this.#broker.judge(set, "suspect");
    fast.swapWith(slow);
    this.#parts.onJudged(this.#broker);
  }

  /** The slow lane's oldest request is late. */
  #passOver(wire: Wire, now: number): void {
    const { slow } = this.#broker;
    const [first, ...others] = wire.flights[0]?.sets ?? [];
    const culprit = others.length === 0 ? first : undefined;
    const free = this.#othersWait(wire, culprit);
    if (free && !this.#isWell(wire, now)) return;
    const tried = culprit !== undefined && this.#trial?.has(culprit) === true;
    if (culprit?.pace === "suspect") {
      this.#broker.judge(culprit, "stuck");
      this.#trial?.fails(culprit);
      if (this.#trial?.over) this.#giveUp(this.#trial);
      // What failed, and stands behind it, has no reason to wait.
      this.#parts.onJudged(this.#broker);
    }
    if (!this.#parts.settings.kafka.idempotence) return;
    if (!free) {
      if (culprit === undefined || wire.waited(now) < this.#turn) return;
      if (!slow.line.some(({ partition }) => this.#broker.setOf(partition) !== culprit)) return;
      if (!this.#isWell(wire, now)) return;
      this.#turn *= 2;
    } else if (!tried) {
      if (!this.#mayCut(now)) return;
      this.#begin(wire, culprit, now);
    } else if (this.#trial?.over) return;
    slow.cut();
    this.#parts.onJudged(this.#broker);
  }

  /** Whether anything that may be well waits in or behind the oldest request, or stands in line behind it. */
  #othersWait(wire: Wire, culprit: ReplicaSet | undefined): boolean {
    for (const set of wire.sets()) if (set !== culprit && set.pace !== "stuck") return true;
    const { slow } = this.#broker;
    return slow.line.some(({ partition }) => {
      const set = this.#broker.setOf(partition);
      return set !== culprit && set.pace === "suspect";
    });
  }

  /** Whether the broker answers on its other connection, while this one waits. If nothing is to be sent there, it is asked. */
  #isWell(late: Wire, now: number): boolean {
    const { fast } = this.#broker;
    if (fast.connection() === undefined) return false;
    const wire = fast.wire as Wire;
    if (wire.heardAt > late.waitsSince(now)) return true;
    if (wire.flights.length > 0 || this.#pinged === wire) return false;
    this.#pinged = wire;
    const answered = () => {
      this.#pinged = undefined;
      wire.heardAt = this.#parts.now();
      this.heard();
    };
    this.#parts.ping(wire).then(answered, () => {
      this.#pinged = undefined;
    });
    return false;
  }

  #mayCut(now: number): boolean {
    if (!this.#parts.settings.kafka.idempotence) return false;
    return now - this.#lastCut >= this.#nextCutApart();
  }

  #nextCutApart(): number {
    if (this.#trial === undefined || this.#trial.useful) return CUT_APART;
    return Math.min(this.#cutApart * 2, CUT_APART_AT_MOST);
  }

  /** All that is on the wire is to be tried, but for what makes up its oldest request by itself: that has been. */
  #begin(wire: Wire, culprit: ReplicaSet | undefined, now: number): void {
    this.#cutApart = this.#nextCutApart();
    this.#lastCut = now;
    for (const set of wire.sets()) if (set.pace === "quick") this.#broker.judge(set, "suspect");
    this.#trial = new Trial([...this.#broker.sets()].filter((set) => set === culprit || set.pace === "suspect"));
    if (culprit === undefined) return;
    this.#broker.judge(culprit, "stuck");
    this.#trial.fails(culprit);
  }

  /** The broker itself is slow, as far as can be seen. */
  #giveUp(trial: Trial): void {
    for (const set of this.#broker.sets()) if (trial.has(set)) this.#broker.judge(set, "stuck");
  }

  #askForMetadata(now: number): void {
    if (now < this.#askAt && this.#asked > 0) return;
    this.#asked++;
    const { random, settings, refreshMetadata } = this.#parts;
    this.#askAt = now + backoffDelay(this.#asked, ASK_APART, Math.max(ASK_APART, settings.delivery.backoffMax), random);
    refreshMetadata("a broker is slow to answer");
  }
}
