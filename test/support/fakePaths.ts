// Finds what a path names in a tree of fake directories, with the errors that a file system has for it.
import type { Files } from "../../src/spool/files.ts";
import { FakeInode } from "./fakeInode.ts";
import { FakeDirectory, type FakeNode } from "./fakeTree.ts";

export type FakeCall = keyof Files;

export class FakePaths {
  readonly root = new FakeDirectory();

  file(path: string, call: FakeCall): FakeInode {
    const node = this.find(path);
    if (!(node instanceof FakeInode)) throw errorOf("ENOENT", call, path);
    return node;
  }

  directory(path: string, call: FakeCall): FakeDirectory {
    const node = this.find(path);
    if (!(node instanceof FakeDirectory)) throw errorOf("ENOENT", call, path);
    return node;
  }

  /** Nothing when it is not there. With a `call`, throws when something on the way is a file. */
  find(path: string, call?: FakeCall): FakeNode | undefined {
    let node: FakeNode | undefined = this.root;
    for (const name of namesOf(path)) {
      if (node instanceof FakeInode && call !== undefined) throw errorOf("ENOTDIR", call, path);
      node = node instanceof FakeDirectory ? node.entries.get(name) : undefined;
    }
    return node;
  }

  /** The directory that has, or is to have, the path's last name. */
  place(path: string, call: FakeCall, make = false): { directory: FakeDirectory; name: string } {
    const names = namesOf(path);
    const name = names.pop() ?? "";
    let directory = this.root;
    for (const step of names) {
      let node = directory.entries.get(step);
      if (node === undefined && make) {
        node = new FakeDirectory();
        directory.set(step, node);
      }
      if (node === undefined) throw errorOf("ENOENT", call, path);
      if (node instanceof FakeInode) throw errorOf("ENOTDIR", call, path);
      directory = node;
    }
    return { directory, name };
  }
}

export function errorOf(code: string, call: string, path: string, why = "as asked"): Error {
  return Object.assign(new Error(`${code}: ${why}, ${call} '${path}'`), { code, syscall: call, path });
}

function namesOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}
