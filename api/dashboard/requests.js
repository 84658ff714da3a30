// Plain requests to the ledger, beside the stream: pages of runs, events, and what changes state.

/** Where the ledger is mounted: this file lies in its `static/`. */
export const BASE = new URL("..", import.meta.url).href;

let ahead = 0; // how far the server's clock is before ours, in milliseconds

/** Now by the server's clock, so that "12s ago" is right on a machine whose clock is not. */
export const serverNow = () => Date.now() + ahead;

function learn(response) {
  const date = Date.parse(response.headers.get("date") ?? "");
  if (!Number.isNaN(date)) {
    const off = date + 500 - Date.now(); // the header has whole seconds: the middle is the best guess
    ahead = Math.abs(off) > 2000 ? off : 0;
  }
}

/** A refusal in the server's words: `status`, `code`, and the sentence as its message. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem?.detail || problem?.title || `The server answered ${status}.`);
    Object.assign(this, { status, code: problem?.code ?? null, problem });
  }
}

export async function ask(path, { body, accept = "application/json", signal } = {}) {
  const options = { headers: { Accept: accept }, credentials: "same-origin", cache: "no-store", signal };
  if (body !== undefined) {
    Object.assign(options, { method: "POST", body: JSON.stringify(body) });
    options.headers["Content-Type"] = "application/json";
  }
  const response = await fetch(new URL(path, BASE), options);
  learn(response);
  if (!response.ok) throw new Refused(response.status, await response.json().catch(() => null));
  if (accept !== "application/json") return response;
  return response.status === 204 ? null : response.json();
}

export function query(values) {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(values))
    for (const one of [value].flat()) if (one !== undefined && one !== null && one !== "") params.append(key, one);
  const text = params.toString();
  return text && `?${text}`;
}

const run = (id) => `v1/runs/${encodeURIComponent(id)}`;

export const getRuns = (filters) => ask(`v1/runs${query(filters)}`);
export const getRun = (id, at) => ask(`${run(id)}${query({ at })}`);
export const getWhy = (id) => ask(`${run(id)}/eta`);
export const getLogHead = () => ask("v1/log");
export const getEvents = (id, after, limit = 1000) => ask(`${run(id)}/events${query({ after, limit })}`);
export const getArchive = (id) => ask(`${run(id)}/events`, { accept: "application/x-ndjson" });
export const cancelRun = (id, reason) => ask(`${run(id)}/cancel`, { body: reason ? { reason } : {} });
export const finishRun = (id, type, reason) => {
  const data = type === "failed" ? { error: reason } : { reason };
  return ask(`${run(id)}/events`, { body: { events: [{ type, data }] } });
};
