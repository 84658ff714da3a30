// progress-ledger: follow runs from a browser or from Node 18+. No dependencies, one file.
//
//   import { follow } from "https://ledger.example/client.js";
//   const stop = follow("qa-7", { onSnapshot: (run) => console.log(run.percent), onFinal: (run) => … });
//
// Promises: callbacks see versions of a run in rising order, none twice; after a break the client takes up where it
// was (or is given a fresh snapshot and says so); it never reports a run as failed because *reading* failed; what
// is final (401, 403, 404, 204, a terminal frame) stops it, everything else is retried for as long as it is wanted.
// In a browser all tabs of one origin share one connection (Web Locks choose the tab that holds it, a
// BroadcastChannel carries the frames); where these do not exist, each tab connects for itself.

export const TERMINAL = new Set(["completed", "failed", "cancelled", "interrupted"]);
export const BACKOFF_MS = [1000, 2000, 5000, 10000];
const SILENCE_MS = 45000; // the server says something every 15 s; three missed means the line is dead
const FIRST_FRAME_MS = 10000; // hello goes out at once: a response that stays mute is held back by a proxy
const POLL_MS = 2000;
const STREAM_AGAIN_MS = 30000; // while polling, how long until the stream is tried again
const FAILURES_BEFORE_POLLING = 3;
const FILTERS = ["kind", "scope", "label", "parent", "slot", "run"];

/** The wait before try number `failures` + 1: 1, 2, 5, then 10 s, each ± 25 %, so that clients spread out. */
export function backoff(failures, random = Math.random) {
  const base = BACKOFF_MS[Math.min(failures, BACKOFF_MS.length - 1)];
  return Math.round(base * (0.75 + random() * 0.5));
}

/** Cuts text into SSE frames as the HTML standard says: LF, CR or CRLF, comments dropped, cut frames never seen. */
export class SseParser {
  #rest = "";
  #frame = { event: "", data: [], id: undefined };
  retry = null;

  push(text) {
    const frames = [];
    this.#rest += text;
    let end;
    while ((end = this.#rest.search(/[\r\n]/)) >= 0) {
      if (this.#rest[end] === "\r" && end === this.#rest.length - 1) break; // the LF may still be on its way
      const line = this.#rest.slice(0, end);
      this.#rest = this.#rest.slice(end + (this.#rest.startsWith("\r\n", end) ? 2 : 1));
      const frame = this.#line(line);
      if (frame) frames.push(frame);
    }
    return frames;
  }

  #line(line) {
    if (line === "") {
      const { event, data, id } = this.#frame;
      this.#frame = { event: "", data: [], id: undefined };
      return data.length ? { event: event || "message", data: data.join("\n"), id } : null;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return null;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (field === "event") this.#frame.event = value;
    else if (field === "data") this.#frame.data.push(value);
    else if (field === "id" && !value.includes("\0")) this.#frame.id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.retry = Number(value);
    return null;
  }
}

/** Whether a run belongs to the filters of a list or a stream (kind, scope, label, parent, slot, run). */
export function matches(run, filters = {}) {
  const list = (value) => (value === undefined || value === null || value === "" ? [] : [value].flat());
  if (list(filters.run).length && !list(filters.run).includes(run.run_id)) return false;
  for (const name of ["kind", "scope", "parent", "slot"])
    if (list(filters[name]).length && !list(filters[name]).includes(run[name])) return false;
  return list(filters.label).every((pair) => {
    const cut = pair.indexOf(":");
    return run.labels?.[pair.slice(0, cut)] === pair.slice(cut + 1);
  });
}

function query(filters, more = {}) {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...filters, ...more }))
    for (const one of [value].flat()) if (one !== undefined && one !== null && one !== "") params.append(name, one);
  const text = params.toString();
  return text ? `?${text}` : "";
}

/** What frames add up to: the newest snapshot of each run, the cursor, and what each frame changed. */
export class Fold {
  runs = new Map();
  lastId = null;
  #incoming = null;
  #epoch = null;

