// A client that asks: sends messages, Syncs and a Resume on a stream, and keeps the replies.
import { connect, type Socket } from "node:net";
import { type Reply, type ResumeReply, readReply, type SyncReply } from "../../src/wire/receipts.ts";

export class Asker {
  readonly replies: Reply[] = [];
  /** The server has closed, or reset, the connection. */
  over = false;
  readonly socket: Socket;
  #rest: Buffer = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (data: Buffer) => this.#took(data));
    socket.on("error", () => {});
    for (const event of ["end", "close"]) {
      socket.on(event, () => {
        this.over = true;
      });
    }
  }

  /** `where`: the path of a UNIX socket, or host and port. The client may half-close. */
  static open(where: string | { host: string; port: number }): Promise<Asker> {
    const address = typeof where === "string" ? { path: where } : where;
    return new Promise((resolve, reject) => {
      const socket = connect({ ...address, allowHalfOpen: true });
      socket.once("error", reject);
      socket.once("connect", () => resolve(new Asker(socket)));
    });
  }

  send(...frames: Uint8Array[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  /** Resolves when the system has everything. */
  written(): Promise<void> {
    return new Promise((resolve) => this.socket.write("", () => resolve()));
  }

  get syncs(): SyncReply[] {
    return this.replies.filter((reply) => reply.kind === "sync");
  }

  get resumes(): ResumeReply[] {
    return this.replies.filter((reply) => reply.kind === "resume");
  }

  /** Tokens answered at a level, in order. */
  tokens(level: number): number[] {
    return this.syncs.filter((reply) => reply.level === level).map(({ token }) => Number(token));
  }

  close(): void {
    this.socket.destroy();
  }

  #took(data: Buffer): void {
    let bytes = Buffer.concat([this.#rest, data]);
    for (;;) {
      const reply = readReply(bytes, 0, bytes.length);
      if (reply === "bad") throw new Error("the server has sent what is no reply");
      if (reply === "short") break;
      this.replies.push(reply);
      bytes = bytes.subarray(bytes.readInt32BE(0));
    }
    this.#rest = bytes;
  }
}
