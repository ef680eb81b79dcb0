// npm run fleet: how a fleet of hosts comes back to one cluster, simulated with bruce's own code on a clock that is not real.
import { ACTS } from "./acts.ts";
import { DEFAULTS, Fleet, type FleetOptions } from "./fleet.ts";
import { type Counted, quantile } from "./meter.ts";

// Millions of connections fail: nobody looks where.
Error.stackTraceLimit = 0;

const options: FleetOptions = { ...DEFAULTS };
let only: string | undefined;
for (const arg of process.argv.slice(2)) {
  const [key = "", value = ""] = arg.replace(/^--/, "").split("=");
  if (key === "act") only = value;
  else if (key in options) Object.assign(options, { [key]: key === "jitter" ? value : Number(value) });
  else {
    console.error(
      `unknown: ${arg}; --act=NAME, or one of ${Object.keys(options)
        .map((each) => `--${each}=N`)
        .join(" ")}`,
    );
    process.exit(2);
  }
}
console.log(JSON.stringify(options));
for (const act of ACTS) {
  if (only !== undefined && !only.split(",").includes(act.name)) continue;
  const began = performance.now();
  const fleet = new Fleet({ ...options, ...act.options });
  console.log(`\n${act.name}: ${act.about}`);
  const windows = act.play(fleet);
  for (const { name, from, to } of windows) {
    console.log(`  ${name}: ${((to - from) / 1000).toFixed(1)} s`);
    for (const kind of ["connections", "refused", "overflows", "metadata", "produce"] as Counted[]) {
      const all = fleet.meter.ofAll(kind, from, to);
      if (all.total === 0) continue;
      const one = fleet.meter.ofOne(kind, from, to);
      const show = ({ total, peak, p99, mean, burst }: typeof all) =>
        `total ${total} peak ${peak}/s p99 ${p99}/s mean ${mean.toFixed(0)}/s burst ${burst}/100ms`;
      console.log(`    ${kind.padEnd(12)} all: ${show(all)}\n${" ".repeat(17)}worst broker: ${show(one)}`);
    }
  }
  const { stalls } = fleet;
  const at = (share: number) => (quantile(stalls, share) / 1000).toFixed(1);
  console.log(
    `  stalls: ${stalls.length}, 50 % ${at(0.5)} s, 99 % ${at(0.99)} s, all ${at(1)} s; whole: ${fleet.whole}`,
  );
  const { rss } = process.memoryUsage();
  console.log(`  (${((performance.now() - began) / 1000).toFixed(1)} s, ${Math.round(rss / 1e6)} MB)`);
}
