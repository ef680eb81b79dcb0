// What a daemon does with the bytes of its stream clients, as small as it can be: for tests of the client. Decodes by the
// grammar in the documentation. What was spooled outlives any number of lives; everything else ends with each of them.
import { encodeResumeReply, encodeSyncReply } from "../../src/wire/receipts.ts";
import { decodeFrames, type Received } from "./streamServerProcess.ts";

/** How a daemon behaves; may be changed at any time. */
export interface Behaviour {
  /** "old": knows neither Sync nor Resume, and discards them; "memory": keeps no sessions. */
  kind: "disk" | "memory" | "old";
  /** The levels of Syncs that it does not answer while it is so. */
  mute: number[];
  /** Of every Sync at that level. */
  status: Partial<Record<number, number>>;
  /** Values that begin with this are discarded at the input; "": none. */
  discards: string;
}

export const DISK: Behaviour = { kind: "disk", mute: [], status: {}, discards: "" };

/** What all lives have in common. */
export class SpoolModel {
  /** Every message that was spooled, in order, once for each time. */
  readonly spooled: Received[] = [];
  readonly sessions = new Map<string, number>();
  /** Syncs and Resumes it was given. */
  questions = 0;
  behaviour: Behaviour;

  constructor(behaviour: Behaviour = DISK) {
    this.behaviour = behaviour;
  }

  get values(): string[] {
    return this.spooled.map(({ value }) => value.toString());
  }

  /** Spools a message, of that session (in hexadecimal) if there is one. */
  take(frame: Buffer, session: string | undefined): void {
    this.spooled.push(...decodeFrames(Buffer.from(frame)));
    this.count(session);
  }

  /** One more message of that session needs not be sent again. */
  count(session: string | undefined): void {
    if (session !== undefined) this.sessions.set(session, (this.sessions.get(session) ?? 0) + 1);
  }
}

/** One connection: bytes in any pieces, answers out. */
export class SpoolConnection {
  readonly #model: SpoolModel;
  #rest = Buffer.alloc(0);
  #session: string | undefined;
  #received = 0;
  #discarded = 0;
  #unanswered: Buffer[] = [];
  /** Called with each message that is spooled. */
  onMessage: (frame: Buffer, session: string | undefined) => void = () => {};

  constructor(model: SpoolModel) {
    this.#model = model;
  }

  /** Takes what came and gives what is to be answered. */
  push(bytes: Uint8Array): Buffer {
    const all = Buffer.concat([this.#rest, bytes]);
    const answers: Buffer[] = [];
    let at = 0;
    while (all.length - at >= 4 && all.length - at >= all.readInt32BE(at)) {
      const frame = all.subarray(at, at + all.readInt32BE(at));
      const answer = this.#take(frame);
      if (answer !== undefined) answers.push(answer);
      at += frame.length;
    }
    this.#rest = Buffer.from(all.subarray(at));
    return Buffer.concat(answers);
  }

  /** Answers what it was mute about. */
  speak(): Buffer {
    const answers = Buffer.concat(this.#unanswered);
    this.#unanswered = [];
    return answers;
  }

  #take(frame: Buffer): Buffer | undefined {
    const { kind, mute, status, discards } = this.#model.behaviour;
    const apiKey = frame.readInt16BE(4);
    if (apiKey === 512 || apiKey === 514) {
      this.#model.questions++;
      if (kind === "old") return undefined;
      if (apiKey === 514) return this.#resume(frame.subarray(10));
      const level = frame.readInt8(10);
      const unable = kind === "memory" && level < 3;
      const delivered = mute.includes(3) ? 0 : this.#received - this.#discarded;
      const answer = encodeSyncReply({
        ...{ level, token: frame.readBigInt64BE(11) },
        status: status[level] ?? (unable ? 2 : this.#discarded > 0 ? 1 : 0),
        ...{ received: this.#received, delivered, discarded: this.#discarded },
      });
      if (!mute.includes(level)) return answer;
      this.#unanswered.push(answer);
      return undefined;
    }
    this.#received++;
    const [message] = decodeFrames(Buffer.from(frame));
    if (message === undefined || (discards !== "" && message.value.toString().startsWith(discards))) {
      this.#discarded++;
      this.#model.count(this.#session);
    } else {
      this.#model.take(frame, this.#session);
      this.onMessage(frame, this.#session);
    }
    return undefined;
  }

  #resume(session: Buffer): Buffer {
    const kept = this.#model.behaviour.kind === "disk";
    if (kept) this.#session = session.toString("hex");
    const position = this.#model.sessions.get(session.toString("hex")) ?? 0;
    return encodeResumeReply({ session, position: kept ? position : 0, status: kept ? 0 : 2 });
  }
}
