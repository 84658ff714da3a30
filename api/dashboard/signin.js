// Signing in where the server asks for a token. The token goes into a cookie that no script can read; nothing keeps it here.

import { attr, h, show, text } from "./dom.js";
import { BASE, Refused, ask } from "./requests.js";

/** What the caller may do: `none`, `reader`, `producer` or `operator`; null when the server does not say. */
export async function role() {
  return (await ask("login").catch(() => null))?.role ?? null;
}

async function post(path, body) {
  // A body without a type: the server reads it as the token itself.
  const options = { method: "POST", body: body && new Blob([body]), credentials: "same-origin" };
  const response = await fetch(new URL(path, BASE), options);
  if (!response.ok) throw new Refused(response.status, await response.json().catch(() => null));
}

/** The form. `onDone` once the server took the token. */
export function signIn(onDone) {
  const token = h("input", { id: "token", type: "password", required: true, autocomplete: "current-password", spellcheck: "false" });
  const problem = h("p.problem", { role: "alert", hidden: true });
  const button = h("button", { type: "submit" }, "Sign in");
  const form = h("form.signin", { "aria-labelledby": "signin-h" }, h("h1", { id: "signin-h" }, "Sign in"),
    h("p.dim", {}, "This ledger asks for a token. Whoever runs it makes one with ", h("code", {}, "progress-ledger token new"), "."),
    h("label", { for: "token" }, "Token"), token, problem, button);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    show(problem, false);
    try {
      await post("login", token.value.trim());
      onDone();
    } catch (error) {
      text(problem, error.message);
      show(problem, true);
      attr(token, "aria-invalid", "true");
      token.focus();
    }
    button.disabled = false;
  });
  return { root: form, focus: () => token.focus() };
}

export const signOut = () => post("logout");
