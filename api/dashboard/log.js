// The events of a run: newest first, filtered, each with an address of its own, and all of them to take away.

import { attr, h, show, text, webAddress } from "./dom.js";
import { amount, clock, moment } from "./format.js";
import { getArchive, getEvents, query } from "./requests.js";

const WHOLE = 3000; // runs up to this many events are read whole; of longer ones the newest page
const PAGE = 1000;
const ROWS = 200;
const GROUPS = {
  notes: new Set(["noted"]),
  ticks: new Set(["ticked", "heartbeat", "rewound", "total_changed"]),
  stages: new Set(["stage_changed"]),
};

/** The events held of one run, read page by page; never two requests at once. */
export class Events {
  list = []; // in version order, without a hole
  #busy = null;

  constructor(id) {
    this.id = id;
  }

  get whole() {
    return this.list.length > 0 && this.list[0].version === 1;
  }

  /** Reads up to `version`; true when something came. A jump of more than `WHOLE` leaves the middle out. */
  async upTo(version) {
    if (this.#busy) await this.#busy;
    const last = this.list.at(-1)?.version ?? 0;
    if (version <= last) return false;
    this.#busy = this.#read(version - last > WHOLE ? version - PAGE : last).finally(() => (this.#busy = null));
    await this.#busy;
    return true;
  }

  async #read(after) {
    if (after > (this.list.at(-1)?.version ?? 0)) this.list = [];
    for (let next = after; next !== null; ) {
      const page = await getEvents(this.id, next, PAGE);
      this.list.push(...page.events);
      next = page.next;
    }
  }

  /** Reads so far back that `version` is held. */
  async backTo(version) {
    const first = this.list[0]?.version ?? 1;
    for (let have = first; have > version; ) {
      const after = Math.max(0, have - 1 - PAGE);
      const page = await getEvents(this.id, after, have - 1 - after);
      if (!page.events.length) break;
      this.list.unshift(...page.events.filter((event) => event.version < have));
      have = this.list[0].version;
    }
  }
}

/** What an event says, in one line. */
export function summary({ type, data }, unit) {
  const parts = [];
  if (type === "stage_changed") parts.push(`→ ${data.stage}`);
  if (data.done !== undefined) parts.push(data.total === undefined ? amount(data.done, unit) : `${amount(data.done, unit)} / ${amount(data.total, unit)}`);
  else if (data.advance !== undefined) parts.push(`+${amount(data.advance, unit)}`);
  else if ("total" in data) parts.push(`of ${amount(data.total, unit)}`);
  for (const [name, value] of Object.entries(data.counts ?? {})) parts.push(`${name} ${data.advance === undefined ? "" : "+"}${value}`);
  for (const name of ["error", "reason", "message", "title"]) if (data[name]) parts.push(data[name]);
  if (data.by) parts.push(`by ${data.by}`);
  if (data.result !== undefined) parts.push(JSON.stringify(data.result));
  return parts.join(" · ");
}

export class EventLog {
  #shown = ROWS;
  #key = "";

  constructor(events, { unit, onTravel }) {
    Object.assign(this, { events, unit, onTravel });
    this.kind = h("select", { "aria-label": "Which events" },
      ["all", "notes", "stages", "ticks", "other"].map((name) => h("option", { value: name }, { all: "All events", other: "Start, end, rest" }[name] ?? name[0].toUpperCase() + name.slice(1))));
    this.words = h("input", { type: "search", placeholder: "Filter events", "aria-label": "Filter events" });
    this.save = h("button.quiet", { type: "button", onclick: () => this.#download() }, "Download all");
    this.saved = h("span.sub", { role: "status" });
    this.rows = h("ol.events", { tabindex: "0", "aria-label": "Events, newest first" });
    this.more = h("button.wide", { type: "button", onclick: () => this.#earlier() }, "Show earlier events");
    this.none = h("p.dim", {}, "No event matches.");
    this.root = h("section.panel.log", { "aria-labelledby": "log-h" },
      h("div.panelhead", {}, h("h2", { id: "log-h" }, "Events"), this.kind, this.words, this.save, this.saved), this.rows, this.none, this.more);
    this.kind.addEventListener("change", () => this.update(this.until));
    this.words.addEventListener("input", () => this.update(this.until));
  }

  #fits(event) {
    const kind = this.kind.value;
    if (kind === "other" ? Object.values(GROUPS).some((group) => group.has(event.type)) : kind !== "all" && !GROUPS[kind].has(event.type)) return false;
    const words = this.words.value.trim().toLowerCase();
    return !words || `${event.type} ${JSON.stringify(event.data)}`.toLowerCase().includes(words);
  }

  /** Shows what is held, up to version `until` (Infinity: all). */
  update(until = Infinity) {
    this.until = until;
    const held = this.events.list;
    const fitting = held.filter((event) => event.version <= until && this.#fits(event)).reverse();
    const visible = fitting.slice(0, this.#shown);
    const key = `${visible.length} ${visible[0]?.version} ${visible.at(-1)?.version} ${this.words.value} ${location.hash}`;
    show(this.more, fitting.length > this.#shown || (held.length > 0 && !this.events.whole));
    show(this.none, !visible.length && held.length > 0);
    if (key === this.#key) return;
    this.#key = key;
    const now = Date.now();
    const had = new Map([...this.rows.children].map((row) => [row.id, row]));
    this.rows.replaceChildren(...visible.map((event) => had.get(`v${event.version}`) ?? this.#row(event, now)));
    for (const row of this.rows.children) attr(row, "data-target", location.hash === `#${row.id}`);
  }

  #row(event, now) {
    const { data, version } = event;
    const address = `${query({ run: this.events.id })}#v${version}`;
    const link = webAddress(data.link);
    const row = h("li.event", { id: `v${version}`, "data-type": event.type, "data-level": data.level },
      h("a.version", { href: address, title: "Address of this event" }, `v${version}`),
      h("time", { datetime: event.time, title: moment(event.time) }, clock(event.time, now, { seconds: true })),
      h("span.type", {}, event.type),
      h("span.what", { dir: "auto" }, summary(event, this.unit?.())),
      link && h("a.out", { href: link, rel: "noopener noreferrer nofollow", target: "_blank" }, "open link"),
      h("button.quiet.then", { type: "button", onclick: () => this.onTravel(version), title: `Show the run as it was at version ${version}` }, "as of here"));
    return row;
  }

  async #earlier() {
    this.#shown += ROWS;
    if (this.#shown > this.events.list.length && !this.events.whole) await this.events.backTo(Math.max(1, this.events.list[0].version - PAGE));
    this.update(this.until);
  }

  /** Brings the event of `#v12` into view. */
  async reveal(version) {
    await this.events.backTo(version);
    this.kind.value = "all";
    this.words.value = "";
    const at = this.events.list.length - this.events.list.findIndex((event) => event.version === version);
    this.#shown = Math.max(this.#shown, at + 20);
    this.update(this.until);
    document.getElementById(`v${version}`)?.scrollIntoView({ block: "center" });
  }

  async #download() {
    this.save.disabled = true;
    text(this.saved, "");
    try {
      const response = await getArchive(this.events.id);
      const url = URL.createObjectURL(await response.blob());
      h("a", { href: url, download: `${this.events.id.replace(/[^\w.-]/g, "_")}.ndjson` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10000);
    } catch (error) {
      text(this.saved, `Not downloaded: ${error.message}`);
    }
    this.save.disabled = false;
  }
}
