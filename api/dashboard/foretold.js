// What the estimate said at each moment: asked of the past at a few versions, then kept as snapshots come in.

import { stamp } from "./format.js";
import { getRun } from "./requests.js";

const MOST = 24;
const FOLD_BUDGET = 200000; // events the server may have to fold for one page's samples, all together
const KEEP = 600;

export class Foretold {
  samples = [];
  #closed = false;

  constructor(id, onChange) {
    Object.assign(this, { id, onChange });
  }

  close() {
    this.#closed = true;
  }

  #put(run) {
    // When it was said: the run's start plus its age, for an estimate also moves while no event comes.
    const start = stamp(run.started_at);
    if (start === null || run.status !== "running" || run.stalled || run.eta_seconds === null) return;
    const at = start + run.elapsed_seconds * 1000;
    const finish = stamp(run.finish_at);
    const edge = (seconds) => (seconds === null || seconds === undefined ? null : at + seconds * 1000);
    this.samples.push({ at, version: run.version, finish: finish ?? edge(run.eta_seconds), low: edge(run.eta_low), high: edge(run.eta_high) });
  }

  async open(run) {
    const number = Math.min(MOST, run.version - 1, Math.floor((2 * FOLD_BUDGET) / run.version));
    for (let step = 1; step <= number && !this.#closed; step += 1) {
      const version = Math.max(1, Math.round((run.version * step) / (number + 1)));
      const then = await getRun(this.id, `v${version}`).catch(() => null);
      if (then) this.#put(then);
    }
    this.samples.sort((a, b) => a.version - b.version);
    this.onChange();
  }

  /** All samples up to a time; takes note of `run` on the way when it is newer. */
  until(time, run) {
    const last = this.samples.at(-1);
    if (!last || run.version > last.version) this.#put(run);
    if (this.samples.length > KEEP) this.samples = this.samples.filter((_, at) => at % 2 === 0);
    return this.samples.filter((one) => one.at <= time);
  }
}
