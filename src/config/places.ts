// Where things are unless the configuration says otherwise: for root the system's places, for anyone else their own.
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Who runs bruce, and in what environment. */
export interface Surroundings {
  env: Record<string, string | undefined>;
  /** The effective user id; 0 is root. */
  uid: number;
}

export interface Places {
  datagramSocket: string;
  streamSocket: string;
  /** The directory of what must survive. */
  state: string;
  configFile: string;
}

/** The surroundings of this process. */
export function ownSurroundings(): Surroundings {
  return { env: process.env, uid: process.geteuid?.() ?? process.getuid?.() ?? -1 };
}

/** The default places. A variable that is empty or not an absolute path counts as unset, as the XDG rules ask. */
export function defaultPlaces({ env, uid }: Surroundings): Places {
  if (uid === 0) {
    return {
      datagramSocket: "/run/bruce/bruce.sock",
      streamSocket: "/run/bruce/bruce.stream.sock",
      state: "/var/lib/bruce",
      configFile: "/etc/bruce/bruce.toml",
    };
  }
  const directory = (name: string): string | undefined => (env[name]?.startsWith("/") ? env[name] : undefined);
  // Without a home or a runtime directory there is still the temporary one, where the name must tell users apart.
  const temporary = join(directory("TMPDIR") ?? tmpdir(), `bruce-${uid}`);
  const home = directory("HOME");
  const runtime = directory("XDG_RUNTIME_DIR");
  const sockets = runtime === undefined ? temporary : join(runtime, "bruce");
  const under = (variable: string, ...rest: string[]): string => {
    const base = directory(variable) ?? (home === undefined ? undefined : join(home, ...rest));
    return base === undefined ? temporary : join(base, "bruce");
  };
  return {
    datagramSocket: join(sockets, "bruce.sock"),
    streamSocket: join(sockets, "bruce.stream.sock"),
    state: under("XDG_STATE_HOME", ".local", "state"),
    configFile: join(under("XDG_CONFIG_HOME", ".config"), "bruce.toml"),
  };
}
