import { expect, test } from "bun:test";
import { defaultPlaces } from "../../src/config/places.ts";
import { defaultSettings } from "../../src/config/settings.ts";
import { errors } from "./support.ts";

test("root has the system's places, whatever its environment says", () => {
  const env = { HOME: "/root", XDG_RUNTIME_DIR: "/run/user/0", XDG_STATE_HOME: "/s", XDG_CONFIG_HOME: "/c" };
  expect(defaultPlaces({ env, uid: 0 })).toEqual({
    datagramSocket: "/run/bruce/bruce.sock",
    streamSocket: "/run/bruce/bruce.stream.sock",
    state: "/var/lib/bruce",
    configFile: "/etc/bruce/bruce.toml",
  });
});

test("anyone else has places of their own", () => {
  const env = { HOME: "/home/me", XDG_RUNTIME_DIR: "/run/user/7", XDG_STATE_HOME: "/s", XDG_CONFIG_HOME: "/c" };
  expect(defaultPlaces({ env, uid: 7 })).toEqual({
    datagramSocket: "/run/user/7/bruce/bruce.sock",
    streamSocket: "/run/user/7/bruce/bruce.stream.sock",
    state: "/s/bruce",
    configFile: "/c/bruce/bruce.toml",
  });
});

test("without the variables there is the home, and the temporary directory under a name for this user alone", () => {
  expect(
    defaultPlaces({ env: { HOME: "/home/me", XDG_STATE_HOME: "", XDG_CONFIG_HOME: "c", TMPDIR: "/t" }, uid: 7 }),
  ).toEqual({
    datagramSocket: "/t/bruce-7/bruce.sock",
    streamSocket: "/t/bruce-7/bruce.stream.sock",
    state: "/home/me/.local/state/bruce",
    configFile: "/home/me/.config/bruce/bruce.toml",
  });
  expect(defaultPlaces({ env: { TMPDIR: "/t" }, uid: 7 }).state).toBe("/t/bruce-7");
});

test("the settings' default paths are those places", () => {
  const settings = defaultSettings({ env: { XDG_RUNTIME_DIR: "/r", XDG_STATE_HOME: "/s" }, uid: 7 });
  expect(settings.input.datagram.path).toBe("/r/bruce/bruce.sock");
  expect(settings.input.stream.path).toBe("/r/bruce/bruce.stream.sock");
  expect(settings.buffer.path).toBe("/s/bruce");
});

test("a default path that is too long for a socket is an error too", () => {
  const long = "the path has 110 bytes; a socket's path can have at most 107";
  expect(errors("", { env: { XDG_RUNTIME_DIR: `/${"r".repeat(85)}` }, uid: 7 })).toEqual([
    `default settings: input.stream.path: ${long}`,
  ]);
});
