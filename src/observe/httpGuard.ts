// Keeps web pages of others from reading the status through a name that they point to this machine (DNS rebinding).
import { isIP } from "node:net";

/** Whether `host` (a name or an address, IPv6 without brackets) is this machine alone. */
function isLoopback(host: string): boolean {
  const name = host.toLowerCase();
  if (isIP(name) === 4) return name.startsWith("127.");
  return name === "localhost" || name.endsWith(".localhost") || name === "::1";
}

/**
 * Whether a request with this Host header is answered. On loopback it must name loopback, or the host that is
 * configured. On any other address the whole network may ask anyway, under whatever name monitoring knows the machine
 * by, so every name will do. No header at all is no browser.
 */
export function hostAllowed(header: string | null, listenHost: string): boolean {
  if (header === null || header === "" || !isLoopback(listenHost)) return true;
  const name = hostOf(header);
  return name !== undefined && (isLoopback(name) || name === listenHost.toLowerCase());
}

/** The name in `name`, `name:port`, `[address]` or `[address]:port`; undefined when it is none of these. */
function hostOf(header: string): string | undefined {
  const match = /^(?:\[([0-9a-f:.%]+)\]|([^\s:[\]/?#@]+))(?::\d{1,5})?$/i.exec(header);
  return (match?.[1] ?? match?.[2])?.toLowerCase().replace(/\.$/, "");
}
