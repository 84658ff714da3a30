// The page of one run: now, or as it was at any version.

import { follow } from "../client.js";
import { Actions } from "./actions.js";
import { Chart, drawDone, drawForetold, drawRate } from "./charts.js";
import { attr, h, perFrame, show, text } from "./dom.js";
import { clock, over, stamp } from "./format.js";
import { course, rates } from "./history.js";
import { kin, kinPanel, past } from "./kin.js";
import { EventLog, Events } from "./log.js";
import { getLogHead, getRun, getWhy, serverNow } from "./requests.js";
import { silence } from "./row.js";
import { Gantt, SegmentedBar } from "./stages.js";
import { Summary } from "./summary.js";
import { Foretold } from "./foretold.js";

const EVENTS_EVERY_MS = 1000;
const REASONS_EVERY_MS = 20000;

export class RunView {
  run = null; // the newest
  #then = null; // the snapshot of the version the slider stands at, null when it is now
  #past = { usual: new Map(), band: [], number: 0 };
  #course = null;
  #closed = false;
  #reading = null;
  #stream = null;
  #asked = 0;

  constructor(id, { go, onState, onSummary }) {
    Object.assign(this, { id, go, onState, onSummary });
    this.paint = perFrame(() => this.#paint());
    this.events = new Events(id);
    this.foretold = new Foretold(id, () => this.paint());
    this.#build();
  }

  #build() {
    const travel = (version) => this.#travel(version);
    this.summary = new Summary();
    this.actions = new Actions(this.id, { onRun: (run) => this.#take(run) });
    this.bar = new SegmentedBar();
    this.gantt = new Gantt();
    this.charts = { done: new Chart("c-done", "Done over time"), rate: new Chart("c-rate", "Rate over time"), said: new Chart("c-said", "Expected end, as foretold") };
    this.log = new EventLog(this.events, { unit: () => this.run?.unit, onTravel: travel });
    this.slider = h("input", { type: "range", id: "travel", min: "1", step: "1", "aria-describedby": "travel-at" });
    this.travelAt = h("output", { id: "travel-at", for: "travel" });
    this.back = h("button.quiet", { type: "button", hidden: true, onclick: () => travel(null) }, "Back to now");
    this.travelBox = h("div.travel", {}, h("label", { for: "travel" }, "As of"), this.slider, this.travelAt, this.back);
    this.slider.addEventListener("input", () => {
      const version = Number(this.slider.value);
      travel(version >= this.run.version ? null : version);
    });
    this.kinBox = h("div.kinbox");
    this.left = h("div", {}, this.summary.outcomes, this.gantt.root, this.summary.notes, this.kinBox);
    this.problem = h("div.message", { role: "status" }, Array.from({ length: 4 }, () => h("div.skeleton", {}, h("i"), h("i"))));
    this.page = h("div.runpage", { hidden: true }, this.summary.root, this.actions.root, this.bar.root, this.summary.figures, this.travelBox,
      h("div.panels", {},
        this.left,
        h("div", {}, this.charts.done.root, this.charts.rate.root, this.charts.said.root, this.summary.facts)), this.log.root);
    for (const chart of Object.values(this.charts)) chart.hide();
    this.root = h("article.run", {}, h("nav.crumbs", { "aria-label": "Where you are" }, h("a", { href: "./", "data-nav": "" }, "← All runs")), this.problem, this.page);
  }

  open(params) {
    const version = /^v(\d+)$/.exec(params.get("at") ?? "")?.[1];
    this.#travelTo(version ? Number(version) : null);
    this.onHash ??= () => this.#hash();
    if (!this.#stream) {
      addEventListener("hashchange", this.onHash);
      this.#stream = follow(this.id, { every: "500ms", onSnapshot: (run) => this.#take(run), onState: (state) => this.#state(state) });
      this.clockwork = setInterval(() => document.hidden || this.paint(), 1000);
    }
  }

  close() {
    this.#closed = true;
    clearInterval(this.clockwork);
    clearTimeout(this.later);
    removeEventListener("hashchange", this.onHash);
    this.foretold.close();
    this.#stream?.close();
  }

  retry() {
    this.#stream?.retry();
  }

  #state(state) {
    this.onState(state);
    if (state.phase !== "stopped" || this.run) return;
    const words = {
      not_found: ["There is no such run", "It may have been started elsewhere, or its id is written differently."],
      pruned: ["This run was archived", "Its events are no longer kept here."],
      unauthorized: ["Sign in to see this run", ""],
    }[state.reason] ?? ["The run could not be read", state.reason];
    this.problem.replaceChildren(h("h2", {}, words[0]), h("p", {}, words[1]), h("p", {}, h("code", {}, this.id)));
  }

  #take(run) {
    if (this.run && run.version < this.run.version) return;
    const first = !this.run;
    if (first && !run.stages?.length) this.left.prepend(this.charts.done.root); // else that column would stand empty
    if (first && !run.stages?.length) this.left.append(this.summary.facts);
    this.run = { ...run, heard: Date.now() };
    this.paint();
    this.#read();
    if (first) this.#surroundings();
  }

