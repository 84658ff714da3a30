// Runs a run belongs with: its parent and children, its earlier and later attempts, and finished ones of its kind.

import { attr, h, icon } from "./dom.js";
import { STATUS_WORDS, ago, duration, over, percentText, shown, title } from "./format.js";
import { getEvents, getRun, getRuns, query } from "./requests.js";
import { band, course, outline, usualStages } from "./history.js";

const PAST = 5;
const READ_WHOLE = 1000; // events: longer runs are drawn from their stages' ends

/** Finished runs of the same kind, before this one: `{usual, band}` for the charts. Reads a few bounded pages. */
export async function past(run, alive) {
  const { runs } = await getRuns({ kind: run.kind, status: "completed", limit: 20 });
  const earlier = runs.filter((one) => one.run_id !== run.run_id && one.position < run.position).slice(0, PAST);
  const courses = [];
  for (const one of earlier) {
    if (!alive()) return { usual: new Map(), band: [], number: 0 };
    if (one.version <= READ_WHOLE) {
      const page = await getEvents(one.run_id, 0, READ_WHOLE).catch(() => null);
      courses.push(page && page.next === null ? course(page.events, one.stages) : outline(one));
    } else courses.push(outline(one));
  }
  return { usual: usualStages(earlier), band: band(courses), number: earlier.length };
}

/** `[{word, run}]`: parent, children, attempts before and after. What cannot be read is left out. */
export async function kin(run) {
  const found = [];
  const look = async (word, id) => {
    const other = await getRun(id).catch(() => null);
    found.push({ word, run: other ?? { run_id: id, gone: true } });
    return other;
  };
  if (run.parent) await look("Part of", run.parent);
  let before = run.retry_of;
  for (let step = 0; before && step < 5; step += 1) before = (await look("Earlier attempt", before))?.retry_of;
  const { runs: same } = await getRuns({ kind: run.kind, limit: 100 });
  for (const one of same) if (one.retry_of === run.run_id) found.push({ word: "Later attempt", run: one });
  const { runs: children } = await getRuns({ parent: run.run_id, limit: 100 });
  for (const one of children) found.push({ word: "Child", run: one });
  return found;
}

/** The list of these, as links. */
export function kinPanel(found, now) {
  const rows = found.map(({ word, run }) => {
    const link = h("a", { href: query({ run: run.run_id }), "data-nav": "", dir: "auto" }, run.gone ? run.run_id : title(run));
    if (run.gone) return h("li", {}, h("span.word", {}, word), link, h("span.sub", {}, "not kept"));
    const state = h("span.status", { "data-status": shown(run) }, icon(shown(run)), STATUS_WORDS[shown(run)]);
    const rest = over(run) ? `${duration(run.elapsed_seconds)}, ${ago(run.finished_at, now)}` : percentText(run);
    return h("li", {}, h("span.word", {}, word), link, state, h("span.sub", {}, rest));
  });
  const root = h("section.panel.kin", { "aria-labelledby": "kin-h" }, h("h2", { id: "kin-h" }, "Belongs with"), h("ul", {}, rows));
  attr(root, "hidden", rows.length === 0);
  return root;
}
