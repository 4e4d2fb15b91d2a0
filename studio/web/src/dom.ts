// Makes elements; text goes in as text, never as markup.

type Value = string | number | boolean | null | undefined | ((event: Event) => void);
export type Child = Node | string | null | undefined | false;

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, Value> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  set(element, attributes, children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag: string, attributes: Record<string, Value> = {}, ...children: Child[]): SVGElement {
  const element = document.createElementNS(SVG, tag) as SVGElement;
  set(element, attributes, children);
  return element;
}

function set(element: Element, attributes: Record<string, Value>, children: Child[]): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  for (const child of children) if (child) element.append(child);
}

/** Asks in a dialog; resolves to the form's text, or null where it was closed. */
export function ask(title: string, words: string, label: string, start = "", limit = 500): Promise<string | null> {
  return new Promise((resolve) => {
    const input = h("input", { type: "text", required: true, maxlength: limit, value: start, id: "asked", autocomplete: "off" });
    const dialog = h(
      "dialog",
      { "aria-labelledby": "ask-title", close: () => (dialog.remove(), resolve(dialog.returnValue === "ok" ? input.value.trim() : null)) },
      h(
        "form",
        { method: "dialog" },
        h("h2", { id: "ask-title" }, title),
        h("p", {}, words),
        h("label", { for: "asked" }, label),
        input,
        h("div", { class: "buttons" }, h("button", { value: "ok", class: "primary" }, "OK"), h("button", { value: "", formnovalidate: true }, "Cancel")),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
    input.select();
  });
}

/** Asks whether to go on; resolves to the answer. */
export function confirm(title: string, words: string, yes: string): Promise<boolean> {
  return new Promise((resolve) => {
    const dialog = h(
      "dialog",
      { "aria-labelledby": "confirm-title", close: () => (dialog.remove(), resolve(dialog.returnValue === "yes")) },
      h(
        "form",
        { method: "dialog" },
        h("h2", { id: "confirm-title" }, title),
        h("p", {}, words),
        h("div", { class: "buttons" }, h("button", { value: "", class: "primary" }, "Go on rating"), h("button", { value: "yes" }, yes)),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Shows something to read in a dialog. */
export function show(title: string, ...children: Child[]): void {
  const dialog = h(
    "dialog",
    { "aria-labelledby": "show-title", close: () => dialog.remove() },
    h("form", { method: "dialog" }, h("h2", { id: "show-title" }, title), ...children, h("div", { class: "buttons" }, h("button", { class: "primary" }, "Close"))),
  );
  document.body.append(dialog);
  dialog.showModal();
}
