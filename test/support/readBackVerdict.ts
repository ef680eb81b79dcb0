// Says whether what was read back is what was sent: nothing lost, nothing twice, nothing out of order.

export interface Verdict {
  lost: number;
  twice: number;
  unexpected: number;
  outOfOrder: number;
  /** The first few of these, for finding out. */
  examples: string[];
}

export interface Account {
  /** Tells of one record found. Within a lane (a partition key, say), records must come in the order in which they were expected. */
  found(id: string, lane?: string | number): void;
  verdict(): Verdict;
}

/** What a test expects the verdict to be. */
export const exactlyOnce: Verdict = { lost: 0, twice: 0, unexpected: 0, outOfOrder: 0, examples: [] };

const mostExamples = 10;

type Fault = Exclude<keyof Verdict, "examples">;

/** `expected`: the ids of all messages sent, in the order sent. */
export function accountFor(expected: Iterable<string>): Account {
  const positions = new Map<string, number>();
  for (const id of expected) positions.set(id, positions.size);
  const seen = new Uint8Array(positions.size);
  const lanes = new Map<string | number, number>();
  const faults: { fault: Fault; id: string }[] = [];

  return {
    found(id, lane) {
      const position = positions.get(id);
      if (position === undefined || seen[position] === 1) {
        faults.push({ fault: position === undefined ? "unexpected" : "twice", id });
        return;
      }
      seen[position] = 1;
      if (lane === undefined) return;
      if (position < (lanes.get(lane) ?? -1)) faults.push({ fault: "outOfOrder", id });
      else lanes.set(lane, position);
    },
    verdict() {
      const lost = [...positions]
        .filter(([, position]) => seen[position] === 0)
        .map(([id]) => ({ fault: "lost" as const, id }));
      return summary([...faults, ...lost]);
    },
  };
}

function summary(faults: { fault: Fault; id: string }[]): Verdict {
  const verdict: Verdict = { ...exactlyOnce, examples: [] };
  for (const { fault, id } of faults) {
    verdict[fault] += 1;
    if (verdict.examples.length < mostExamples) verdict.examples.push(`${fault}: ${id}`);
  }
  return verdict;
}