  /** Takes a frame `{event, data, id}` (data parsed); returns `{run, event, final}`, `{reset}` or null. */
  apply({ event, data, id }) {
    if (id !== undefined) this.lastId = id;
    if (event === "hello") {
      if (this.#epoch && data.epoch !== this.#epoch) this.runs.clear(); // another log: versions say nothing
      this.#epoch = data.epoch;
      if (data.status !== "resumed") this.#incoming = new Map();
      return null;
    }
    if (event === "live") {
      const gone = [...this.runs.keys()].filter((key) => !this.#incoming?.has(key));
      if (this.#incoming) for (const key of gone) if (!TERMINAL.has(this.runs.get(key).status)) this.runs.delete(key);
      const reset = this.#incoming !== null;
      this.#incoming = null;
      return reset ? { reset: true, gone } : null;
    }
    const key = data?.run?.run_id ?? data?.event?.run_id ?? this.only;
    if (!data?.run || !key) return null;
    const held = this.runs.get(key);
    const version = data.run.version ?? data.event?.version ?? held?.version ?? 0;
    this.#incoming?.set(key, true);
    if (held && version < held.version) return null;
    if (held && data.event && version <= held.version && event !== "snapshot") return null; // a repeat
    const run = { ...held, run_id: key, ...data.run, version };
    if (data.event?.position) run.position = Math.max(run.position ?? 0, data.event.position);
    this.runs.set(key, run);
    return { run, event: data.event ?? null, final: data.final === true || TERMINAL.has(run.status) };
  }

  /** Frames that bring another fold to this one's state. */
  frames() {
    const frames = [{ event: "hello", data: { status: "new", reason: null, epoch: this.#epoch } }];
    for (const run of this.runs.values())
      if (!TERMINAL.has(run.status)) frames.push({ event: "snapshot", data: { run } });
    frames.push({ event: "live", data: { runs: frames.length - 1 }, id: this.lastId ?? undefined });
    return frames;
  }

  /** Forgets what is over, all but the newest `keep`: a page left open for weeks stays small. */
  trim(keep = 500) {
    const over = [...this.runs.values()].filter((run) => TERMINAL.has(run.status));
    over.sort((a, b) => (a.position ?? 0) - (b.position ?? 0));
    for (const run of over.slice(0, Math.max(0, over.length - keep))) this.runs.delete(run.run_id);
  }
}

/** One HTTP stream kept alive: connects, waits, reconnects, falls back to polling, stops when told what is final. */
export class Connection {
  state = { phase: "connecting", reason: null, attempt: 0, retryAt: null, heardAt: null };
  #closed = false;
  #abort = null;
  #wake = null;
  #failures = 0;
  #retry = null;
  #told = 0;

  constructor({ path, pollPath, base, token, fetch, lastId, onFrames, onState, random, now }) {
    Object.assign(this, { path, pollPath, base, token, onFrames, onState, lastId: lastId ?? null });
    this.fetch = fetch ?? globalThis.fetch.bind(globalThis);
    this.random = random ?? Math.random;
    this.now = now ?? Date.now;
    this.done = this.#loop();
  }

  /** Tries again now, whatever wait is under way. */
  retry() {
    this.#wake?.();
  }

  close() {
    this.#closed = true;
    this.#abort?.abort();
    this.#wake?.();
  }

  #say(phase, more = {}) {
    this.state = { ...this.state, reason: null, retryAt: null, ...more, phase, attempt: this.#failures };
    if (!this.#closed) this.onState?.(this.state);
  }

  #heard() {
    this.state = { ...this.state, heardAt: this.now() };
    if (this.state.heardAt - this.#told < 1000) return; // often enough for "heard 3s ago"
    this.#told = this.state.heardAt;
    this.onState?.(this.state);
  }

  async headers(accept) {
    const token = typeof this.token === "function" ? await this.token() : this.token;
    return { Accept: accept, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  }

  async #loop() {
    let streamAgainAt = 0;
    while (!this.#closed) {
      const polling = this.#failures >= FAILURES_BEFORE_POLLING && this.pollPath && this.now() < streamAgainAt;
      if (polling) {
        const outcome = await this.#poll();
        if (outcome.stop) return this.#say(outcome.stop, outcome);
        if (outcome.heard) {
          this.#say("polling", { reason: outcome.reason, retryAt: streamAgainAt });
          await this.#sleep(POLL_MS);
          continue;
        }
        streamAgainAt = 0; // neither works: back to waiting for the stream
      }
      if (!polling) {
        this.#say("connecting");
        const outcome = await this.#stream().catch((error) => ({ reason: error?.message ?? String(error) }));
        if (this.#closed) return;
        if (outcome.stop) return this.#say(outcome.stop, outcome);
        if (outcome.heard) this.#failures = 0;
        if (outcome.retry === undefined) this.#failures += 1;
        streamAgainAt = this.now() + STREAM_AGAIN_MS;
        if (this.#failures >= FAILURES_BEFORE_POLLING && this.pollPath && outcome.reason !== "offline") {
          this.#retry = null;
          const first = await this.#poll();
          if (first.stop) return this.#say(first.stop, first);
          if (first.heard) {
            this.#say("polling", { reason: first.reason, retryAt: streamAgainAt });
            await this.#sleep(POLL_MS);
            continue;
          }
        }
        this.#retry = outcome.retry ?? null;
        this.lastReason = outcome.reason ?? null;
      }
      const wait = this.#retry ?? backoff(Math.max(0, this.#failures - 1), this.random);
      this.#retry = null;
      this.#say("waiting", { reason: this.lastReason, retryAt: this.now() + wait });
      await this.#sleep(wait);
      streamAgainAt = 0;
    }
  }

  async #sleep(ms) {
    if (this.#closed) return;
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => (clearTimeout(timer), resolve());
    });
    this.#wake = null;
  }

  static final(status) {
    if (status === 401) return { stop: "stopped", reason: "unauthorized" };
    if (status === 403) return { stop: "stopped", reason: "forbidden" };
    if (status === 404) return { stop: "stopped", reason: "not_found" };
    if (status === 410) return { stop: "stopped", reason: "pruned" };
    if (status >= 400 && status < 500 && status !== 408 && status !== 425 && status !== 429)
      return { stop: "stopped", reason: `status ${status}` };
    return null;
  }

  async #stream() {
    this.#abort = new AbortController();
    const abort = this.#abort;
    let watchdog = setTimeout(() => abort.abort(new Error("no answer")), FIRST_FRAME_MS);
    try {
      const headers = await this.headers("text/event-stream");
      if (this.lastId) headers["Last-Event-ID"] = this.lastId;
      const options = { headers, signal: abort.signal, cache: "no-store", credentials: "same-origin" };
      const response = await this.fetch(this.base + this.path, options);
      if (response.status === 204) return { stop: "ended", reason: "nothing more will come" };
      if (!response.ok) {
        const final = Connection.final(response.status);
        const after = Number(response.headers.get("retry-after"));
        await response.body?.cancel();
        if (final) return final;
        return { reason: `status ${response.status}`, ...(after > 0 ? { retry: after * 1000 } : {}) };
      }
      if (!(response.headers.get("content-type") ?? "").startsWith("text/event-stream")) {
        await response.body?.cancel();
        return { reason: "not an event stream" };
      }
      return await this.#read(response.body, () => {
        clearTimeout(watchdog);
        watchdog = setTimeout(() => abort.abort(new Error("silence")), SILENCE_MS);
      });
    } finally {
      clearTimeout(watchdog);
    }
  }

  async #read(body, alive) {
    const parser = new SseParser();
    const decoder = new TextDecoder();
    const reader = body.getReader();
    let heard = false;
    let leaving = null;
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        alive();
        this.#heard();
        const frames = [];
        for (const frame of parser.push(decoder.decode(value, { stream: true }))) {
          const parsed = { event: frame.event, id: frame.id, data: JSON.parse(frame.data) };
          if (parsed.event === "busy" || parsed.event === "drain") leaving = parsed.event;
          else heard = true;
          if (parsed.id !== undefined) this.lastId = parsed.id;
          frames.push(parsed);
        }
        if (heard && this.state.phase !== "live") {
          this.#failures = 0;
          this.#say("live");
        }
        if (frames.length) this.onFrames(frames);
        if (this.#closed) return {};
        if (this.endsOnFinal && frames.some((frame) => frame.data?.final)) return { stop: "ended", reason: "final" };
      }
    } catch (error) {
      if (this.#closed) return {};
      return { heard, reason: error?.message ?? String(error) };
    }
    const retry = leaving ? (parser.retry ?? backoff(0, this.random)) : undefined;
    return { heard, reason: leaving ?? "the stream ended", retry };
  }

  async #poll() {
    try {
      const options = { headers: await this.headers("application/json"), cache: "no-store" };
      options.credentials = "same-origin";
      const response = await this.fetch(this.base + this.pollPath, options);
      if (!response.ok) return Connection.final(response.status) ?? { reason: `status ${response.status}` };
      const answer = await response.json();
      if (this.#closed) return {};
      this.#heard();
      const runs = answer.runs ?? [answer];
      this.onFrames(runs.map((run) => ({ event: "snapshot", data: { run, final: TERMINAL.has(run.status) } })));
      if (this.endsOnFinal && TERMINAL.has(answer.status)) return { stop: "ended", reason: "final" };
      return { heard: true, reason: "the stream does not get through" };
    } catch (error) {
      return { reason: error?.message ?? String(error) };
    }
  }
}

// ---- one connection for all tabs ---------------------------------------------------------------------------------

/** The one stream that serves all wishes: the same filters, a set of runs, or else everything. */
export function plan(wishes) {
  if (!wishes.length) return null;
  const same = wishes.every((wish) => JSON.stringify(wish.filters) === JSON.stringify(wishes[0].filters));
  const runs = [...new Set(wishes.flatMap((wish) => wish.filters.run ?? []))].sort();
  const single = wishes.every((wish) => wish.filters.run) && runs.length <= 50;
  const filters = same ? wishes[0].filters : single ? { run: runs } : {};
  const milliseconds = (every) => parseFloat(every) * (/ms$/.test(every) ? 1 : 1000);
  const paces = wishes.map((wish) => wish.every).sort((a, b) => milliseconds(a) - milliseconds(b));
  return { filters, every: wishes.every((wish) => wish.every) ? paces[0] : undefined };
}

const hubs = new Map();

class Hub {
  subs = new Set();
  fold = new Fold();
  state = { phase: "connecting", reason: null, attempt: 0, retryAt: null, heardAt: null };
  #tab = Math.random().toString(36).slice(2);
  #wishes = new Map(); // tab -> wishes; only the leader uses it
  #channel = null;
  #leads = false;
  #path = null;
  #connection = null;
  #release = null;
  #queue = new AbortController(); // the place in the line for the lock

  constructor(name, options) {
    Object.assign(this, { name, options });
    if (options.share === false || !globalThis.navigator?.locks || !globalThis.BroadcastChannel) this.#leads = true;
    else {
      this.#channel = new BroadcastChannel(name);
      this.#channel.onmessage = ({ data }) => this.#hear(data);
      const held = () => new Promise((resolve) => ((this.#release = resolve), this.#lead()));
      const gaveUp = () => this.#queue.signal.aborted || this.#lead(); // locks may be refused: then each for itself
      navigator.locks.request(name, { signal: this.#queue.signal }, held).catch(gaveUp);
      globalThis.addEventListener?.("pagehide", () => this.#channel?.postMessage({ say: "bye", tab: this.#tab }));
    }
    for (const name of ["online", "pageshow"]) globalThis.addEventListener?.(name, () => this.retry());
  }

  add(sub) {
    this.subs.add(sub);
    this.#wish(true);
    sub.onState?.(this.state);
  }

  remove(sub) {
    this.subs.delete(sub);
    this.#wish(false);
    if (this.subs.size) return;
    this.#connection?.close();
    this.#channel?.postMessage({ say: "bye", tab: this.#tab });
    this.#channel?.close();
    this.#channel = null;
    if (this.#release) this.#release();
    else this.#queue.abort(); // or the lock would one day be given to a tab that follows nothing
    hubs.delete(this.name);
  }

  retry() {
    if (this.#leads) this.#connection?.retry();
    else this.#channel?.postMessage({ say: "retry" });
  }

  #wish(fresh) {
    const wishes = [...this.subs].map((sub) => ({ filters: sub.filters, every: sub.every }));
    this.#wishes.set(this.#tab, wishes);
    if (this.#leads) this.#connect(fresh ? this.#tab : null);
    else this.#channel?.postMessage({ say: "want", tab: this.#tab, wishes, fresh });
  }

  #lead() {
    this.#leads = true;
    this.#channel?.postMessage({ say: "leader" });
    if (this.subs.size) this.#connect(null);
  }

  #hear(message) {
    if (message.say === "frames" && (!message.to || message.to === this.#tab)) this.#take(message.frames);
    else if (message.say === "state") this.#show(message.state);
    else if (message.say === "leader") this.#wish(false);
    else if (!this.#leads) return;
    else if (message.say === "retry") this.#connection?.retry();
    else if (message.say === "want") {
      this.#wishes.set(message.tab, message.wishes);
      this.#connect(message.fresh ? message.tab : null);
      this.#channel.postMessage({ say: "state", state: this.state });
    } else if (message.say === "bye") {
      this.#wishes.delete(message.tab);
      this.#connect(null);
    }
  }

  /** Opens the stream that all tabs' wishes need, or brings one tab up to date when it is open already. */
  #connect(tab) {
    const wanted = plan([...this.#wishes.values()].flat());
    const path = wanted && `v1/stream${query(wanted.filters, { every: wanted.every })}`;
    if (path === this.#path && this.#connection) {
      if (!tab || this.state.phase !== "live") return;
      const frames = this.fold.frames();
      if (tab !== this.#tab) this.#channel.postMessage({ say: "frames", to: tab, frames });
      else queueMicrotask(() => this.#take(frames));
      return;
    }
    this.#connection?.close();
    this.#connection = null;
    const resume = this.#path === null && tab === null ? this.fold.lastId : null; // a new leader takes up the cursor
    this.#path = path;
    if (!wanted) return;
    this.#connection = new Connection({
      ...this.options,
      path,
      pollPath: `v1/runs${query(wanted.filters, { limit: 500 })}`,
      lastId: resume,
      onFrames: (frames) => {
        if (this.#wishes.size > 1) this.#channel?.postMessage({ say: "frames", frames });
        this.#take(frames);
      },
      onState: (state) => {
        this.#channel?.postMessage({ say: "state", state });
        this.#show(state);
      },
    });
  }

  #show(state) {
    this.state = state;
    for (const sub of this.subs) sub.onState?.({ ...state, leads: this.#leads });
  }

  #take(frames) {
    for (const frame of frames) {
      const change = this.fold.apply(frame);
      if (change) for (const sub of this.subs) sub.take(change, this.fold.runs);
    }
    if (this.fold.runs.size > 2000) this.fold.trim();
  }
}

function hubFor(options) {
  const secret = typeof options.token === "string" ? options.token : options.token ? "fn" : "";
  let hash = 0;
  for (const char of secret) hash = (Math.imul(hash, 31) + char.charCodeAt(0)) | 0;
  const name = `progress-ledger ${options.base} ${hash}`;
  if (!hubs.has(name)) hubs.set(name, new Hub(name, options));
  return hubs.get(name);
}

/**
 * Follows one run (`what` is its id) or many (`what` is `{kind, scope, label, parent, slot}`).
 * Returns `{runs, state, retry(), close()}`. See client.d.ts for the options.
 */
export function follow(what, options = {}) {
  const single = typeof what === "string";
  const filters = single ? { run: what } : Object.fromEntries(FILTERS.flatMap((k) => (what?.[k] ? [[k, what[k]]] : [])));
  const here = import.meta.url.startsWith("http") ? new URL(".", import.meta.url).href : "http://127.0.0.1:8000/";
  const base = new URL((options.url ?? here).replace(/\/?$/, "/"), here).href;
  const shared = options.share ?? Boolean(globalThis.navigator?.locks && globalThis.BroadcastChannel && globalThis.document);
  const common = { base, token: options.token, fetch: options.fetch, random: options.random };
  const handle = { runs: new Map(), state: null, run: null };
  let over = false;

  const say = (state) => ((handle.state = state), options.onState?.(state));
  const deliver = ({ run, event, final }) => {
    const held = handle.runs.get(run.run_id);
    if (over || (held && held.version > run.version)) return;
    if (held && TERMINAL.has(held.status) && held.version === run.version) return;
    handle.runs.set(run.run_id, run);
    if (single) handle.run = run;
    if (event) options.onEvent?.(event, run);
    options.onSnapshot?.(run);
    if (!final) return;
    options.onFinal?.(run);
    if (single) finish("final");
  };
  const finish = (reason) => {
    over = true;
    handle.close();
    say({ ...handle.state, phase: "ended", reason, retryAt: null });
  };

  if (!shared) {
    const fold = new Fold();
    fold.only = single ? what : undefined;
    const connection = new Connection({
      ...common,
      path: single
        ? `v1/runs/${encodeURIComponent(what)}/stream${query({}, { every: options.every })}`
        : `v1/stream${query(filters, { every: options.every })}`,
      pollPath: single ? `v1/runs/${encodeURIComponent(what)}` : `v1/runs${query(filters, { limit: 500 })}`,
      lastId: options.lastEventId,
      onState: (state) => over || say(state),
      onFrames: (frames) => {
        for (const frame of frames) {
          const change = fold.apply(frame);
          if (change?.reset) settle(change, fold.runs);
          else if (change) deliver(change);
        }
      },
    });
    connection.endsOnFinal = single;
    Object.defineProperty(handle, "lastEventId", { get: () => connection.lastId });
    return Object.assign(handle, { close: () => connection.close(), retry: () => connection.retry() });
  }

  const hub = hubFor({ ...common, share: true });
  const sub = {
    filters,
    every: options.every,
    onState: (state) => over || say(state),
    take: (change, runs) => {
      if (change.reset) settle(change, runs);
      else if (matches(change.run, filters)) deliver(change);
    },
  };
  function settle(_change, runs) {
    const gone = [...handle.runs.values()].filter((run) => !TERMINAL.has(run.status) && !runs.has(run.run_id));
    for (const run of gone) if (!single) handle.runs.delete(run.run_id);
    for (const run of runs.values()) if (matches(run, filters)) deliver({ run, final: TERMINAL.has(run.status) });
    if (single && !TERMINAL.has(runs.get(what)?.status) && !runs.has(what)) look();
    if (!over) options.onReset?.(handle.runs, gone);
  }
  async function look() {
    // The shared stream tells of active runs only: what is over (or does not exist) is asked for by itself.
    try {
      const { headers, fetch = globalThis.fetch.bind(globalThis) } = common;
      const token = typeof options.token === "function" ? await options.token() : options.token;
      const response = await fetch(`${base}v1/runs/${encodeURIComponent(what)}`, {
        headers: { ...headers, Accept: "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) },
        credentials: "same-origin",
      });
      const final = response.ok ? null : Connection.final(response.status);
      if (over) return;
      if (final) {
        over = true;
        hub.remove(sub);
        return say({ ...handle.state, phase: "stopped", reason: final.reason, retryAt: null });
      }
      if (response.ok) {
        const run = await response.json();
        deliver({ run, final: TERMINAL.has(run.status) });
      }
    } catch {
      // the stream's own trouble is told by its state; a later reset looks again
    }
  }
  Object.assign(handle, { close: () => ((over = true), hub.remove(sub)), retry: () => hub.retry() });
  hub.add(sub);
  if (single) look();
  return handle;
}
