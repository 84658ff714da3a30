// Progress on other people's pages:
//
//   <script type="module" src="https://ledger.example/embed.js"></script>
//   <progress-run src="https://ledger.example/v1/runs/qa-7"></progress-run>            one run, in the text
//   <progress-run src="…/v1/runs/current?kind=bulk_qa" variant="panel"></progress-run>  a corner, folded or open
//   <progress-banner src="https://ledger.example/healthz"></progress-banner>             what gates the service
//
// Attributes: `src`; `variant` (`inline`, `panel`); `heading` instead of the run's own title. A token, where one is
// needed, is set as the property `token`, never in an address. Events: `progress`, `final` and `dismiss`, with the
// run in `detail`. Styled from outside by the custom properties --progress-accent, --progress-ground, --progress-ink.

import { TERMINAL, follow } from "./client.js";
import { amount, clock, duration, finishing, over, percent, percentText, progress, sentence, shown, title } from "./static/format.js";

const STYLES = `
:host { --accent: var(--progress-accent, #1d5bb8); --ground: var(--progress-ground, #fff); --ink: var(--progress-ink, #1a222d);
  --dim: color-mix(in srgb, var(--ink) 72%, var(--ground)); --line: color-mix(in srgb, var(--ink) 16%, var(--ground)); --tone: var(--accent);
  display: block; color: var(--ink); font: 14px/1.4 "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", Arial, sans-serif; font-variant-numeric: tabular-nums }
@media (prefers-color-scheme: dark) { :host { --accent: var(--progress-accent, #6ea8ff); --ground: var(--progress-ground, #161b22); --ink: var(--progress-ink, #e4e9ef) } }
:host([hidden]), [hidden] { display: none !important }
.box { background: var(--ground); border: 1px solid var(--line); border-radius: 10px; padding: .6rem .8rem }
.box[data-status="failed"] { --tone: #c02641 } .box[data-status="stalled"] { --tone: #a55600 }
.box[data-status="interrupted"] { --tone: #7a4cc4 } .box[data-status="completed"] { --tone: #1f7d47 }
@media (prefers-color-scheme: dark) {
  .box[data-status="failed"] { --tone: #ff8494 } .box[data-status="stalled"] { --tone: #f2ae55 }
  .box[data-status="interrupted"] { --tone: #bd9cff } .box[data-status="completed"] { --tone: #63cd8a } }
.line { display: flex; gap: .7rem; align-items: baseline; justify-content: space-between }
.name { font-weight: 650; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; min-width: 0 }
.share { font-weight: 650; white-space: nowrap } .status { color: var(--tone); font-weight: 600; white-space: nowrap }
.sub { color: var(--dim); font-size: .86rem; overflow-wrap: anywhere } .box[data-status="failed"] .sub { color: var(--tone) }
.bar { height: 6px; border-radius: 3px; background: var(--line); overflow: hidden; margin: .35rem 0 }
.bar i { display: block; height: 100%; background: var(--tone); transform: scaleX(var(--part, 0)); transform-origin: 0 50%; transition: transform .4s ease-out }
.bar[data-unknown] i { width: 15%; transform: none; opacity: .75; background: repeating-linear-gradient(115deg, var(--tone) 0 6px, transparent 6px 12px) }
button { font: inherit; color: var(--dim); background: none; border: 1px solid transparent; border-radius: 6px; padding: .1rem .4rem; cursor: pointer; min-width: 24px; min-height: 24px }
button:hover { border-color: var(--line) } button:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px }
dl { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; margin: .5rem 0 0 } dt { color: var(--dim); font-size: .82rem } dd { margin: 0; font-weight: 650; font-size: 1.05rem }
:host([variant="panel"]) { position: fixed; right: 1rem; bottom: 1rem; width: min(22rem, calc(100vw - 2rem)); z-index: 50 }
:host([variant="panel"]) .box { box-shadow: 0 6px 24px #0003 }
.banner { display: flex; gap: .8rem; align-items: center; border-left: 4px solid var(--tone) } .banner .text { flex: 1; min-width: 0; overflow-wrap: anywhere }
@media (prefers-reduced-motion: reduce) { .bar i { transition: none } }`;

let sheet = null;
function styled(root) {
  sheet ??= new CSSStyleSheet();
  if (!sheet.cssRules.length) sheet.replaceSync(STYLES);
  root.adoptedStyleSheets = [sheet];
  return root;
}

function make(tag, name, attributes = {}) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

const say = (node, words) => node.textContent !== words && (node.textContent = words);
const SAY_EVERY_MS = 10000;

/** `…/v1/runs/qa-7` → where the ledger is mounted, and what to follow. */
export function target(src) {
  const url = new URL(src, document.baseURI);
  const cut = url.pathname.lastIndexOf("/v1/");
  if (cut < 0) return { base: new URL("./", url).href, path: url.pathname.split("/").pop() + url.search };
  const base = new URL(url.pathname.slice(0, cut + 1), url).href;
  const path = url.pathname.slice(cut + 1);
  const id = /^v1\/runs\/([^/]+?)(\/stream)?$/.exec(path)?.[1];
  return { base, path: path + url.search, id: id && id !== "current" ? decodeURIComponent(id) : null };
}