  /** Reads the events that came since, at most once a second. */
  #read() {
    if (this.#reading || this.#closed) return;
    this.#reading = (async () => {
      try {
        const fresh = await this.events.upTo(this.run.version);
        if (fresh) this.#course = this.events.whole ? course(this.events.list, this.run.stages) : null;
        if (fresh && this.events.list.length) this.paint();
        if (!this.hashed) (this.hashed = true), this.#hash();
      } catch {
        // the stream's state tells of the trouble; the next snapshot asks again
      }
      await new Promise((resolve) => setTimeout(resolve, EVENTS_EVERY_MS));
      this.#reading = null;
      if (this.run.version > (this.events.list.at(-1)?.version ?? 0) && this.#stream?.state?.phase !== "waiting") this.#read();
    })();
  }

  #hash() {
    const version = /^#v(\d+)$/.exec(location.hash)?.[1];
    if (version) this.log.reveal(Number(version)).catch(() => {});
  }

  async #surroundings() {
    const run = this.run;
    this.#reasons();
    try {
      this.foretold.open(run);
      this.#past = await past(run, () => !this.#closed);
      this.paint();
      this.kinBox.replaceChildren(kinPanel(await kin(run), serverNow()));
    } catch {
      // what surrounds a run is told when it can be; the run itself stands
    }
  }

  /** Why the estimate is what it is, and the last checkpoint: neither is needed for the rest, either may be missing. */
  async #reasons() {
    if (this.#closed) return;
    const [why, head] = await Promise.all([over(this.run) ? null : getWhy(this.id).catch(() => null), getLogHead().catch(() => null)]);
    this.summary.tell({ because: why?.because, head });
    this.paint();
    if (!over(this.run)) this.later = setTimeout(() => this.#reasons(), REASONS_EVERY_MS);
  }

  #travel(version) {
    this.go({ run: this.id, at: version === null ? "" : `v${version}` }, { replace: true });
  }

  async #travelTo(version) {
    const asked = (this.#asked += 1);
    this.version = version;
    if (version === null) {
      this.#then = null;
      return this.paint();
    }
    this.paint();
    await new Promise((resolve) => setTimeout(resolve, 60)); // a slider under the hand asks only where it rests
    if (asked !== this.#asked) return;
    try {
      const then = await getRun(this.id, `v${version}`);
      if (asked === this.#asked) this.#then = then;
    } catch (error) {
      if (asked === this.#asked) text(this.travelAt, `Version ${version} could not be read: ${error.message}`);
    }
    this.paint();
  }

  #paint() {
    if (!this.run || this.#closed) return;
    show(this.problem, false);
    show(this.page, true);
    const travelling = this.version !== null;
    const run = (travelling && this.#then) || this.run;
    const now = travelling && this.#then ? (stamp(run.updated_at) ?? serverNow()) : serverNow();
    attr(this.page, "data-travelling", travelling);
    this.summary.update(run, { now, course: this.#course, past: this.#past, live: !travelling });
    this.actions.update(run, travelling);
    this.bar.update(run, this.#past.usual);
    this.#travelBar(travelling, run, now);
    this.#figures(run, now, travelling);
    this.log.update(travelling ? this.version : Infinity);
    if (!travelling) this.onSummary(run);
  }

  #travelBar(travelling, run, now) {
    attr(this.slider, "max", this.run.version);
    const at = travelling ? this.version : this.run.version;
    if (this.slider.value !== String(at)) this.slider.value = String(at);
    attr(this.slider, "aria-valuetext", `version ${at} of ${this.run.version}`);
    const when = travelling && this.#then ? ` · ${clock(run.updated_at, serverNow(), { seconds: true })}` : "";
    text(this.travelAt, travelling ? `v${at} of ${this.run.version}${when}` : over(this.run) ? `the end (v${at})` : `now (v${at})`);
    show(this.back, travelling);
    show(this.travelBox, this.run.version > 1);
    attr(this.travelBox, "data-travelling", travelling);
    void now;
  }

  #figures(run, now, travelling) {
    const until = travelling ? now : Infinity;
    const whole = this.#course;
    const seen = whole && { ...whole, points: whole.points.filter((point) => !travelling || point.version <= this.version) };
    const stalls = (whole?.stalls ?? []).filter((one) => one.from < until).map((one) => ({ from: one.from, to: Math.min(one.to, until) }));
    if (run.stalled) stalls.push({ from: now - silence(run, now) * 1000 + (whole?.stallSeconds ?? 60) * 1000, to: now });
    this.gantt.update(run, { now, stalls, usual: this.#past.usual });
    if (!seen || seen.points.length < 2) for (const name of ["done", "rate"]) this.charts[name].hide();
    else {
      drawDone(this.charts.done, run, { ...seen, stalls }, this.#past.band, now);
      drawRate(this.charts.rate, run, seen, rates(seen.points), now);
    }
    const start = stamp(run.started_at);
    if (start === null) this.charts.said.hide();
    else drawForetold(this.charts.said, run, this.foretold.until(until, run), start, now);
  }
}
