// A session as the input thread knows it: how many messages of it bruce has, and which connection goes on with it.
import type { SessionMark } from "../spool/queue.ts";
import type { Session } from "../spool/sessions.ts";
import type { Connection } from "./connection.ts";

export class InputSession implements Session, SessionMark {
  readonly id: Buffer;
  readonly idHex: string;
  /** Messages that were appended, or turned away at the input. */
  position = 0;
  lastAt = 0;
  /** No message of it has a higher number. */
  lastNumber: number;
  /** Of its messages, some up to this number are in memory alone, because the disk refused them; 0: none. */
  unspooledTo = 0;
  /** The first of its messages that is not known to be synced; 0: none. */
  unsyncedFrom = 0;
  /** Some of its messages were turned away. */
  soiled = false;
  /** The connection that goes on with it, or one that is gone and from which something still waits for room. */
  owner: Connection | undefined;

  constructor(idHex: string, lastNumber: number) {
    this.id = Buffer.from(idHex, "hex");
    this.idHex = idHex;
    this.lastNumber = lastNumber;
  }

  get hex(): string {
    return this.idHex;
  }

  get inUse(): boolean {
    const { owner } = this;
    return owner !== undefined && (owner.state !== "closed" || owner.intake.holds(owner));
  }
}
