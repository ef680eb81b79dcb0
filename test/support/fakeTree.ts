// Directories as memory and disk have them: names are safe only when their directory was synced.
import type { FakeInode, Random } from "./fakeInode.ts";

export type FakeNode = FakeInode | FakeDirectory;

/** Sets or removes one name. One half of a rename is not on disk without the other. */
interface Change {
  directory: FakeDirectory;
  name: string;
  node: FakeNode | undefined;
  with?: Change;
  done: boolean;
}

export class FakeDirectory {
  entries = new Map<string, FakeNode>();
  /** What a power cut leaves. */
  readonly #disk = new Map<string, FakeNode>();
  #changes: Change[] = [];

  set(name: string, node: FakeNode): Change {
    this.entries.set(name, node);
    return this.#note(name, node);
  }

  delete(name: string): Change {
    this.entries.delete(name);
    return this.#note(name, undefined);
  }

  static rename(from: FakeDirectory, fromName: string, to: FakeDirectory, toName: string): void {
    const node = from.entries.get(fromName) as FakeNode;
    const removed = from.delete(fromName);
    const set = to.set(toName, node);
    removed.with = set;
    set.with = removed;
  }

  sync(): void {
    this.beginSync()();
  }

  /** The changes so far are on their way to the disk. Answers what is to be called when they are there. */
  beginSync(): () => void {
    const changes = [...this.#changes];
    return () => {
      for (const change of changes) FakeDirectory.#apply(change);
      this.#changes = this.#changes.filter(({ done }) => !done);
    };
  }

  /** The first of the changes that were not synced may be there, none of those behind them; and so on below. */
  cutPower(random: Random): void {
    const count = random() < 0.5 ? 0 : Math.floor(random() * (this.#changes.length + 1));
    for (const change of this.#changes.slice(0, count)) FakeDirectory.#apply(change);
  }

  /** After `cutPower` of all directories. */
  restart(random: Random): void {
    this.#changes = [];
    this.entries = new Map(this.#disk);
    for (const node of this.entries.values()) {
      if (node instanceof FakeDirectory) node.restart(random);
      else node.cutPower(random);
    }
  }

  *directories(): Iterable<FakeDirectory> {
    yield this;
    const all = new Set([...this.entries.values(), ...this.#disk.values()]);
    for (const node of all) if (node instanceof FakeDirectory) yield* node.directories();
  }

  *files(): Iterable<FakeInode> {
    for (const node of this.entries.values()) {
      if (node instanceof FakeDirectory) yield* node.files();
      else yield node;
    }
  }

  #note(name: string, node: FakeNode | undefined): Change {
    const change = { directory: this, name, node, done: false };
    this.#changes.push(change);
    return change;
  }

  static #apply(change: Change): void {
    if (change.done) return;
    change.done = true;
    if (change.node === undefined) change.directory.#disk.delete(change.name);
    else change.directory.#disk.set(change.name, change.node);
    if (change.with !== undefined) FakeDirectory.#apply(change.with);
  }
}
