// Some requests to a broker are late together: which of their replica sets is to blame? They are tried one by one, those first
// that have least in common with those that failed. Pure.
import type { ReplicaSet } from "./replicaSet.ts";

/** After so many that failed, and none that did not, it is the broker itself that is slow. */
const ALL_FAILED = 3;
/** Trying costs time and traffic: it ends after so many that failed. */
const MOST_FAILED = 8;

export class Trial {
  readonly #untried: Set<ReplicaSet>;
  #freed = 0;
  #failed = 0;
  /** Followers of those that were answered, and of those that were not. */
  readonly #cleared = new Set<number>();
  readonly #blamed = new Set<number>();

  constructor(sets: Iterable<ReplicaSet>) {
    this.#untried = new Set(sets);
  }

  has(set: ReplicaSet): boolean {
    return this.#untried.has(set);
  }

  /** Nothing is gained by trying more of them. */
  get over(): boolean {
    return this.#failed >= (this.#freed === 0 ? ALL_FAILED : MOST_FAILED);
  }

  /** It told some that are well from some that are not. */
  get useful(): boolean {
    return this.#freed > 0 && this.#failed > 0;
  }

  answered(set: ReplicaSet): void {
    if (!this.#untried.delete(set)) return;
    this.#freed++;
    for (const id of set.followers) {
      this.#cleared.add(id);
      this.#blamed.delete(id);
    }
  }

  fails(set: ReplicaSet): void {
    if (!this.#untried.delete(set)) return;
    this.#failed++;
    for (const id of set.followers) if (!this.#cleared.has(id)) this.#blamed.add(id);
  }

  /** How many of its followers may be those that do not copy. */
  suspicion({ followers }: ReplicaSet): number {
    return followers.filter((id) => this.#blamed.has(id)).length;
  }
}
