// The bytes of a checkpoint slot. docs/spool-format.md says the same for a stranger.
//
//   slot   => header (32 bytes) content (JSON, UTF-8), then anything: a slot never shrinks
//   header => 0 magic "brucechk" | 8 version uint32 | 12 generation int64 | 20 length uint32 of the content
//             | 24 crc32 of bytes [0, 24) and the content | 28 zero uint32
//   Integers are big-endian. Sets of message numbers are what `NumberSet.encode` gives, in base64.
import { crc32 } from "node:zlib";
import { DISCARD_REASONS, type DiscardReason } from "../observe/discards.ts";
import type { Account } from "../observe/ledger.ts";
import type { Checkpoint, HeldLogState, LedgerState } from "./checkpoint.ts";
import { readInt64, readUint32, writeInt64, writeUint32 } from "./integers.ts";
import { NumberSet } from "./numberSet.ts";

const HEADER = 32;
const VERSION = 1;
const MAGIC = Buffer.from("brucechk", "latin1");

interface PlainAccount extends Omit<Account, "discardsByReason"> {
  discardsByReason: Record<string, number>;
}

type PlainHeld = Omit<HeldLogState, "unsettled" | "settled"> & { unsettled: string; settled: string };

/** What the JSON holds: a Checkpoint whose sets, maps and bigints are in forms that JSON has. */
type Plain = Omit<Checkpoint, "generation" | "unsettled" | "settled" | "held" | "ledger"> & {
  unsettled: string;
  settled: string;
  held: PlainHeld[];
  ledger: { total: PlainAccount; noTopic: PlainAccount; topics: Record<string, PlainAccount> };
};

export function encodeCheckpoint(checkpoint: Checkpoint): Buffer {
  const { generation, ledger, ...rest } = checkpoint;
  const plain: Plain = {
    ...rest,
    unsettled: plainSet(checkpoint.unsettled),
    settled: plainSet(checkpoint.settled),
    held: checkpoint.held.map((log) => ({
      ...log,
      unsettled: plainSet(log.unsettled),
      settled: plainSet(log.settled),
    })),
    ledger: {
      total: plainAccount(ledger.total),
      noTopic: plainAccount(ledger.noTopic),
      topics: Object.fromEntries([...ledger.topics()].map(([name, account]) => [name, plainAccount(account)])),
    },
  };
  const content = Buffer.from(JSON.stringify(plain));
  const bytes = Buffer.alloc(HEADER + content.length);
  MAGIC.copy(bytes);
  writeUint32(bytes, 8, VERSION);
  writeInt64(bytes, 12, generation);
  writeUint32(bytes, 20, content.length);
  content.copy(bytes, HEADER);
  writeUint32(bytes, 24, checksum(bytes, content.length));
  return bytes;
}

/** Nothing when the bytes are too few, damaged, or of another version. */
export function decodeCheckpoint(bytes: Buffer): Checkpoint | undefined {
  if (bytes.length < HEADER || !MAGIC.equals(bytes.subarray(0, 8)) || readUint32(bytes, 8) !== VERSION)
    return undefined;
  const length = readUint32(bytes, 20);
  if (length > bytes.length - HEADER || readUint32(bytes, 24) !== checksum(bytes, length)) return undefined;
  try {
    const plain: Plain = JSON.parse(bytes.toString("utf8", HEADER, HEADER + length));
    return {
      ...plain,
      generation: readInt64(bytes, 12),
      unsettled: set(plain.unsettled),
      settled: set(plain.settled),
      held: plain.held.map((log) => ({ ...log, unsettled: set(log.unsettled), settled: set(log.settled) })),
      ledger: ledgerOf(plain.ledger),
    };
  } catch {
    return undefined; // well summed up, but not written by this version
  }
}

function checksum(bytes: Buffer, length: number): number {
  return crc32(bytes.subarray(HEADER, HEADER + length), crc32(bytes.subarray(0, 24)));
}

function plainSet(numbers: NumberSet): string {
  return numbers.encode().toString("base64");
}

function set(text: string): NumberSet {
  const numbers = NumberSet.decode(Buffer.from(text, "base64"));
  if (numbers === undefined) throw new RangeError("a set of message numbers is damaged");
  return numbers;
}

function plainAccount(account: Account): PlainAccount {
  return { ...account, discardsByReason: Object.fromEntries(account.discardsByReason) };
}

/** The book of an account; a reason that this version does not know (an older one was put back) counts as "damaged". */
function accountOf(plain: PlainAccount): Account {
  const discardsByReason = new Map<DiscardReason, number>();
  for (const [name, count] of Object.entries(plain.discardsByReason)) {
    const reason = DISCARD_REASONS.find((known) => known === name) ?? "damaged";
    discardsByReason.set(reason, (discardsByReason.get(reason) ?? 0) + count);
  }
  return { ...plain, discardsByReason };
}

function ledgerOf({ total, noTopic, topics }: Plain["ledger"]): LedgerState {
  const accounts = Object.entries(topics).map(([name, account]): [string, Account] => [name, accountOf(account)]);
  return { total: accountOf(total), noTopic: accountOf(noTopic), topics: () => accounts };
}
