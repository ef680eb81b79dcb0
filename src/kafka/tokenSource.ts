// The one token that all connections of this process log in with: asked for when it is needed, and again before it ends.
import type { Token, TokenFailure } from "./tokenRequest.ts";

export interface TokenSourceParts {
  /** Rejects with a TokenFailure. */
  request: () => Promise<Token>;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** In [0, 1). */
  random: () => number;
}

/** Of its life, how much of it a token is used before another is asked for; spread, for many hosts begin together. */
const RENEW_FROM = 0.75;
const RENEW_SPREAD = 0.1;
/** After a failure, nobody asks for so long: twice as long with each, all lanes ask for themselves. ms */
const PAUSE = 250;
const PAUSE_AT_MOST = 10_000;

export class TokenSource {
  readonly #parts: TokenSourceParts;
  #token: { value: string; renewAt: number; endsAt: number; refused: boolean } | undefined;
  #asking: Promise<string> | undefined;
  #failures = 0;
  /** Tokens in a row that brokers did not take. */
  #refusals = 0;
  #failure: { error: TokenFailure; until: number } | undefined;

  constructor(parts: TokenSourceParts) {
    this.#parts = parts;
  }

  /** A token that is good now. Those who ask at the same time share one request. Rejects with a TokenFailure. */
  async token(): Promise<string> {
    const now = this.#parts.now();
    const token = this.#token;
    if (token !== undefined && now < token.renewAt) return token.value;
    const stillGood = token !== undefined && now < token.endsAt ? token : undefined;
    if (this.#asking === undefined && this.#failure !== undefined && now < this.#failure.until) {
      if (stillGood !== undefined) return stillGood.value;
      throw this.#failure.error;
    }
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    if (stillGood === undefined) return await this.#asking;
    // An issuer that is away need not be noticed as long as the last token holds.
    return await this.#asking.catch(() => stillGood.value);
  }

  /** A broker did not take it: another is asked for, at once at first, less soon when brokers go on refusing. */
  refused(value: string): void {
    const token = this.#token;
    if (token?.value !== value || token.refused) return;
    const pause = this.#refusals === 0 ? 0 : pauseAfter(this.#refusals, this.#parts.random);
    this.#refusals++;
    const until = Math.min(token.endsAt, this.#parts.now() + pause);
    this.#token = { value, renewAt: until, endsAt: until, refused: true };
  }

  async #ask(): Promise<string> {
    const { request, now, random } = this.#parts;
    try {
      const { value, lifetime = 0 } = await request();
      const share = RENEW_FROM + RENEW_SPREAD * random();
      if (this.#token?.refused !== true) this.#refusals = 0;
      this.#token = { value, renewAt: now() + lifetime * share, endsAt: now() + lifetime, refused: false };
      this.#failures = 0;
      this.#failure = undefined;
      return value;
    } catch (error) {
      this.#failures++;
      this.#failure = { error: error as TokenFailure, until: now() + pauseAfter(this.#failures, random) };
      throw error;
    }
  }
}

/** Between half and all of it, doubling. ms */
function pauseAfter(times: number, random: () => number): number {
  return Math.min(PAUSE_AT_MOST, PAUSE * 2 ** Math.min(times - 1, 10)) * (0.5 + random() / 2);
}
