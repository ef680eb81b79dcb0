// The sessions that are remembered: for 24 hours after their last message, the newest 10,000 of them.

/** For the checkpoint: 32 hexadecimal digits, messages of the session, when the last one came (ms since the epoch). */
export type KnownSession = [hex: string, position: number, lastAt: number];

/** Whether an end of a session's messages that was found is later than another: forgotten in between, it began at 0 again. */
export function isLater(position: number, at: number, known: readonly [position: number, lastAt: number]): boolean {
  if (Math.abs(at - known[1]) > KEPT_FOR) return at > known[1];
  return position > known[0];
}

export interface Session {
  readonly hex: string;
  /** How many messages of it have come. */
  position: number;
  /** When the last one came. Milliseconds since the epoch. */
  lastAt: number;
  /** It is not forgotten now. */
  readonly inUse: boolean;
}

const MOST = 10_000;
const KEPT_FOR = 86_400_000;
/** How exact their order is, in milliseconds: moving one up is not for every block. */
const RECENT = 60_000;

export class SessionTable<S extends Session> {
  readonly #create: (hex: string) => S;
  readonly #forget: (session: S) => void;
  readonly #most: number;
  /** Those without messages for longest come first, give or take RECENT. */
  readonly #all = new Map<string, S>();

  /** `most`: kept at once; those in use may be more. */
  constructor(create: (hex: string) => S, forget: (session: S) => void, most = MOST) {
    this.#create = create;
    this.#forget = forget;
    this.#most = most;
  }

  values(): IterableIterator<S> {
    return this.#all.values();
  }

  get size(): number {
    return this.#all.size;
  }

  /** The session of that name, new if it is not known any more. `now`: milliseconds since the epoch. */
  of(hex: string, now: number): S {
    const known = this.#all.get(hex);
    if (known !== undefined) {
      if (known.inUse || !expired(known, now)) return known;
      this.delete(known);
    }
    const session = this.#create(hex);
    session.lastAt = now;
    this.#all.set(hex, session);
    this.#makeRoom(session, now);
    return session;
  }

  /** Messages of it have come. */
  touch(session: S, now: number): void {
    if (now - session.lastAt < RECENT) return;
    session.lastAt = now;
    if (!this.#all.delete(session.hex)) return;
    this.#all.set(session.hex, session);
  }

  delete(session: S): void {
    if (this.#all.get(session.hex) !== session) return;
    this.#all.delete(session.hex);
    this.#forget(session);
  }

  restore(known: Iterable<KnownSession>, now: number): void {
    for (const [hex, position, lastAt] of [...known].sort((one, other) => one[2] - other[2])) {
      if (now - lastAt > KEPT_FOR) continue;
      const session = this.of(hex, now);
      session.position = Math.max(session.position, position);
      session.lastAt = Math.min(lastAt, now);
    }
  }

  /** Those that have had messages. */
  known(now: number): KnownSession[] {
    const known: KnownSession[] = [];
    for (const session of this.#all.values()) {
      if (session.position > 0 && !expired(session, now)) known.push([session.hex, session.position, session.lastAt]);
    }
    return known;
  }

  #makeRoom(newest: S, now: number): void {
    // At most once around: those in use go to the end.
    for (let left = this.#all.size; left > 0; left--) {
      const oldest = this.#all.values().next().value as S;
      if (this.#all.size <= this.#most && !expired(oldest, now)) return;
      if (oldest.inUse || oldest === newest) {
        this.#all.delete(oldest.hex);
        this.#all.set(oldest.hex, oldest);
      } else {
        this.delete(oldest);
      }
    }
  }
}

function expired({ lastAt }: Session, now: number): boolean {
  return now - lastAt > KEPT_FOR;
}
