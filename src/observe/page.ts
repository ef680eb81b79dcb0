// The status page: one HTML document with everything in it. Its policy lets nothing else run or load.
import { createHash } from "node:crypto";
import script from "./page.client.js" with { type: "text" };
import style from "./page.css" with { type: "text" };

const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E" +
  "%3Cpath d='M2 4h7l5 4-5 4H2l4-4z' fill='%232563eb'/%3E%3C/svg%3E";

function hashOf(source: string): string {
  return `'sha256-${createHash("sha256").update(source).digest("base64")}'`;
}

/** Only the script and the style of this very page, and requests back to where it came from. */
export const PAGE_POLICY = [
  "default-src 'none'",
  `script-src ${hashOf(script)}`,
  `style-src ${hashOf(style)}`,
  "connect-src 'self'",
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

export const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>bruce</title>
<link rel="icon" href="${ICON}">
<style>${style}</style>
</head>
<body>
<header>
  <h1>bruce</h1>
  <span id="state" class="pill" role="status">loading</span>
  <p id="about"></p>
</header>
<main>
<div id="alerts" role="alert"></div>
<section class="ledger" aria-label="Ledger">
  <div class="figure received"><span class="name">received</span><b id="received">–</b><span id="received-rate" class="note"></span></div>
  <span class="sign" aria-hidden="true">=</span>
  <div class="figure delivered"><span class="name">delivered</span><b id="delivered">–</b><span id="delivered-rate" class="note"></span></div>
  <span class="sign" aria-hidden="true">+</span>
  <div class="figure held"><span class="name">held</span><b id="held">–</b><span id="held-note" class="note"></span></div>
  <span class="sign" aria-hidden="true">+</span>
  <div class="figure discarded"><span class="name">discarded</span><b id="discarded">–</b><span id="discarded-note" class="note"></span></div>
</section>
<p id="balance" class="note"></p>
<section class="charts">
  <figure>
    <figcaption>Messages per second
      <span class="key received">received <b id="key-received"></b></span>
      <span class="key delivered">delivered <b id="key-delivered"></b></span>
    </figcaption>
    <canvas id="rates" role="img" aria-label="Messages received and delivered per second"></canvas>
  </figure>
  <figure>
    <figcaption>Backlog <span class="key held">messages held <b id="key-held"></b></span></figcaption>
    <canvas id="backlog" role="img" aria-label="Messages held"></canvas>
  </figure>
</section>
<section>
  <h2>Topics <span id="topics-note" class="note"></span></h2>
  <div class="scroll"><table id="topics"><thead><tr>
    <th>topic</th><th>state</th><th class="n">received</th><th class="n">delivered</th><th class="n">held</th>
    <th class="n">discarded</th><th class="n">lag</th><th class="n">oldest</th>
  </tr></thead><tbody></tbody></table></div>
</section>
<section>
  <h2>Brokers <span id="brokers-note" class="note"></span></h2>
  <div class="scroll"><table id="brokers"><thead><tr>
    <th>id</th><th>address</th><th>state</th><th class="n">in flight</th>
  </tr></thead><tbody></tbody></table></div>
</section>
<section>
  <h2>Inputs</h2>
  <div class="scroll"><table id="inputs"><thead><tr>
    <th>input</th><th>address</th><th class="n">messages</th><th class="n">bytes</th><th class="n">connections</th>
    <th class="n">accepted</th><th class="n">unclean</th>
  </tr></thead><tbody></tbody></table></div>
</section>
<section id="discards-section" hidden>
  <h2>Discards</h2>
  <div class="scroll"><table id="discards"><thead><tr>
    <th>reason</th><th class="n">messages</th>
  </tr></thead><tbody></tbody></table></div>
</section>
</main>
<footer>
  <a href="/api/v1/status">status as JSON</a> <a href="/metrics">metrics</a> <span id="memory"></span> <span id="buffer"></span>
</footer>
<noscript>This page needs JavaScript; <a href="/api/v1/status">the status as JSON</a> does not.</noscript>
<script>${script}</script>
</body>
</html>
`;