async function ask(base, path, token) {
  const secret = typeof token === "function" ? await token() : token;
  const headers = { Accept: "application/json", ...(secret ? { Authorization: `Bearer ${secret}` } : {}) };
  const response = await fetch(base + path, { headers, credentials: "same-origin", cache: "no-store" });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return response.status === 204 ? null : response.json();
}

class Followed extends HTMLElement {
  static observedAttributes = ["src"];
  token = null;
  run = null;
  #following = null;
  #timer = null;
  #turn = 0;

  connectedCallback() {
    if (!this.shadowRoot) this.build(styled(this.attachShadow({ mode: "open" })));
    this.restart();
  }

  disconnectedCallback() {
    this.#stop();
  }

  attributeChangedCallback() {
    if (this.isConnected && this.shadowRoot) this.restart();
  }

  #stop() {
    this.#turn += 1;
    clearTimeout(this.#timer);
    this.#following?.close();
    this.#following = null;
  }

  /** Follows what `src` names, from the start. */
  restart() {
    this.#stop();
    this.run = null;
    this.dismissed = false;
    this.paint(null);
    const src = this.getAttribute("src");
    if (!src) return;
    const aim = target(src);
    if (aim.id) this.#follow(aim.base, aim.id);
    else this.#look(aim, this.#turn);
  }

  #follow(base, id) {
    this.#following = follow(id, {
      url: base, token: this.token ?? undefined, every: "500ms",
      onSnapshot: (run) => this.#take(run, "progress"),
      onFinal: (run) => this.#take(run, "final"),
      onState: (state) => this.paint(this.run, state),
    });
  }

  #take(run, event) {
    this.run = run;
    this.paint(run, this.#following?.state);
    this.dispatchEvent(new CustomEvent(event, { detail: run, bubbles: true }));
  }

  /** What `src` names is found out first: the current run of a kind, the newest of a list, or what gates a service. */
  async #look({ base, path }, turn) {
    let next = 30000; // one request at a time, and only while there is nothing to follow
    try {
      const answer = await ask(base, path, this.token);
      if (turn !== this.#turn) return;
      if (answer?.gates) this.gates(answer, base);
      else {
        const run = answer?.runs ? answer.runs[0] : answer;
        if (run && (!TERMINAL.has(run.status) || !this.run)) {
          this.#follow(base, run.run_id);
          return;
        }
      }
      if (answer?.gates && !answer.gated) next = 60000;
    } catch {
      if (turn !== this.#turn) return;
      this.unread?.(); // not being able to read progress says nothing about the run
      next = 10000;
    }
    this.#timer = setTimeout(() => this.#look({ base, path }, turn), next * (0.9 + Math.random() * 0.2));
  }

  dismiss() {
    this.dismissed = true;
    this.paint(this.run);
    this.dispatchEvent(new CustomEvent("dismiss", { detail: this.run, bubbles: true }));
  }

  name(run) {
    return this.getAttribute("heading") || title(run);
  }
}

/** One run: title, how much of how much, a bar; open, its outcomes too. A finished run stays until dismissed. */
export class ProgressRun extends Followed {
  #said = 0;

