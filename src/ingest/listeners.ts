// Opens the sockets on which messages come: UNIX datagram, UNIX stream, TCP.
import { chmodSync, existsSync, fchmodSync } from "node:fs";
import { dirname } from "node:path";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  EACCES,
  EADDRINUSE,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  ENOENT,
  ENOTDIR,
  EPERM,
  EROFS,
  errnoName,
  type Libc,
  type Memory,
  SO_REUSEADDR,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
} from "./libc.ts";
import type { HostPort, IngestFailure, TcpInputOptions, UnixInputOptions } from "./report.ts";
import { ADDRESS_SIZE, portAt, writeTcpAddress, writeUnixAddress } from "./socketAddress.ts";
import {
  fileFailure,
  freePlace,
  inUse,
  noDirectory,
  notWritable,
  type SocketFile,
  socketFileAt,
} from "./socketFile.ts";

/** Connections that may wait to be accepted. The kernel cuts it to net.core.somaxconn. */
const BACKLOG = 1024;

export interface UnixListener {
  fd: number;
  file: SocketFile;
}

export interface TcpListener {
  fd: number;
  address: HostPort;
}

type Opened<T> = { opened: T } | { failure: IngestFailure };

/** Opens a UNIX socket of either type; a stream one listens. Its file has exactly `mode`, and never more than that. */
export function openUnix(libc: Libc, memory: Memory, type: number, options: UnixInputOptions): Opened<UnixListener> {
  const { path, mode } = options;
  const taken = freePlace(libc, memory, path, type, options.makeDirectory);
  if (taken !== undefined) return { failure: taken };
  const fd = libc.socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return { failure: systemFailure(libc.errno(), path) };
  try {
    // Linux makes the file with the socket's own permissions less the umask. Setting them before the bind leaves no
    // moment at which others may write, and needs no change of the umask, which belongs to the whole process.
    fchmodSync(fd, mode);
    const at = memory.allocate(ADDRESS_SIZE);
    if (libc.bind(fd, memory.address(at), writeUnixAddress(memory.bytes, at, path)) !== 0) {
      return given(libc, fd, bindFailure(libc.errno(), path));
    }
    chmodSync(path, mode);
    const file = socketFileAt(path);
    if (type === SOCK_STREAM && libc.listen(fd, BACKLOG) !== 0) {
      return given(libc, fd, systemFailure(libc.errno(), path));
    }
    return { opened: { fd, file } };
  } catch (error) {
    return given(libc, fd, fileFailure(error, path, "be given its permissions"));
  }
}

/** Opens a TCP socket that listens. Port 0 means any free one; the address tells which. */
export function openTcp(libc: Libc, memory: Memory, options: TcpInputOptions): Opened<TcpListener> {
  const { host } = options;
  const path = `${host.includes(":") ? `[${host}]` : host}:${options.port}`;
  const at = memory.allocate(ADDRESS_SIZE);
  const length = writeTcpAddress(memory.bytes, at, options);
  if (length === 0) return { failure: addressFailure(path, "it is no address") };
  const family = host.includes(":") ? AF_INET6 : AF_INET;
  const fd = libc.socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return { failure: tcpFailure(libc.errno(), path) };
  const one = memory.allocate(4);
  memory.bytes.writeInt32LE(1, one);
  // Without it, a restart would wait for the old connections' time in TIME_WAIT.
  libc.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, memory.address(one), 4);
  if (libc.bind(fd, memory.address(at), length) !== 0 || libc.listen(fd, BACKLOG) !== 0) {
    return given(libc, fd, tcpFailure(libc.errno(), path));
  }
  memory.bytes.writeInt32LE(ADDRESS_SIZE, one);
  if (libc.getsockname(fd, memory.address(at), memory.address(one)) !== 0) {
    return given(libc, fd, tcpFailure(libc.errno(), path));
  }
  return { opened: { fd, address: { host, port: portAt(memory.bytes, at) } } };
}

export const DATAGRAM = SOCK_DGRAM;
export const STREAM = SOCK_STREAM;

function given(libc: Libc, fd: number, failure: IngestFailure): { failure: IngestFailure } {
  libc.close(fd);
  return { failure };
}

function bindFailure(errno: number, path: string): IngestFailure {
  switch (errno) {
    case EADDRINUSE:
      return inUse(path); // another process was faster between our look and our bind
    case EACCES:
    case EPERM:
    case EROFS:
      return notWritable(path, errnoName(errno));
    case ENOENT:
    case ENOTDIR:
      // /proc, for one, is there and takes no files.
      return existsSync(dirname(path)) ? notWritable(path, errnoName(errno)) : noDirectory(path);
    default:
      return systemFailure(errno, path);
  }
}

function tcpFailure(errno: number, path: string): IngestFailure {
  switch (errno) {
    case EADDRINUSE: {
      const message = `port in use: another process listens on ${path}; stop that one, or choose another port`;
      return { kind: "port_in_use", message, path };
    }
    case EACCES:
    case EPERM: {
      const message = `this user may not listen on ${path}: choose a port above 1023`;
      return { kind: "not_permitted", message, path };
    }
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
      return addressFailure(path, "no interface of this machine has that address");
    default:
      return systemFailure(errno, path);
  }
}

function addressFailure(path: string, why: string): IngestFailure {
  return { kind: "bad_address", message: `bruce cannot listen on ${path}: ${why}`, path };
}

function systemFailure(errno: number, path: string): IngestFailure {
  return { kind: "system", message: `the socket ${path} cannot be opened (${errnoName(errno)})`, path };
}
