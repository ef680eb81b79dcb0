// The far side of interleave.ts: it takes a step each time it is told to.
import { DONE, type FarOrder, gateway, hook, type Plain, type Protocol, STANDS } from "./interleave.ts";

declare const self: Worker;

const { store, wait, notify } = gateway;

self.onmessage = async ({ data }: MessageEvent<FarOrder>) => {
  const { module, name, gate, memory, noted } = data;
  const { protocols, plain } = (await import(module)) as { protocols: Record<string, Protocol>; plain: Plain };
  const { far } = protocols[name] as Protocol;
  const stand = (how: number) => {
    store(gate, 0, how);
    notify(gate, 0);
    wait(gate, 0, how);
  };
  store(gate, 0, DONE);
  self.postMessage("ready");
  wait(gate, 0, DONE);
  for (;;) {
    const run = far({ memory, noted });
    const unhook = hook(plain, () => stand(STANDS));
    run();
    unhook();
    stand(DONE);
  }
};
