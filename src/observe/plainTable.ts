// Tables for terminals: columns with space between them.
import Table from "cli-table3";

/** A table without lines; the columns from `firstNumber` on are numbers. */
export function newTable(head: string[], firstNumber: number) {
  const none = ["top", "bottom", "mid", "left", "right", "middle"].flatMap((side) => {
    const corners = side === "top" || side === "bottom" ? ["", "-mid", "-left", "-right"] : [""];
    return corners.map((corner) => [`${side}${corner}`, ""]);
  });
  const chars = { ...Object.fromEntries(none), "left-mid": "", "mid-mid": "", "right-mid": "", middle: "  " };
  return new Table({
    head,
    chars,
    colAligns: head.map((_, i) => (i < firstNumber ? "left" : "right")),
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0, compact: true },
  });
}

export function textOf(table: { toString(): string }): string {
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}
