// The runs a list shows: a page of recent ones from a request, the active ones from the shared stream.

import { follow, matches } from "../client.js";
import { getRuns } from "./requests.js";
import { over, shown, stamp } from "./format.js";

const RANK = { stalled: 0, running: 1, paused: 2, queued: 3, failed: 4 };
const COUNTS_EVERY_MS = 2000;
const PAGE = 200;

/** Whether a run answers to the words of a search: all of them, in its id, title, kind, scope or labels. */
export function found(run, words) {
  if (!words) return true;
  const labels = Object.entries(run.labels ?? {}).map(([key, value]) => `${key}:${value}`);
  const text = [run.run_id, run.title, run.kind, run.scope, ...labels].join(" ").toLowerCase();
  return words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

/** Stalled, running, paused, queued, failed, the rest; inside each the newest first. Stable while runs tick. */
export function byUrgency(a, b) {
  return place(a).rank - place(b).rank || place(b).when - place(a).when || (a.run_id < b.run_id ? 1 : -1);
}

/** What the order asks of a run, worked out once for each state of it: a thousand rows are sorted every frame. */
function place(run) {
  return (run.place ??= {
    rank: RANK[shown(run)] ?? 5,
    when: stamp(over(run) ? run.finished_at : (run.started_at ?? run.queued_at)) ?? 0,
  });
}

export class Store {
  runs = new Map();
  counts = null;
  next = null;
  phase = "loading"; // loading, ready, error
  error = null;
  #stream = null;
  #asked = 0;
  #countsAt = 0;
  #countsTimer = null;

  /** `onChange(ids)` after runs changed, `onChange(null)` when everything may have. */
  constructor({ onChange, onState }) {
    Object.assign(this, { onChange, onState });
  }

  get #narrow() {
    const { kind, scope, label } = this.filters;
    const whole = /^[^:]+:/.test(label ?? "") ? label : ""; // a key alone is still being typed
    return Object.fromEntries(Object.entries({ kind, scope, label: whole }).filter(([, value]) => value));
  }

  get #asking() {
    const { status, q } = this.filters;
    if (status === "stalled") return { ...this.#narrow, q, stalled: "true" };
    if (status === "running") return { ...this.#narrow, q, status, stalled: "false" };
    return { ...this.#narrow, q, status };
  }

  open(filters) {
    const narrow = this.filters && JSON.stringify(this.#narrow);
    this.filters = filters;
    this.phase = "loading";
    this.runs.clear();
    if (narrow !== JSON.stringify(this.#narrow) || !this.#stream) {
      const before = this.#stream;
      this.#stream = follow(this.#narrow, {
        every: "500ms",
        onSnapshot: (run) => this.take(run),
        onReset: () => this.load(),
        onState: (state) => this.onState(state),
      });
      before?.close(); // after the new one, so that the shared connection is kept when it can be
    } else for (const run of this.#stream.runs.values()) this.runs.set(run.run_id, run);
    this.load();
  }

  close() {
    clearTimeout(this.#countsTimer);
    this.#stream?.close();
    this.#stream = null;
    this.#asked += 1;
  }

  retry() {
    this.#stream?.retry();
    if (this.phase === "error") this.load();
  }

  /** Loads the newest page again; an answer that was overtaken by a later question is dropped. */
  async load() {
    const asked = (this.#asked += 1);
    try {
      const answer = await getRuns({ ...this.#asking, limit: PAGE });
      if (asked !== this.#asked) return;
      const active = new Set(this.#stream?.runs.keys());
      const fresh = new Set(answer.runs.map((run) => run.run_id));
      // A run held as active that neither the stream nor the page knows has ended while nobody listened.
      for (const [id, run] of this.runs) if (!over(run) && !active.has(id) && !fresh.has(id)) this.runs.delete(id);
      for (const run of answer.runs) this.#put(run);
      for (const run of this.#stream?.runs.values() ?? []) this.#put(run);
      Object.assign(this, { counts: answer.counts, next: answer.next, phase: "ready", error: null });
      this.#countsAt = Date.now();
    } catch (error) {
      if (asked !== this.#asked) return;
      Object.assign(this, { phase: this.runs.size ? "ready" : "error", error });
    }
    this.onChange(null);
  }

  async more() {
    const asked = this.#asked;
    const answer = await getRuns({ ...this.#asking, limit: PAGE, cursor: this.next });
    if (asked !== this.#asked) return;
    for (const run of answer.runs) this.#put(run);
    this.next = answer.next;
    this.onChange(null);
  }

  #put(run) {
    const held = this.runs.get(run.run_id);
    if (!held || run.version >= held.version) this.runs.set(run.run_id, { ...run, heard: Date.now(), place: undefined });
  }

  take(run) {
    const held = this.runs.get(run.run_id);
    this.#put(run);
    if (!held || shown(held) !== shown(run)) this.#recount();
    this.onChange(run.run_id);
  }

  /** Counts come from the server, which knows runs this page never loaded; asked for when something changed. */
  #recount() {
    if (this.#countsTimer || this.phase !== "ready") return;
    const wait = Math.max(50, this.#countsAt + COUNTS_EVERY_MS - Date.now());
    this.#countsTimer = setTimeout(async () => {
      this.#countsTimer = null;
      this.#countsAt = Date.now();
      const asked = this.#asked;
      const answer = await getRuns({ ...this.#asking, limit: 1 }).catch(() => null);
      if (!answer || asked !== this.#asked) return;
      this.counts = answer.counts;
      this.onChange([]);
    }, wait);
  }

  visible() {
    const { status, q } = this.filters;
    const narrow = this.#narrow;
    const shows = (run) => (!status || shown(run) === status) && found(run, q) && matches(run, narrow);
    return [...this.runs.values()].filter(shows).sort(byUrgency);
  }
}
