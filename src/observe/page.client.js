// The status page's script: asks for the status each second and shows it. All texts go in by textContent, since topic
// names and reasons come from anyone.

(() => {
  const INTERVAL = 1000;
  const MINUTE = 60 * 1000;
  const KEPT = 5 * MINUTE;
  const TOPICS = 200;

  const samples = []; // { at, received, delivered, held, receivedRate, deliveredRate }
  let pointedAt = null; // where the pointer is over a chart, 0 to 1
  let lastAnswer = 0;

  const at = (id) => document.getElementById(id);
  const whole = new Intl.NumberFormat("en");
  const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

  const count = (n) => whole.format(n);
  const rate = (n) => (n >= 10000 ? short.format(n) : whole.format(n < 10 ? Math.round(n * 10) / 10 : Math.round(n)));

  function size(bytes) {
    let value = bytes;
    let unit = 0;
    while (value >= 1024 && unit < 4) {
      value /= 1024;
      unit++;
    }
    return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${["B", "KiB", "MiB", "GiB", "TiB"][unit]}`;
  }

  function duration(ms) {
    const s = ms / 1000;
    if (s < 10) return `${s.toFixed(1)} s`;
    if (s < 120) return `${Math.round(s)} s`;
    if (s < 7200) return `${Math.floor(s / 60)} min`;
    if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
    return `${Math.floor(s / 86400)} days`;
  }

  function put(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  function pill(text, kind) {
    put(at("state"), text);
    at("state").className = `pill ${kind}`;
  }

  /** Rows are { cells, kind }; cells that did not change are left alone, so that text can be selected. */
  function fill(id, rows, empty) {
    const table = at(id);
    const body = table.tBodies[0];
    const heads = table.tHead.rows[0].cells;
    const shown = rows.length > 0 ? rows : [{ cells: [empty], kind: "empty" }];
    while (body.rows.length > shown.length) body.deleteRow(-1);
    shown.forEach(({ cells, kind }, r) => {
      const row = body.rows[r] ?? body.insertRow();
      if (row.className !== kind) row.className = kind;
      while (row.cells.length > cells.length) row.deleteCell(-1);
      cells.forEach((text, c) => {
        const cell = row.cells[c] ?? row.insertCell();
        cell.colSpan = cells.length === 1 ? heads.length : 1;
        cell.className = cells.length > 1 ? heads[c].className : "";
        put(cell, String(text));
      });
    });
  }

  function remember(status) {
    const { received, delivered, held } = status.ledger;
    const last = samples.at(-1);
    const sample = { at: status.now, started: status.started_at, received, delivered, held };
    // A daemon started anew counts from zero again.
    if (last !== undefined && (last.started !== sample.started || last.at > sample.at)) samples.length = 0;
    const before = samples.at(-1);
    const seconds = before === undefined ? 0 : (sample.at - before.at) / 1000;
    if (before !== undefined && seconds <= 0) return;
    sample.receivedRate = before === undefined ? null : Math.max(0, received - before.received) / seconds;
    sample.deliveredRate = before === undefined ? null : Math.max(0, delivered - before.delivered) / seconds;
    samples.push(sample);
    while (samples.length > 0 && samples[0].at < sample.at - KEPT) samples.shift();
  }

  /** Mean rates over the last few seconds, which a single second would make jump. */
  function recent() {
    const last = samples.at(-1);
    const first = samples.find((sample) => sample.at >= last.at - 5500);
    const seconds = (last.at - first.at) / 1000;
    if (seconds <= 0) return null;
    return {
      received: (last.received - first.received) / seconds,
      delivered: (last.delivered - first.delivered) / seconds,
      held: (last.held - first.held) / seconds,
    };
  }

  function alerts(status) {
    const list = [];
    if (!status.ledger.balanced) list.push(["bad", "The ledger does not balance. Please report this."]);
    const down = status.brokers.filter((broker) => broker.state === "down");
    const refused = status.brokers.filter((broker) => broker.state === "refused");
    if (down.length > 0) list.push(["bad", `Not reachable: ${down.map((b) => b.address).join(", ")}`]);
    if (refused.length > 0) list.push(["bad", `Not let in: ${refused.map((b) => b.address).join(", ")}`]);
    const { buffer } = status;
    if (buffer.mode === "degraded") {
      const why = buffer.reason ?? "no reason given";
      list.push(["bad", `The disk takes no messages, new ones are in memory only: ${why}`]);
    }
    if (buffer.full) list.push(["bad", "The buffer is full: senders wait, or messages are dropped, as configured."]);
    const held = status.topics.filter((topic) => topic.state === "held").length;
    if (held > 0)
      list.push(["warning", `${held === 1 ? "One topic" : `${count(held)} topics`} cannot be delivered now.`]);
    const { error, restart_needed: waiting } = status.config;
    if (error !== null)
      list.push(["bad", `The configuration was read again and is not good; the old one holds: ${error}`]);
    if (waiting.length > 0) list.push(["warning", `A restart is needed for ${waiting.join(", ")}.`]);
    if (status.acks === 0) list.push(["warning", "acks = 0: delivered means written to the broker's socket, no more."]);
    return list;
  }

  function showAlerts(list) {
    const box = at("alerts");
    while (box.children.length > list.length) box.lastChild.remove();
    list.forEach(([kind, text], i) => {
      const line = box.children[i] ?? box.appendChild(document.createElement("p"));
      line.className = kind;
      put(line, text);
    });
  }

  function showLedger(status) {
    const { ledger } = status;
    put(at("received"), count(ledger.received));
    put(at("delivered"), count(ledger.delivered));
    put(at("held"), count(ledger.held));
    put(at("discarded"), count(ledger.discarded));
    at("discarded").parentElement.classList.toggle("some", ledger.discarded > 0);
    const rates = recent();
    put(at("received-rate"), rates === null ? "" : `${rate(rates.received)} per second`);
    put(at("delivered-rate"), rates === null ? "" : `${rate(rates.delivered)} per second`);
    let drain = ledger.held === 0 ? "nothing waits" : "";
    if (ledger.held > 0 && rates !== null && samples.length > 3) {
      const oldest = Math.max(0, ...status.topics.map((topic) => topic.oldest_unsent_age ?? 0));
      if (oldest > 2000) {
        drain =
          rates.held < 0 ? `drained in about ${duration((ledger.held / -rates.held) * 1000)}` : "not getting less";
      } else drain = "on the way";
    }
    put(at("held-note"), drain);
    put(at("discarded-note"), ledger.discarded === 0 ? "none" : "see below");
    const doubles = ledger.possible_duplicates > 0 ? ` · ${count(ledger.possible_duplicates)} possible duplicates` : "";
    put(at("balance"), (ledger.balanced ? "✓ the ledger balances" : "✗ the ledger does not balance") + doubles);
  }

  function bufferText(buffer) {
    if (buffer.mode === "memory") return "buffer in memory only: what is held is lost with the process";
    const parts = [`buffer ${size(buffer.used)} of ${size(buffer.limit)} in ${buffer.path}`];
    if (buffer.held_bytes > 0) parts.push(`${size(buffer.held_bytes)} of it held`);
    if (buffer.unspooled > 0) parts.push(`${count(buffer.unspooled)} messages in memory alone`);
    if (buffer.quarantined_bytes > 0) parts.push(`${size(buffer.quarantined_bytes)} damaged and set aside`);
    if (buffer.unreadable) parts.push(`some of it waits, since it cannot be read: ${buffer.unreadable}`);
    if (buffer.synced_age > 0) parts.push(`a power cut would take the last ${duration(buffer.synced_age)}`);
    return parts.join(" · ");
  }

  function topicState(topic) {
    const logs = topic.held_logs ?? [];
    if (topic.state === "held") return `held: ${topic.reason ?? "no reason given"}`;
    return logs.length > 0 ? "live, held messages on their way" : "live";
  }

  function showTables(status) {
    const now = status.now;
    fill(
      "topics",
      status.topics.map((t) => ({
        kind: t.state === "held" ? "attention" : "",
        cells: [
          t.name,
          topicState(t),
          count(t.received + t.unread), // as in the ledger, what nobody has read yet was received, and is held
          count(t.delivered),
          count(t.held + t.unread),
          count(t.discarded),
          t.lag_bytes === 0 ? "" : size(t.lag_bytes),
          t.oldest_unsent_age === null ? "" : duration(t.oldest_unsent_age),
        ],
      })),
      "no message yet",
    );
    const omitted = status.topics_omitted ?? 0;
    put(at("topics-note"), omitted > 0 ? `the ${TOPICS} most urgent; ${count(omitted)} more` : "");
    fill(
      "brokers",
      status.brokers.map((b) => {
        const wait = b.throttled_until !== null && b.throttled_until > now ? b.throttled_until - now : 0;
        const parts = [b.reason === undefined ? b.state : `${b.state}: ${b.reason}`];
        if (wait > 0) parts.push(`throttled for ${duration(wait)}`);
        const slow = b.slow_replicas.map((ids) => ids.slice(1).join("+") || "itself");
        if (slow.length > 0) parts.push(`slow copies on ${slow.join(", ")}`);
        return {
          kind: b.state === "down" || b.state === "refused" ? "trouble" : "",
          cells: [b.id, b.address, parts.join(", "), count(b.in_flight)],
        };
      }),
      status.metadata.last_updated !== null
        ? "none was needed yet"
        : ["none known yet", status.metadata.reason].filter((part) => part !== undefined).join(": "),
    );
    const learned = status.metadata.last_updated;
    put(
      at("brokers-note"),
      learned === null ? "no metadata yet" : `metadata ${duration(Math.max(0, now - learned))} old`,
    );
    fill(
      "inputs",
      status.inputs.map((i) => ({
        kind: "",
        cells: [
          i.input,
          i.address,
          count(i.received),
          size(i.received_bytes),
          i.input === "datagram" ? "" : count(i.connections_open),
          i.input === "datagram" ? "" : count(i.connections_accepted),
          i.input === "datagram" ? "" : count(i.unclean_disconnects),
        ],
      })),
      "none",
    );
    const reasons = Object.entries(status.ledger.discards_by_reason).sort((a, b) => b[1] - a[1]);
    at("discards-section").hidden = reasons.length === 0;
    fill(
      "discards",
      reasons.map(([reason, n]) => ({ kind: "", cells: [reason.replaceAll("_", " "), count(n)] })),
      "none",
    );
  }

  /** The next of 1, 2, 5, 10, 20 … that is not below `value`. */
  function ceiling(value) {
    const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
    return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= value) ?? power * 10;
  }

  /** What the charts show: as much as there is, in steps, so that a page just opened does not look empty. */
  function shownSpan() {
    const covered = samples.length === 0 ? 0 : samples.at(-1).at - samples[0].at;
    return [MINUTE, 2 * MINUTE].find((span) => covered <= span) ?? KEPT;
  }

  function ago(ms) {
    return ms < MINUTE || ms % MINUTE !== 0 ? `−${ms / 1000} s` : `−${ms / MINUTE} min`;
  }

  function draw(id, lines) {
    const canvas = at(id);
    const { width, height } = canvas.getBoundingClientRect();
    const scale = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const g = canvas.getContext("2d");
    g.scale(scale, scale);
    const colours = getComputedStyle(document.documentElement);
    const colour = (name) => colours.getPropertyValue(`--${name}`);
    const box = { left: 44, right: width - 6, top: 8, bottom: height - 20 };
    const end = samples.at(-1)?.at ?? 0;
    const top = ceiling(Math.max(1, ...samples.flatMap((sample) => lines.map((line) => sample[line.field] ?? 0))));
    const span = shownSpan();
    const x = (time) => box.right - ((end - time) / span) * (box.right - box.left);
    const y = (value) => box.bottom - (value / top) * (box.bottom - box.top);

    g.font = "11px system-ui, sans-serif";
    g.fillStyle = colour("soft");
    g.strokeStyle = colour("line");
    g.lineWidth = 1;
    g.textAlign = "right";
    g.textBaseline = "middle";
    for (const part of [0, 0.5, 1]) {
      const level = Math.round(y(top * part)) + 0.5;
      g.beginPath();
      g.moveTo(box.left, level);
      g.lineTo(box.right, level);
      g.stroke();
      g.fillText(short.format(top * part), box.left - 6, level);
    }
    g.textAlign = "center";
    g.textBaseline = "alphabetic";
    const step = span === KEPT ? MINUTE : span / 4;
    for (let age = step; age < span; age += step) g.fillText(ago(age), x(end - age), height - 5);
    g.textAlign = "right";
    g.fillText("now", box.right, height - 5);

    for (const line of lines) {
      const points = samples.filter((sample) => sample[line.field] !== null);
      if (points.length < 2) continue;
      g.strokeStyle = g.fillStyle = colour(line.colour);
      g.lineWidth = 1.6;
      g.lineJoin = "round";
      g.beginPath();
      // The first lineTo of a path only moves.
      for (const sample of points) g.lineTo(x(sample.at), y(sample[line.field]));
      g.stroke();
      if (line.area) {
        g.lineTo(x(end), box.bottom);
        g.lineTo(x(points[0].at), box.bottom);
        g.globalAlpha = 0.15;
        g.fill();
        g.globalAlpha = 1;
      }
    }
    const marked = pointed();
    if (marked !== undefined && pointedAt !== null) {
      g.strokeStyle = colour("soft");
      g.lineWidth = 1;
      g.beginPath();
      g.moveTo(x(marked.at), box.top);
      g.lineTo(x(marked.at), box.bottom);
      g.stroke();
    }
  }

  /** The sample under the pointer, or the last one. */
  function pointed() {
    const last = samples.at(-1);
    if (pointedAt === null || last === undefined) return last;
    const time = last.at - (1 - pointedAt) * shownSpan();
    return samples.reduce((best, s) => (Math.abs(s.at - time) < Math.abs(best.at - time) ? s : best), last);
  }

  function drawAll() {
    draw("rates", [
      { field: "receivedRate", colour: "received" },
      { field: "deliveredRate", colour: "delivered" },
    ]);
    draw("backlog", [{ field: "held", colour: "held", area: true }]);
    const sample = pointed();
    if (sample === undefined) return;
    put(at("key-received"), sample.receivedRate === null ? "" : rate(sample.receivedRate));
    put(at("key-delivered"), sample.deliveredRate === null ? "" : rate(sample.deliveredRate));
    put(at("key-held"), count(sample.held));
  }

  function show(status) {
    remember(status);
    pill(status.state, { starting: "warning", running: "good", stopping: "warning" }[status.state] ?? "");
    const cluster = status.metadata.cluster_id === null ? "" : ` · cluster ${status.metadata.cluster_id}`;
    const up = duration(status.now - status.started_at);
    put(at("about"), `${status.version} · up ${up} · pid ${status.pid} · acks ${status.acks}${cluster}`);
    put(
      at("memory"),
      `memory ${size(status.memory.rss)} · batches ${size(status.memory.batches)} · ` +
        `queue ${size(status.queue.bytes)} of ${size(status.queue.capacity)}`,
    );
    put(at("buffer"), bufferText(status.buffer));
    showAlerts(alerts(status));
    showLedger(status);
    showTables(status);
    drawAll();
    document.title = `bruce · ${count(status.ledger.held)} held`;
  }

  function showAbsence() {
    pill("no answer", "bad");
    const since = lastAnswer === 0 ? "" : ` for ${duration(Date.now() - lastAnswer)}; what is below is from then`;
    showAlerts([["bad", `bruce has not answered${since}.`]]);
    document.title = "bruce · no answer";
  }

  async function poll() {
    try {
      const answer = await fetch(`/api/v1/status?topics=${TOPICS}`, { signal: AbortSignal.timeout(5000) });
      if (!answer.ok) throw new Error(String(answer.status));
      const status = await answer.json();
      lastAnswer = Date.now();
      show(status);
    } catch {
      showAbsence();
    }
    setTimeout(() => void poll(), INTERVAL);
  }

  for (const id of ["rates", "backlog"]) {
    const canvas = at(id);
    canvas.addEventListener("pointermove", (event) => {
      const { left, width } = canvas.getBoundingClientRect();
      pointedAt = Math.min(1, Math.max(0, (event.clientX - left - 44) / (width - 50)));
      drawAll();
    });
    canvas.addEventListener("pointerleave", () => {
      pointedAt = null;
      drawAll();
    });
  }
  window.addEventListener("resize", drawAll);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  void poll();
})();
