// Who may do what on a real Kafka, and with which password: ACLs and SCRAM users, changed while it runs.
// Source of the layouts: https://kafka.apache.org/protocol
import { pbkdf2Sync, randomBytes } from "node:crypto";
import type { WireWriter } from "../../src/dev/protocol/wireWriter.ts";
import { errorOf } from "../../src/kafka/errors.ts";
import type { Question } from "./kafkaSocket.ts";

/** Numbers of org.apache.kafka.common.acl.AclOperation. */
const OPERATIONS = { ALL: 2, WRITE: 4, CREATE: 5, DESCRIBE: 8, IDEMPOTENT_WRITE: 12 } as const;
/** Of org.apache.kafka.common.resource.ResourceType. */
const RESOURCES = { TOPIC: 2, CLUSTER: 4 } as const;
const LITERAL = 3;
const ALLOW = 3;

export interface Acl {
  /** As in "User:bruce". */
  principal: string;
  operation: keyof typeof OPERATIONS;
  /** A topic's name; left out: the cluster. */
  topic?: string;
}

function resource({ topic }: Acl): [number, string] {
  return topic === undefined ? [RESOURCES.CLUSTER, "kafka-cluster"] : [RESOURCES.TOPIC, topic];
}

/** From any host. The same for what is made and for what is looked for to be deleted. */
function writeAcl(to: Parameters<Question<void>["write"]>[0], acl: Acl): void {
  const [type, name] = resource(acl);
  to.int8(type).string(name).int8(LITERAL).string(acl.principal).string("*");
  to.int8(OPERATIONS[acl.operation]).int8(ALLOW);
}

/** CreateAcls v1: allows it, from any host. Throws what the broker says against it. */
export function allow(...acls: Acl[]): Question<void> {
  return {
    apiKey: 30,
    apiVersion: 1,
    write: (to) => to.array(acls, (acl) => writeAcl(to, acl)),
    read: (from) => {
      from.int32(); // throttle time
      from.array(() => check(from.int16(), from.nullableString()));
    },
  };
}

/** DeleteAcls v1: allows it no more. */
export function disallow(...acls: Acl[]): Question<void> {
  return {
    apiKey: 31,
    apiVersion: 1,
    write: (to) => to.array(acls, (acl) => writeAcl(to, acl)),
    read: (from) => {
      from.int32(); // throttle time
      const removed = from.array(() => {
        check(from.int16(), from.nullableString());
        return from.array(() => {
          check(from.int16(), from.nullableString());
          for (const read of ["int8", "string", "int8", "string", "string", "int8", "int8"] as const) from[read]();
        }).length;
      });
      if (removed.includes(0)) throw new Error("there was no such ACL");
    },
  };
}

const ITERATIONS = 4096;

/** AlterUserScramCredentials v0: gives the user that password for SCRAM-SHA-256. */
export function setScramPassword(user: string, password: string): Question<void> {
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, ITERATIONS, 32, "sha256");
  return {
    apiKey: 51,
    apiVersion: 0,
    write: (to) => {
      to.noTaggedFields(); // of the header
      to.uvarint(1); // none to delete
      to.uvarint(2); // one to set
      compactBytes(to, Buffer.from(user)).int8(1).int32(ITERATIONS);
      compactBytes(compactBytes(to, salt), salted).noTaggedFields();
      to.noTaggedFields();
    },
    read: (from) => {
      from.taggedFields(); // of the header
      from.int32(); // throttle time
      for (let left = from.uvarint() - 1; left > 0; left--) {
        from.compactString();
        check(from.int16(), null);
        if (from.uvarint() > 1) throw new Error("a message without an error");
        from.taggedFields();
      }
    },
  };
}

function compactBytes(to: WireWriter, bytes: Buffer): WireWriter {
  return to.uvarint(bytes.length + 1).raw(bytes);
}

function check(errorCode: number, message: string | null): void {
  if (errorCode !== 0)
    throw new Error(`${errorOf(errorCode).name} (${errorCode})${message === null ? "" : `, ${message}`}`);
}
