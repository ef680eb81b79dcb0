// Whatever stands where a file of the buffer should be: it starts, waits for nothing, and the next start finds all in order.
import { expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { defaultSettings } from "../../src/config/settings.ts";
import { Ledger } from "../../src/observe/ledger.ts";
import { openSpool, type Spool } from "../../src/spool/spool.ts";
import { silentLog } from "../ingest/support.ts";
import { EVENTFUL, eventfulWorld, filesOf } from "./recoverFixture.ts";

/** For a busy machine. Milliseconds. */
const LONG = 300_000;
const world = filesOf(await eventfulWorld());
const paths = [...world.keys(), "/data/lock"];

const otherName = (path: string, name: string) => path.replace(/\d{10}/, name);
const socket = (path: string) => `import socket; socket.socket(socket.AF_UNIX).bind(${JSON.stringify(path)})`;
const instead = (make: (path: string) => void) => (path: string) => {
  fs.unlinkSync(path);
  make(path);
};
/** What is done to one file. */
const STRANGE: Record<string, (path: string) => void> = {
  "is gone": instead(() => {}),
  "is empty": (path) => fs.truncateSync(path, 0),
  "is something else": (path) => fs.writeFileSync(path, "something else ".repeat(99)),
  "claims to be a terabyte": (path) => fs.truncateSync(path, 2 ** 40),
  "is a directory": instead((path) => fs.mkdirSync(path)),
  "is a directory with something in it": instead((path) => fs.mkdirSync(`${path}/x`, { recursive: true })),
  "is a FIFO": instead((path) => execFileSync("mkfifo", [path])),
  "is a socket": instead((path) => execFileSync("python3", ["-c", socket(path)])),
  "is a link to nothing": instead((path) => fs.symlinkSync("nowhere", path)),
  "has strangers beside it": (path) => {
    fs.writeFileSync(`${path}.bak`, "x");
    fs.mkdirSync(`${path}.d`);
    fs.writeFileSync(join(dirname(path), "core"), "x");
  },
};
/** A lock is no lock when it is a link to nothing or a socket: then the disk is not used, as with any directory that cannot be. */
const UNUSABLE = ["is a socket /data/lock", "is a link to nothing /data/lock"];

interface Life {
  clean: boolean;
  read: number;
  held: number;
  open: number;
  lost: number;
}

function countAll({ queue, held, recovered }: Spool): Omit<Life, "clean" | "lost"> {
  let read = 0;
  for (let block = queue.read(); block !== undefined; block = queue.read()) {
    read += block.live;
    queue.release();
  }
  let inHeld = 0;
  for (const log of held.all())
    log.drain(
      () => true,
      () => ++inHeld > 0,
    );
  return { read, held: inHeld, open: recovered.openEntries.reduce((sum, { numbers }) => sum + numbers.count, 0) };
}

/** Starts, reads all there is, stops. Undefined: the directory cannot be used. */
async function live(path: string): Promise<Life | undefined> {
  const settings = { ...defaultSettings().buffer, path, minFreeDisk: 0 };
  const opened = openSpool({ settings, log: silentLog, ringCapacity: 1 << 20 });
  if ("problem" in opened) return undefined;
  const { spool } = opened;
  const { recovered } = spool;
  const { clean } = recovered;
  let lost = recovered.ledger.total.discardsByReason.get("damaged") ?? 0;
  const count = (_: unknown, more: number) => {
    lost += more;
  };
  const ledger = new Ledger(100, recovered.ledger);
  const lostOf = (topic: string, more: number) => count(topic, more);
  await spool.start({ ledger, topicsSeen: () => [], lost: (more) => count("", more), lostOf });
  const found = countAll(spool);
  await spool.stop();
  return { clean, ...found, lost };
}

function makeRoot(): string {
  const root = fs.mkdtempSync(join(tmpdir(), "bruce-strange-"));
  for (const [path, bytes] of [...world, ["/data/lock", Buffer.from("1\n")] as const]) {
    const file = path.replace("/data", root);
    fs.mkdirSync(dirname(file), { recursive: true });
    fs.writeFileSync(file, bytes);
  }
  return root;
}

const { main, held, open } = EVENTFUL;
const whole = { read: main.length, held: held.length, open: open.length, lost: 0 };

test.each(Object.keys(STRANGE))(
  "a file that %s",
  async (what) => {
    for (const path of paths) {
      // A second for each of them.
      if (what === "claims to be a terabyte" && !/0|2|3/.test(path.replace("000000000", ""))) continue;
      const root = makeRoot();
      try {
        STRANGE[what]?.(path.replace("/data", root));
        const here = `${what} ${path}`;
        const [first, second] = [await live(root), await live(root)];
        if (UNUSABLE.includes(here)) expect([here, first]).toEqual([here, undefined]);
        else expect([here, first?.clean, second?.clean]).toEqual([here, false, true]);
        if (what === "has strangers beside it") expect(first).toMatchObject(whole);
      } finally {
        fs.rmSync(root, { recursive: true });
      }
    }
  },
  LONG,
);

test.each(["0000000099", "4000000001", "9999999999"])(
  "a copy of a file with the name %s costs nothing",
  async (name) => {
    for (const path of paths.filter((each) => /\d{10}/.test(each))) {
      const root = makeRoot();
      try {
        const file = path.replace("/data", root);
        fs.copyFileSync(file, otherName(file, name));
        expect([path, await live(root)]).toEqual([path, { clean: false, ...whole }]);
        expect((await live(root))?.clean).toBe(true);
      } finally {
        fs.rmSync(root, { recursive: true });
      }
    }
  },
  LONG,
);

test(
  "segments that have each other's names, or another, get their own again",
  async () => {
    const segments = paths.filter((each) => each.endsWith(".segment"));
    for (const one of segments) {
      for (const other of [
        ...segments.filter((each) => dirname(each) === dirname(one)),
        otherName(one, "0000000077"),
      ]) {
        const root = makeRoot();
        try {
          const [a, b] = [one.replace("/data", root), other.replace("/data", root)];
          fs.renameSync(a, `${a}.away`);
          if (fs.existsSync(b)) fs.renameSync(b, a);
          fs.renameSync(`${a}.away`, b);
          const here = `${one} ${basename(other)}`;
          expect([here, await live(root)]).toEqual([here, { clean: false, ...whole }]);
        } finally {
          fs.rmSync(root, { recursive: true });
        }
      }
    }
  },
  LONG,
);
