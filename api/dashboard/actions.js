// What an operator may do to a run: ask it to stop, or end it by hand when its producer cannot.

import { attr, h, show, text } from "./dom.js";
import { over } from "./format.js";
import { cancelRun, finishRun } from "./requests.js";

function dialog(id, heading, children, onSubmit, verb) {
  const problem = h("p.problem", { role: "alert", hidden: true });
  const submit = h("button.danger", { type: "submit" }, verb);
  const box = h("dialog", { "aria-labelledby": id });
  const form = h("form", { method: "dialog" }, h("h2", { id }, heading), children, problem,
    h("div.buttons", {}, h("button", { type: "button", onclick: () => box.close() }, "Back"), submit));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    show(problem, false);
    try {
      await onSubmit(form);
      box.close();
    } catch (error) {
      text(problem, error.message);
      show(problem, true);
    }
    submit.disabled = false;
  });
  box.append(form);
  return box;
}

export class Actions {
  constructor(id, { onRun }) {
    this.id = id;
    const why = h("input", { id: "cancel-why", maxlength: "500", autocomplete: "off" });
    this.cancelBox = dialog("cancel-h", "Ask this run to stop?", [
      h("p.dim", {}, "The producer is told at its next tick, finishes the item it is at and ends the run as cancelled. Work done stays done."),
      h("label", { for: "cancel-why" }, "Reason (optional)"), why,
    ], async () => onRun(await cancelRun(id, why.value.trim())), "Ask to stop");

    const reason = h("textarea", { id: "finish-why", rows: "3", maxlength: "2000", required: true });
    const choice = (value, word, hint, checked) => h("label.choice", {}, h("input", { type: "radio", name: "outcome", value, checked }), h("span", {}, h("b", {}, word), ` ${hint}`));
    this.finishBox = dialog("finish-h", "End this run by hand?", [
      h("p.dim", {}, "For a run whose producer is gone. It is written into the ledger and cannot be taken back; a producer that still lives is refused from then on."),
      h("fieldset", {}, h("legend", {}, "Outcome"),
        choice("interrupted", "Interrupted", "– the producer is gone, nothing is known to be wrong", true),
        choice("failed", "Failed", "– it went wrong")),
      h("label", { for: "finish-why" }, "Reason"), reason,
    ], async (form) => {
      const answer = await finishRun(id, form.elements.outcome.value, reason.value.trim());
      onRun(answer.run);
    }, "End the run");

    this.cancel = h("button", { type: "button", onclick: () => this.cancelBox.showModal() }, "Cancel…");
    this.finish = h("button", { type: "button", onclick: () => this.finishBox.showModal() }, "End by hand…");
    this.asked = h("span.asked", { hidden: true }, "Cancel requested · waiting for the producer to acknowledge");
    this.root = h("div.actions", {}, this.asked, this.cancel, this.finish, this.cancelBox, this.finishBox);
  }

  update(run, travelling) {
    const ended = over(run);
    show(this.root, !ended);
    show(this.asked, run.cancel_requested && !ended);
    show(this.cancel, !run.cancel_requested);
    for (const button of [this.cancel, this.finish]) {
      button.disabled = travelling;
      attr(button, "title", travelling ? "Go back to now first" : null);
    }
  }
}