  build(root) {
    this.box = make("section", "box", { "aria-label": "Progress", hidden: "" });
    const line = make("div", "line");
    this.heading = make("bdi", "name");
    this.share = make("span", "share");
    this.fold = make("button", "", { type: "button", "aria-expanded": "false", "aria-label": "Details" });
    this.fold.addEventListener("click", () => ((this.open = !this.open), this.paint(this.run)));
    this.away = make("button", "", { type: "button", "aria-label": "Dismiss" });
    this.away.textContent = "✕";
    this.away.addEventListener("click", () => this.dismiss());
    line.append(this.heading, this.share, this.fold, this.away);
    this.bar = make("div", "bar", { role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100" });
    this.bar.append(make("i"));
    this.sub = make("div", "sub");
    this.more = make("dl");
    this.aloud = make("div", "", { role: "status", "aria-live": "polite" });
    this.aloud.style.cssText = "position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)";
    this.box.append(line, this.bar, this.sub, this.more, this.aloud);
    root.append(this.box);
  }

  paint(run, state) {
    if (!this.box) return;
    this.box.hidden = !run || Boolean(this.dismissed);
    if (!run) return;
    const panel = this.getAttribute("variant") === "panel";
    const value = percent(run);
    this.box.dataset.status = shown(run);
    say(this.heading, this.name(run));
    say(this.share, panel ? progress(run) : percentText(run));
    say(this.sub, `${this.words(run)}${this.trouble(state)}`);
    for (const [key, words] of [["aria-label", this.name(run)], ["aria-valuetext", sentence(run)]]) this.bar.setAttribute(key, words);
    this.bar.toggleAttribute("data-unknown", value === null && !over(run));
    if (value === null) this.bar.removeAttribute("aria-valuenow");
    else this.bar.setAttribute("aria-valuenow", value);
    this.bar.firstChild.style.setProperty("--part", String((value ?? 0) / 100));
    this.fold.hidden = !panel;
    this.away.hidden = !(panel && over(run));
    this.fold.setAttribute("aria-expanded", String(Boolean(this.open)));
    say(this.fold, this.open ? "▾" : "▸");
    const counts = panel && !this.open ? [] : Object.entries(run.counts ?? {});
    this.more.hidden = !counts.length;
    this.more.replaceChildren(...counts.map(([key, number]) => {
      const pair = make("div");
      pair.append(Object.assign(make("dt"), { textContent: key.replaceAll("_", " ") }), Object.assign(make("dd"), { textContent: amount(number) }));
      return pair;
    }));
    if (Date.now() - this.#said < SAY_EVERY_MS && !over(run)) return;
    this.#said = Date.now();
    say(this.aloud, `${this.name(run)}: ${sentence(run)}`);
  }

  words(run) {
    const status = shown(run);
    if (status === "failed") return `Failed: ${run.error || "no error was given"}`;
    if (status === "interrupted") return "Interrupted: the producer is gone. Start it again.";
    if (status === "completed") return `Completed in ${duration(run.elapsed_seconds)}`;
    if (status === "stalled") return `No progress since ${clock(run.last_progress_at ?? run.started_at)}`;
    if (status === "cancelled" || status === "queued" || status === "paused") return status[0].toUpperCase() + status.slice(1);
    if (finishing(run)) return `Finishing${run.stage ? `: ${run.stage}` : ""}`;
    const left = run.eta_seconds > 0 ? `${duration(run.eta_seconds)} left · ${clock(run.finish_at)}` : "";
    return [run.stage, progress(run), left].filter(Boolean).join(" · ");
  }

  trouble(state) {
    if (!state || this.run === null || over(this.run)) return "";
    if (state.phase === "waiting") return " · progress refresh failed, trying again";
    return state.phase === "stopped" ? ` · progress can't be read (${state.reason})` : "";
  }
}

const KEEP_FAILED_MS = 600000;

/** A line across the page while something runs, or while what gates the service does. Failures stay for ten minutes. */
export class ProgressBanner extends Followed {
  build(root) {
    this.box = make("div", "box banner", { role: "status", "aria-live": "polite", hidden: "" });
    this.text = make("span", "text", { dir: "auto" });
    this.away = make("button", "", { type: "button", "aria-label": "Dismiss" });
    this.away.textContent = "✕";
    this.away.addEventListener("click", () => this.dismiss());
    this.box.append(this.text, this.away);
    root.append(this.box);
  }

  paint(run) {
    if (!this.box) return;
    clearTimeout(this.hiding);
    const ended = run ? Date.parse(run.finished_at ?? "") : NaN;
    const expired = run && over(run) && !Number.isNaN(ended) && Date.now() - ended > KEEP_FAILED_MS;
    const quiet = !run || this.dismissed || expired || (over(run) && run.status !== "failed" && run.status !== "interrupted");
    this.box.hidden = Boolean(quiet);
    if (quiet) return;
    this.box.dataset.status = shown(run);
    this.away.hidden = !over(run);
    if (over(run)) {
      say(this.text, `${this.name(run)} ${run.status}: ${run.error || run.message || "the producer is gone"}`);
      if (!Number.isNaN(ended)) this.hiding = setTimeout(() => this.paint(this.run), ended + KEEP_FAILED_MS - Date.now() + 50);
      return;
    }
    this.tell(`${this.name(run)}: ${progress(run)}${this.rest(run)}`);
  }

  rest(run) {
    if (run.stalled) return " – stalled";
    return run.eta_seconds > 0 ? ` (ETA ${duration(run.eta_seconds)})` : percent(run) === null ? "" : ` (${percent(run)} %)`;
  }

  /** What is read aloud by itself changes at most every ten seconds. */
  tell(words) {
    const wait = (this.toldAt ?? 0) + SAY_EVERY_MS - Date.now();
    clearTimeout(this.telling);
    if (wait > 0 && !this.box.hidden && this.text.textContent) this.telling = setTimeout(() => this.tell(words), wait);
    else {
      this.toldAt = Date.now();
      say(this.text, words);
    }
  }

  gates({ gated, gates }) {
    this.box.hidden = !gated;
    this.away.hidden = true;
    this.box.dataset.status = "running";
    const each = gates.map((gate) => `${gate.name}: ${gate.percent === null ? "under way" : `${Math.min(99, Math.floor(gate.percent))} %`}` +
      (gate.eta > 0 ? ` (ETA ${duration(gate.eta)})` : ""));
    if (gated) this.tell(each.join(" · ") || "Maintenance is under way");
  }

  unread() {
    // Fails closed: a banner that was up stays up.
  }
}

if (!customElements.get("progress-run")) customElements.define("progress-run", ProgressRun);
if (!customElements.get("progress-banner")) customElements.define("progress-banner", ProgressBanner);
