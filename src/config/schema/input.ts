// The settings about the sockets that take messages.
import { address, bool, mode, oneOf, size, text } from "../kinds.ts";
import type { Places } from "../places.ts";
import type { UnixInput, WhenFull } from "../types.ts";
import type { Table, Tables } from "./key.ts";

const whenFull = oneOf<WhenFull>("block", "drop_newest", "drop_oldest");
const MB = 1024 * 1024;

function unixInput(
  about: string,
  input: Pick<UnixInput, "maxMessage" | "whenFull">,
  words: {
    path: (places: Places) => string;
    maxMessage: { most: string; about: string };
    whenFull: string;
  },
): Table<UnixInput> {
  return {
    about,
    keys: {
      enabled: { kind: bool, default: true, about: "Open this socket.", restart: true },
      path: {
        kind: text("a path of 1 to 107 bytes", { empty: false }),
        default: { from: words.path },
        about: "Where the socket's file is. A file left behind by a dead process is replaced, a socket in use is not.",
        restart: true,
      },
      mode: {
        kind: mode,
        default: 0o222,
        about: 'The permissions of that file, whatever the umask: who may write messages; `"0222"` is any local user.',
        restart: true,
      },
      maxMessage: {
        kind: size("64", words.maxMessage.most),
        default: input.maxMessage,
        about: words.maxMessage.about,
      },
      whenFull: { kind: whenFull, default: input.whenFull, about: words.whenFull },
    },
  };
}

export const datagram = unixInput(
  "The UNIX datagram socket: one message in each datagram.",
  { maxMessage: 64 * 1024, whenFull: "drop_newest" },
  {
    path: (places) => places.datagramSocket,
    maxMessage: {
      most: "256k",
      about: "The largest datagram to take; Linux sends at most about 208k unless told otherwise.",
    },
    whenFull:
      "What happens when the buffer is full: new messages are discarded, or senders are made to wait " +
      "(and see EAGAIN if they do not block), or the oldest messages that were never sent are discarded for them.",
  },
);

export const stream = unixInput(
  "The UNIX stream socket: messages back to back.",
  { maxMessage: 16 * MB, whenFull: "block" },
  {
    path: (places) => places.streamSocket,
    maxMessage: {
      most: "1g",
      about:
        "A frame that claims to be larger ends its connection; up to this one above `max_record` is only discarded.",
    },
    whenFull: "What happens when the buffer is full, as for the datagram socket.",
  },
);

export const tcp: Table<Tables["input.tcp"]> = {
  about: "The same as the stream socket over TCP. There is no login: anyone who can connect can write to any topic.",
  keys: {
    enabled: { kind: bool, default: false, about: "Listen.", restart: true },
    listen: {
      kind: address,
      default: { host: "127.0.0.1", port: 9000 },
      about: "The address to listen at; one that is not loopback opens it to the network.",
      restart: true,
    },
    maxMessage: { ...stream.keys.maxMessage },
    whenFull: { ...stream.keys.whenFull },
  },
};
