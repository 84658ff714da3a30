// The list of runs: counts, filters kept in the URL, rows patched in place.

import { arrange, attr, h, icon, perFrame, show, text } from "./dom.js";
import { STATUS_WORDS } from "./format.js";
import { Row, tableHead } from "./row.js";
import { Store } from "./store.js";
import { serverNow } from "./requests.js";

const FILTERS = ["status", "kind", "scope", "label", "q"];
const CHIPS = ["stalled", "running", "paused", "queued", "failed", "interrupted", "cancelled", "completed"];
const FILL_MS = 8; // of one frame, for filling rows nobody looks at yet
const NEW_ROWS = 60; // built in one frame: a thousand at once would block the page for a third of a second

export class ListView {
  #rows = new Map();
  #seen = new Set(); // ids of rows in or near the window
  #dirty = new Set();
  #order = "";
  #held = false; // the pointer or the focus is on a row: nothing moves
  #kinds = new Set();

  constructor({ go, onState, onSummary }) {
    Object.assign(this, { go, onSummary });
    this.store = new Store({ onState, onChange: (what) => this.#changed(what) });
    this.paint = perFrame(() => this.#paint());
    this.#build();
  }

  #build() {
    this.chips = new Map();
    const chips = CHIPS.map((name) => {
      const number = h("b", {}, "–");
      const word = h("span", {}, STATUS_WORDS[name]);
      const chip = h("button.chip", { type: "button", "data-status": name, "aria-pressed": "false" }, icon(name), number, word);
      chip.addEventListener("click", () => this.#set("status", this.filters.status === name ? "" : name));
      this.chips.set(name, { chip, number });
      return chip;
    });
    this.fields = {
      q: h("input", { type: "search", id: "f-q", placeholder: "Search runs", autocomplete: "off", "aria-label": "Search runs" }),
      kind: h("select", { id: "f-kind", "aria-label": "Kind" }, h("option", { value: "" }, "All kinds")),
      scope: h("input", { id: "f-scope", placeholder: "Scope", autocomplete: "off", "aria-label": "Scope" }),
      label: h("input", { id: "f-label", placeholder: "Label key:value", autocomplete: "off", "aria-label": "Label" }),
    };
    let wait;
    for (const [name, field] of Object.entries(this.fields))
      field.addEventListener(name === "kind" ? "change" : "input", () => {
        clearTimeout(wait);
        wait = setTimeout(() => this.#set(name, field.value.trim()), name === "kind" ? 0 : 250);
      });
    this.clear = h("button.quiet", { type: "button", hidden: true, onclick: () => this.go({}) }, "Clear filters");
    this.notice = h("p.notice", { hidden: true });
    this.body = h("div.rows", { role: "rowgroup" });
    this.table = h("div.table", { role: "table", "aria-label": "Runs", "aria-busy": "true" }, tableHead(), this.body);
    this.message = h("div.message");
    this.older = h("button.wide", { type: "button", hidden: true, onclick: () => this.#more() }, "Show older runs");
    this.hint = h("span.hint", { "aria-hidden": "true" });
    this.root = h("div.list", {},
      h("h1.unseen", {}, "Runs"),
      h("div.chips", { role: "group", "aria-label": "Filter by status" }, chips),
      h("div.filters", { role: "search" }, h("span.search", {}, icon("search"), this.fields.q), this.fields.kind, this.fields.scope,
        this.fields.label, this.clear, this.hint),
      this.notice, this.table, this.message, this.older);
    for (const [on, held] of [["pointerenter", true], ["pointerleave", false], ["focusin", true], ["focusout", false]])
      this.body.addEventListener(on, () => this.#hold(held));
    this.body.addEventListener("click", (event) => this.#click(event));
    this.body.addEventListener("keydown", (event) => this.#key(event));
    this.watch = new IntersectionObserver((entries) => this.#intersect(entries), { rootMargin: "300px" });
  }

  open(params) {
    this.filters = Object.fromEntries(FILTERS.map((name) => [name, params.get(name) ?? ""]));
    if (params.get("stalled") === "true") this.filters.status = "stalled";
    for (const [name, field] of Object.entries(this.fields)) if (document.activeElement !== field) field.value = this.filters[name];
    this.#kind(this.filters.kind);
    this.fields.kind.value = this.filters.kind;
    for (const [name, { chip }] of this.chips) attr(chip, "aria-pressed", String(this.filters.status === name));
    show(this.clear, FILTERS.some((name) => this.filters[name]));
    this.store.open(this.filters);
    this.#order = "";
    this.paint();
    this.clockwork ??= setInterval(() => this.#tick(), 1000);
  }

  retry() {
    this.store.retry();
  }

  close() {
    clearInterval(this.clockwork);
    this.clockwork = null;
    this.store.close();
  }

  #set(name, value) {
    this.go({ ...this.filters, [name]: value }, { replace: name !== "status" && name !== "kind" });
  }

  async #more() {
    this.older.disabled = true;
    await this.store.more().catch((error) => this.#tell(error));
    this.older.disabled = false;
  }

  #tell(error) {
    text(this.notice, error ? `The list could not be read: ${error.message}` : "");
    show(this.notice, Boolean(error));
  }

  #changed(what) {
    if (what === null) for (const id of this.store.runs.keys()) this.#dirty.add(id);
    else if (typeof what === "string") this.#dirty.add(what);
    this.paint();
  }

  #hold(held) {
    this.#held = held || this.body.contains(document.activeElement) || this.body.matches(":hover");
    if (!this.#held) this.paint();
  }

  #intersect(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this.#seen.add(target.dataset.run);
      else this.#seen.delete(target.dataset.run);
    }
    this.paint();
  }

  #paint() {
    if (!this.clockwork) return;
    const { store } = this;
    const runs = store.visible();
    const order = runs.map((run) => run.run_id);
    const key = order.join("\n");
    let waiting = 0;
    if (key !== this.#order) {
      if (this.#held && this.#order) waiting = this.#difference(order);
      else this.#arrange(runs, key);
    }
    attr(this.hint, "data-on", waiting > 0);
    text(this.hint, waiting ? `${waiting} change${waiting === 1 ? "" : "s"} of order wait while you are on the list` : "");
    this.#fill();
    this.#frame(runs.length);
  }

  #difference(order) {
    const held = this.#order.split("\n");
    return order.filter((id, at) => held[at] !== id).length || 1;
  }

  #arrange(runs, key) {
    const kept = new Set(runs.map((run) => run.run_id));
    for (const [id, row] of this.#rows)
      if (!kept.has(id)) {
        this.watch.unobserve(row.root);
        this.#rows.delete(id);
        this.#seen.delete(id);
      }
    let built = 0;
    const nodes = [];
    for (const run of runs) {
      let row = this.#rows.get(run.run_id);
      if (!row && built >= NEW_ROWS) continue;
      if (!row) {
        built += 1;
        row = new Row(run.run_id);
        this.#rows.set(run.run_id, row);
        this.#dirty.add(run.run_id);
        this.watch.observe(row.root);
        this.#kind(run.kind);
      }
      nodes.push(row.root);
    }
    arrange(this.body, nodes);
    this.#order = nodes.length === runs.length ? key : "";
    if (!this.#order) this.paint();
  }

  /** Rows in the window are written at once, the others as far as this frame has time. */
  #fill() {
    const start = performance.now();
    const now = serverNow();
    const write = (id) => {
      const run = this.store.runs.get(id);
      const row = this.#rows.get(id);
      if (run && row) row.update(run, now);
      this.#dirty.delete(id);
    };
    for (const id of this.#seen) if (this.#dirty.has(id)) write(id);
    for (const id of [...this.#dirty]) {
      if (performance.now() - start > FILL_MS) break;
      if (!this.#rows.has(id)) this.#dirty.delete(id);
      else if (!this.#rows.get(id).filled) write(id);
    }
    if ([...this.#rows.values()].some((row) => !row.filled)) this.paint();
  }

  #frame(number) {
    const { phase, counts, error, next } = this.store;
    for (const [name, { chip, number: node }] of this.chips) {
      text(node, counts ? String(counts[name] ?? 0) : "–");
      attr(chip, "data-none", counts ? !counts[name] : false);
    }
    attr(this.table, "aria-busy", String(phase === "loading"));
    const any = Object.values(this.filters).some(Boolean);
    const state = number ? "rows" : phase === "ready" ? (any ? "nomatch" : "empty") : phase;
    if (this.message.dataset.state !== state) this.#message(state, error);
    this.#tell(number ? error : null);
    show(this.table, number > 0);
    show(this.older, Boolean(next) && number > 0);
    this.onSummary(counts, number);
  }

  #message(state, error) {
    this.message.dataset.state = state;
    const lines = {
      loading: () => Array.from({ length: 6 }, () => h("div.skeleton", {}, h("i"), h("i"), h("i"))),
      empty: () => [h("h2", {}, "No runs yet"), h("p", {}, "Runs appear here by themselves as soon as one starts. Try:"),
        h("pre", {}, "progress-ledger exec -- make test\nprogress-ledger demo")],
      nomatch: () => [h("h2", {}, "No run matches these filters"),
        h("button", { type: "button", onclick: () => this.go({}) }, "Clear filters")],
      error: () => [h("h2", {}, "The runs could not be read"), h("p", {}, error?.message ?? ""),
        h("p.dim", {}, "The page keeps trying. This says nothing about the runs themselves."),
        h("button", { type: "button", onclick: () => this.store.retry() }, "Try again now")],
    };
    this.message.replaceChildren(...(lines[state]?.() ?? []));
    attr(this.message, "aria-hidden", state === "loading" ? "true" : null);
  }

  #tick() {
    const now = serverNow();
    for (const id of this.#seen) {
      const run = this.store.runs.get(id);
      if (run && !document.hidden) this.#rows.get(id)?.tick(run, now);
    }
    if (this.store.phase === "error" && now % 5000 < 1000) this.store.load();
  }

  #kind(kind) {
    if (!kind || this.#kinds.has(kind)) return;
    this.#kinds.add(kind);
    const after = [...this.fields.kind.options].slice(1).find((option) => option.value > kind);
    this.fields.kind.insertBefore(h("option", { value: kind }, kind), after ?? null);
  }

  #click(event) {
    const row = event.target.closest("[data-run]");
    if (!row || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
    if (String(getSelection())) return;
    event.preventDefault();
    this.go({ run: row.dataset.run });
  }

  #key(event) {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling", j: "nextElementSibling", k: "previousElementSibling" }[event.key];
    const row = step && event.target.closest("[data-run]")?.[step];
    if (!row) return;
    event.preventDefault();
    row.querySelector("a").focus();
  }
}

