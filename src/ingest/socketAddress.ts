// Socket addresses as C wants them: struct sockaddr_un, sockaddr_in and sockaddr_in6.
import { isIP } from "node:net";
import { AF_INET, AF_INET6, AF_UNIX } from "./libc.ts";
import type { HostPort } from "./report.ts";

/** sun_path has 108 bytes, one of them for the zero at its end. */
export const MAX_PATH = 107;
/** Room for any of the three, with sockaddr_un the largest. */
export const ADDRESS_SIZE = 110;

/** Writes the address of a UNIX socket at `at`. Answers its length. */
export function writeUnixAddress(bytes: Buffer, at: number, path: string): number {
  bytes.fill(0, at, at + ADDRESS_SIZE);
  bytes.writeUInt16LE(AF_UNIX, at);
  bytes.write(path, at + 2);
  return 2 + Buffer.byteLength(path) + 1;
}

/** Writes the address of a TCP socket at `at`. Answers its length, or 0 when `host` is no numeric address. */
export function writeTcpAddress(bytes: Buffer, at: number, { host, port }: HostPort): number {
  bytes.fill(0, at, at + ADDRESS_SIZE);
  bytes.writeUInt16BE(port, at + 2);
  switch (isIP(host)) {
    case 4:
      bytes.writeUInt16LE(AF_INET, at);
      bytes.set(host.split(".").map(Number), at + 4);
      return 16;
    case 6:
      bytes.writeUInt16LE(AF_INET6, at);
      bytes.set(ipv6Bytes(host), at + 8);
      return 28;
    default:
      return 0;
  }
}

/** The port in an address of either TCP family. */
export function portAt(bytes: Buffer, at: number): number {
  return bytes.readUInt16BE(at + 2);
}

function ipv6Bytes(host: string): number[] {
  const [head = "", tail] = host.replace(/%.*/, "").split("::");
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  return [...front, ...new Array<number>(16 - front.length - back.length).fill(0), ...back];
}

function groups(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (group.includes(".")) return group.split(".").map(Number);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 255];
  });
}
