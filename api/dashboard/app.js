// The page: which view is open (kept in the URL), whether the stream is alive, title, favicon and what is said aloud.

import { attr, show, text } from "./dom.js";
import { ago, duration, percent, sentence, shown, title } from "./format.js";
import { ListView } from "./list.js";
import { RunView } from "./run.js";
import { query } from "./requests.js";
import { role, signIn, signOut } from "./signin.js";

const SAY_EVERY_MS = 10000;
const SIGNED_IN = "progress-ledger signed in";
const COLOURS = { running: "#2f6fd0", stalled: "#b45f06", failed: "#c4314b", completed: "#2b8a4b", interrupted: "#7d4cc0" };

const main = document.getElementById("main");
const link = document.getElementById("link");
const linkText = document.getElementById("link-text");
const linkRetry = document.getElementById("link-retry");
const said = document.getElementById("said");

let view = null;
let state = null;
let saying = { text: "", at: 0, timer: null };

/** Changes the URL and with it the page; `{}` is the plain list. */
function go(values, { replace = false } = {}) {
  const to = query(values) || "./";
  history[replace ? "replaceState" : "pushState"](null, "", to);
  open(!replace);
}

function open(moved = false) {
  const params = new URLSearchParams(location.search);
  const id = params.get("run");
  const wanted = id ? RunView : ListView;
  const before = view;
  if (!(view instanceof wanted) || (id && view.id !== id)) {
    view = id ? new RunView(id, { go, onState, onSummary: runSummary }) : new ListView({ go, onState, onSummary: listSummary });
    main.replaceChildren(view.root);
    if (moved) {
      scrollTo(0, 0);
      main.focus({ preventScroll: true });
    }
  }
  view.open(params);
  if (before && before !== view) before.close();
}

// ---- the light at the top ------------------------------------------------------------------------------------------

const REASONS = {
  unauthorized: "Sign in to see the runs", forbidden: "Not allowed", not_found: "Not found", pruned: "Archived",
  busy: "Server busy", drain: "Server restarting",
};

function onState(next) {
  state = next;
  light();
  if (next.phase === "stopped" && next.reason === "unauthorized") askForToken();
}

/** Puts the form in the place of the view; once signed in, the page starts anew with the cookie. */
function askForToken() {
  if (main.querySelector(".signin")) return;
  view?.close();
  const form = signIn(() => {
    localStorage.setItem(SIGNED_IN, "yes"); // not the token: only that there is one to forget
    location.reload();
  });
  main.replaceChildren(form.root);
  document.title = "Sign in – progress-ledger";
  form.focus();
}

/** Readers are not shown what they may not do; who came with a cookie can leave. */
async function whoAmI() {
  const mine = await role();
  document.body.dataset.role = mine ?? "";
  if (mine === "none") askForToken();
  const out = document.getElementById("signout");
  show(out, mine !== "none" && localStorage.getItem(SIGNED_IN) !== null);
  out.addEventListener("click", () => signOut().finally(() => (localStorage.removeItem(SIGNED_IN), location.reload())));
}

function light() {
  if (!state) return;
  const { phase, reason, retryAt, heardAt } = state;
  const seconds = retryAt ? Math.max(0, Math.ceil((retryAt - Date.now()) / 1000)) : 0;
  const age = heardAt ? ago(heardAt, Date.now()) : "";
  const words = {
    connecting: "Connecting…",
    live: Date.now() - (heardAt ?? 0) < 3000 ? "Live" : `Live · heard ${age}`,
    polling: `Asking every 2s · heard ${age}`,
    waiting: `${REASONS[reason] ?? "Disconnected"} · again in ${seconds}s${heardAt ? ` · data ${age}` : ""}`,
    ended: "This run is over",
    stopped: REASONS[reason] ?? `Stopped: ${reason}`,
  };
  attr(link, "data-phase", phase);
  attr(link, "title", phase === "waiting" ? reason : null);
  text(linkText, words[phase] ?? phase);
  show(linkRetry, phase === "waiting" || phase === "polling");
}

// ---- what is said, the title, the favicon --------------------------------------------------------------------------

/** Says a sentence to screen readers: only when it changed, and at most every ten seconds. */
function say(sentence) {
  saying.next = sentence;
  if (saying.timer || sentence === saying.text) return;
  const wait = Math.max(0, saying.at + SAY_EVERY_MS - Date.now());
  saying.timer = setTimeout(() => {
    saying = { text: saying.next, next: saying.next, at: Date.now(), timer: null };
    text(said, saying.text);
  }, wait);
}

let icon = "";
function favicon(colour, part) {
  const key = `${colour}${part === null ? "" : Math.floor(part / 5)}`;
  if (key === icon) return;
  icon = key;
  const length = 37.7;
  const arc = part === null ? length : (length * part) / 100;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6" fill="none" stroke="#8884" stroke-width="4"/>` +
    `<circle cx="8" cy="8" r="6" fill="none" stroke="${colour}" stroke-width="4" stroke-dasharray="${arc} 99" transform="rotate(-90 8 8)"/></svg>`;
  document.getElementById("favicon").setAttribute("href", `data:image/svg+xml,${encodeURIComponent(svg)}`);
}

function listSummary(counts) {
  if (!counts) return;
  const parts = ["stalled", "running", "queued", "failed"].filter((name) => counts[name]).map((name) => `${counts[name]} ${name}`);
  const summary = parts.join(" · ") || "nothing runs";
  document.title = `${summary} – progress-ledger`;
  favicon(counts.stalled ? COLOURS.stalled : counts.running ? COLOURS.running : "#8a94a3", null);
  say(`Runs: ${parts.join(", ") || "nothing runs"}`);
}

function runSummary(run) {
  const part = percent(run);
  document.title = `${part === null || run.status === "completed" ? "" : `${part} % `}${shown(run)} · ${title(run)} – progress-ledger`;
  favicon(COLOURS[shown(run)] ?? "#8a94a3", part);
  say(run.eta_seconds > 0 && !run.stalled ? `${sentence(run)}, about ${duration(run.eta_seconds)} left` : sentence(run));
}

linkRetry.addEventListener("click", () => view?.retry());
addEventListener("popstate", () => open(true));
document.addEventListener("click", (event) => {
  const anchor = event.target.closest?.("a[data-nav]");
  if (!anchor || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  history.pushState(null, "", anchor.href);
  open(true);
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.matches("input, textarea, select")) return;
  const search = main.querySelector("input[type=search]");
  if (search) (event.preventDefault(), search.focus());
});
setInterval(light, 1000);
open();
whoAmI();
