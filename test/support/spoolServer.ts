// A stand-in for a daemon with a disk buffer, as a process of its own that can be killed: what it spooled is in
// DIRECTORY/spool, as the session (16 bytes, zeros for none) and the frame of each message, and is read again at the start.
//
// bun spoolServer.ts DIRECTORY (PATH | PORT) BEHAVIOUR; talks to its parent by messages.
import { closeSync, existsSync, openSync, readFileSync, rmSync, truncateSync, writeSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { type Behaviour, SpoolConnection, SpoolModel } from "./spoolModel.ts";

export type SpoolOrder = { behaviour: Behaviour } | { stalled: boolean };
export type SpoolEvent =
  | { event: "listening"; port: number }
  | { event: "accepted" }
  | { event: "received"; messages: number; bytes: number }
  | { event: "obeyed" };

const [directory = "", place = "", behaviour = ""] = process.argv.slice(2);
const model = new SpoolModel(JSON.parse(behaviour) as Behaviour);
const path = `${directory}/spool`;
load();
const file = openSync(path, "a");
const connections = new Map<Socket, SpoolConnection>();
const tell = (event: SpoolEvent): void => void process.send?.(event);
let stalled = false;
let bytes = 0;

const server = createServer({ allowHalfOpen: true }, (socket) => {
  const connection = new SpoolConnection(model);
  connections.set(socket, connection);
  const gathered: Buffer[] = [];
  connection.onMessage = (frame, session) => gathered.push(Buffer.from(session ?? "0".repeat(32), "hex"), frame);
  socket.on("data", (chunk) => {
    const answers = connection.push(Buffer.from(chunk));
    if (gathered.length > 0) writeSync(file, Buffer.concat(gathered.splice(0)));
    if (answers.length > 0) socket.write(answers);
    bytes += chunk.length;
    tell({ event: "received", messages: model.spooled.length, bytes });
  });
  socket.on("end", () => socket.end());
  socket.on("close", () => connections.delete(socket));
  socket.on("error", () => {});
  if (stalled) socket.pause();
  tell({ event: "accepted" });
});

process.on("message", (order: SpoolOrder) => {
  if ("behaviour" in order) model.behaviour = order.behaviour;
  else stalled = order.stalled;
  for (const [socket, connection] of connections) {
    if (stalled) socket.pause();
    else socket.resume();
    if (model.behaviour.mute.length === 0) socket.write(connection.speak());
  }
  tell({ event: "obeyed" });
});
process.on("disconnect", () => {
  closeSync(file);
  process.exit(0);
});

const listening = (): void => {
  const address = server.address();
  tell({ event: "listening", port: typeof address === "object" ? (address?.port ?? 0) : 0 });
};
if (/^\d+$/.test(place)) server.listen(Number(place), "127.0.0.1", listening);
else {
  rmSync(place, { force: true });
  server.listen(place, listening);
}

/** A record that was cut by a death is none. */
function load(): void {
  if (!existsSync(path)) return;
  const all = readFileSync(path);
  let at = 0;
  while (all.length - at >= 20 && all.length - at >= 16 + all.readInt32BE(at + 16)) {
    const end = at + 16 + all.readInt32BE(at + 16);
    const session = all.toString("hex", at, at + 16);
    model.take(all.subarray(at + 16, end), /^0+$/.test(session) ? undefined : session);
    at = end;
  }
  if (at < all.length) truncateSync(path, at);
}
