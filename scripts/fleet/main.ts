// npm run fleet: how a fleet of hosts comes back to one cluster, simulated with bruce's own code on a clock that is not real.
import { ACTS, type Act, type Window } from "./acts.ts";
import { DEFAULTS, Fleet, type FleetOptions } from "./fleet.ts";
import { quantile } from "./meter.ts";

// Millions of connections fail: nobody looks where.
Error.stackTraceLimit = 0;

const options: FleetOptions = { ...DEFAULTS };
let acts: readonly Act[] = ACTS;
for (const arg of process.argv.slice(2)) {
  const [key = "", value = ""] = arg.replace(/^--/, "").split("=");
  if (key === "act") acts = ACTS.filter(({ name }) => value.split(",").includes(name));
  else if (key in options) Object.assign(options, { [key]: key === "jitter" ? value : Number(value) });
  else {
    const keys = Object.keys(options).map((each) => `--${each}=${key === "jitter" ? "none" : "N"}`);
    console.error(`unknown: ${arg}; there are --act=${ACTS.map(({ name }) => name).join(",")} ${keys.join(" ")}`);
    process.exit(2);
  }
}
const began = performance.now();
const { hosts, brokers, acceptRate, backlog, seed, jitter } = options;
console.log(
  `${hosts} hosts, ${brokers} brokers that accept ${acceptRate} connections/s each and let ${backlog} wait, ` +
    `jitter ${jitter}, seed ${seed}\n`,
);
console.log(
  "| act | s | connections/s: peak | p99 | worst broker: peak | p99 | unanswered | metadata/s: peak | p99 " +
    "| worst broker: peak | 50 % back after | 99 % | all | at best |",
);
console.log(`|${" --- |".repeat(14)}`);
for (const act of acts) {
  const fleet = new Fleet({ ...options, ...act.options });
  const windows = act.play(fleet);
  for (const [at, window] of windows.entries()) report(fleet, act, window, at === windows.length - 1);
}
const { rss } = process.memoryUsage();
console.log(`\n${((performance.now() - began) / 1000).toFixed(0)} s, ${Math.round(rss / 1e6)} MB`);

function report({ meter, stalls, whole }: Fleet, act: Act, { name, from, to }: Window, last: boolean): void {
  const [all, one] = [meter.ofAll("connections", from, to), meter.ofOne("connections", from, to)];
  const [asked, askedOne] = [meter.ofAll("metadata", from, to), meter.ofOne("metadata", from, to)];
  const unanswered = meter.ofAll("overflows", from, to).total;
  const atBest = meter.ofOne("accepted", from, to, "total").total / acceptRate;
  const cells = [name === act.name ? name : `${act.name}, ${name}`, ((to - from) / 1000).toFixed(0)];
  cells.push(...[all.peak, all.p99, one.peak, one.p99, unanswered, asked.peak, asked.p99, askedOne.peak].map(String));
  const after = (share: number) => (stalls.length === 0 ? "" : `${(quantile(stalls, share) / 1000).toFixed(1)} s`);
  if (last && act.recovers !== false)
    cells.push(after(0.5), after(0.99), whole ? after(1) : "never", `${atBest.toFixed(1)} s`);
  else cells.push("", "", "", "");
  console.log(`| ${cells.join(" | ")} |`);
}
