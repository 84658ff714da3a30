// Small DOM tools. Everything a producer wrote passes through text nodes or setAttribute; nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";

/** `h("p.dim", {title: "…", onclick: f}, "text", node, [more])`; attributes that are null or false are left out. */
export function h(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  return fill(node, attributes, children);
}

/** The same for SVG. */
export function s(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const node = document.createElementNS(SVG, tag);
  if (classes.length) node.setAttribute("class", classes.join(" "));
  return fill(node, attributes, children);
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else attr(node, key, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Sets text only when it differs: an unchanged row costs no layout. */
export function text(node, value) {
  const next = value ?? "";
  if (node.textContent !== next) node.textContent = next;
}

export function attr(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else {
    const next = value === true ? "" : String(value);
    if (node.getAttribute(name) !== next) node.setAttribute(name, next);
  }
}

export function style(node, name, value) {
  if (node.style.getPropertyValue(name) !== value) node.style.setProperty(name, value);
}

export const show = (node, visible) => attr(node, "hidden", !visible);

/** A symbol of the sprite in index.html; always beside a word, so hidden from screen readers. */
export function icon(name) {
  const use = s("use", { href: `#i-${name}` });
  return s("svg.icon", { "aria-hidden": "true", focusable: "false", viewBox: "0 0 16 16" }, use);
}

/** A web address, or null: `javascript:` and its kin never become links. */
export function webAddress(value) {
  if (typeof value !== "string" || !/^https?:\/\//i.test(value) || !URL.canParse(value)) return null;
  return new URL(value).href;
}

/** Calls `work` once per animation frame, however often it is asked for. Hidden pages wait until they are seen. */
export function perFrame(work) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => ((asked = false), work()));
  };
}

/** Puts `nodes` into `parent` in this order, touching only what is not yet in place. */
export function arrange(parent, nodes) {
  let at = parent.firstElementChild;
  for (const node of nodes) {
    if (node === at) at = at.nextElementSibling;
    else parent.insertBefore(node, at);
  }
  while (at) {
    const next = at.nextElementSibling;
    at.remove();
    at = next;
  }
}
