// Receipts and sessions look on the wire as docs/protocol.md has them: bytes made by hand, and there and back.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { FrameFault } from "../../src/wire/frame.ts";
import {
  encodeResume,
  encodeResumeReply,
  encodeSync,
  encodeSyncReply,
  faultOfQuestion,
  isQuestion,
  readReply,
  SyncLevel,
} from "../../src/wire/receipts.ts";

const bytes = (hex: string) => Buffer.from(hex.replaceAll(" ", ""), "hex");
const SESSION = bytes("000102030405060708090a0b0c0d0e0f");

test("questions and replies are the bytes of the grammar", () => {
  expect(encodeSync(SyncLevel.Delivered, 258n)).toEqual(bytes("00000013 0200 0000 0000 03 0000000000000102"));
  expect(encodeSync(SyncLevel.Spooled, -1)).toEqual(bytes("00000013 0200 0000 0000 01 ffffffffffffffff"));
  expect(encodeResume(SESSION)).toEqual(bytes(`0000001a 0202 0000 0000 ${SESSION.toString("hex")}`));
  const counts = { received: 2 ** 32 + 5, delivered: 4, discarded: 1 };
  const sync = { level: 2, token: -(2n ** 63n), status: 1, ...counts };
  const syncBytes = bytes(
    "0000002c 0201 0000 0000 02 8000000000000000 01 0000000100000005 0000000000000004 0000000000000001",
  );
  expect(encodeSyncReply(sync)).toEqual(syncBytes);
  expect(readReply(syncBytes, 0, syncBytes.length)).toEqual({ kind: "sync", ...sync });
  const resume = { session: SESSION, position: 2 ** 40, status: 2 };
  const resumeBytes = bytes(`00000023 0203 0000 0000 ${SESSION.toString("hex")} 0000010000000000 02`);
  expect(encodeResumeReply(resume)).toEqual(resumeBytes);
  expect(readReply(resumeBytes, 0, resumeBytes.length)).toEqual({ kind: "resume", ...resume });
});

test("a session of another length is refused", () => {
  expect(() => encodeResume(Buffer.alloc(15))).toThrow(RangeError);
});

test("any reply is read as it was written, wherever it lies, and its beginning is short", () => {
  const count = fc.nat(Number.MAX_SAFE_INTEGER);
  const int8 = fc.integer({ min: -128, max: 127 });
  const token = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
  const session = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((array) => Buffer.from(array));
  const syncReply = fc.record({
    level: int8,
    token,
    status: int8,
    received: count,
    delivered: count,
    discarded: count,
  });
  const resumeReply = fc.record({ session, position: count, status: int8 });
  fc.assert(
    fc.property(fc.oneof(syncReply, resumeReply), fc.nat(50), fc.nat(50), (reply, before, cut) => {
      const frame = "token" in reply ? encodeSyncReply(reply) : encodeResumeReply(reply);
      const all = Buffer.concat([Buffer.alloc(before, 0xaa), frame, Buffer.alloc(3, 0xaa)]);
      const kind = "token" in reply ? "sync" : "resume";
      expect<unknown>(readReply(all, before, all.length)).toEqual({ kind, ...reply });
      const end = before + Math.min(cut, frame.length - 1);
      expect(readReply(all, before, end)).toBe("short");
    }),
  );
});

test("what is no reply is bad as soon as that can be seen", () => {
  expect(readReply(bytes("0000002c 0200"), 0, 6)).toBe("bad");
  expect(readReply(bytes("0000002d 0201"), 0, 6)).toBe("bad");
  const withFlags = encodeSyncReply({ level: 1, token: 1n, status: 0, received: 0, delivered: 0, discarded: 0 });
  withFlags[9] = 1;
  expect(readReply(withFlags, 0, withFlags.length)).toBe("bad");
});

test("a question is told from a message, and is well made or not", () => {
  expect([512, 513, 514, 515, 256, 0].map(isQuestion)).toEqual([true, false, true, false, false, false]);
  const faultOf = (frame: Buffer) => faultOfQuestion(frame, 0, frame.readInt32BE(0));
  const changed = (frame: Buffer, at: number, value: number) => {
    frame[at] = value;
    return frame;
  };
  expect(faultOf(encodeSync(9, 0))).toBe(FrameFault.Ok);
  expect(faultOf(encodeResume(SESSION))).toBe(FrameFault.Ok);
  expect(faultOf(changed(encodeSync(1, 0), 7, 1))).toBe(FrameFault.UnsupportedVersion);
  expect(faultOf(changed(encodeSync(1, 0), 9, 1))).toBe(FrameFault.Malformed);
  expect(faultOf(changed(encodeSync(1, 0), 3, 18))).toBe(FrameFault.Malformed);
  expect(faultOf(changed(encodeResume(SESSION), 3, 19))).toBe(FrameFault.Malformed);
});
