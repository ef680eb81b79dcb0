// Ports for servers that are killed and must come back at the same address.
import { createServer } from "node:net";

const tried = new Set<number>();

/**
 * Free ports of 127.0.0.1. They lie below the range that the system gives to outgoing connections: while a server is
 * down, a client that keeps trying could be given the server's port, take it away or even connect to itself.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = 15_000 + Math.floor(Math.random() * 17_000);
    if (tried.has(port)) continue;
    tried.add(port);
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
