// A session: the name under which a daemon counts messages of ours, over any number of its lives.

/**
 * What the daemon's position means: where to go on, how many frames are neither there nor here any more, and whether it knows
 * nothing of the ones before.
 */
export interface Resumed {
  next: number;
  lost: number;
  forgot: boolean;
}

/** Between the daemon's count of messages and the numbers of frames. */
export class Session {
  /** SESSION_BYTES chosen at random. */
  readonly id: Buffer;
  /** The frame that is at position 0. */
  #origin: number;
  /** The highest position that the daemon has vouched for. */
  #vouched = 0;

  constructor(id: Buffer, origin: number) {
    this.id = id;
    this.#origin = origin;
  }

  /** Notes that the daemon has every frame before number `to`. */
  vouch(to: number): void {
    this.#vouched = Math.max(this.#vouched, to - this.#origin);
  }

  /**
   * The daemon says how many messages it has. Of the frames, [kept, sent) were sent and are kept; of those before `sure`
   * it is known that a daemon took them.
   */
  resume(position: number, kept: number, sent: number, sure: number): Resumed {
    const had = this.#origin + position;
    if (position === 0 && this.#vouched > 0) {
      // It has forgotten the session, which was idle for too long (or its directory is another one): those it vouched for
      // were its own to keep.
      const lost = sent - Math.min(sent, Math.max(kept, sure));
      return this.#goOn(position, sent, lost, true);
    }
    // Less than it had vouched for: a power cut, or it could not write to its disk for a while.
    if (had < kept) return this.#goOn(position, kept, kept - had);
    return this.#goOn(position, Math.min(had, sent), 0);
  }

  #goOn(position: number, next: number, lost: number, forgot = false): Resumed {
    this.#origin = next - position;
    this.#vouched = position;
    return { next, lost, forgot };
  }
}
