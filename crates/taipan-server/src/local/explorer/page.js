// Everything that comes from data is set as text, never as HTML.
"use strict";

const API = "/cdn-cgi/local/api/";
const KINDS = [
  ["kv", "Namespaces", namespace],
  ["r2", "Buckets", bucket],
  ["d1", "Databases", database],
  ["queues", "Queues", queue],
  ["analytics", "Datasets", dataset],
];
const main = document.getElementById("main");

/** An element with attributes, listeners (`onclick`) and children. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter(child => child !== undefined));
  return element;
}

let noticed;
function notice(text, isBad = false) {
  const place = document.getElementById("notice");
  place.textContent = text;
  place.className = isBad ? "bad" : "";
  place.hidden = false;
  clearTimeout(noticed);
  noticed = setTimeout(() => (place.hidden = true), isBad ? 10000 : 3000);
}

async function ask(path, query = {}, options = {}) {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== "" && value !== null);
  const text = pairs.map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join("&");
  const response = await fetch(`${API}${path}${text ? `?${text}` : ""}`, options);
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  throw new Error([said.error ?? `${response.status} ${response.statusText}`, said.hint].filter(Boolean).join("; "));
}

/** Runs what a person asked for; what goes wrong is shown. */
const attempt = work => async event => {
  event?.preventDefault();
  try {
    await work(event);
  } catch (error) {
    notice(error.message, true);
  }
};

const path = (kind, id, what) => `${kind}/${encodeURIComponent(id)}/${what}`;

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  return `${unit ? bytes.toFixed(1) : bytes} ${units[unit]}`;
}

const time = ms => new Date(ms).toLocaleString();

function table(heads, rows) {
  const head = make("thead", {}, make("tr", {}, ...heads.map(text => make("th", {}, text))));
  const cells = row => row.map(cell => (cell instanceof Node ? make("td", {}, cell) : cellOf(cell)));
  return make("div", { class: "scroll" }, make("table", {}, head, make("tbody", {}, ...rows.map(row => make("tr", {}, ...cells(row))))));
}

function cellOf(value) {
  if (value === null || value === undefined) return make("td", {}, make("span", { class: "null" }, "NULL"));
  if (typeof value === "number" || value instanceof Digits) return make("td", { class: "number" }, String(value));
  if (typeof value === "object") return make("td", {}, typeof value.b === "string" ? `blob, ${size(atob(value.b).length)}` : JSON.stringify(value));
  return make("td", { title: value }, String(value));
}

/** A number with all of its digits. */
class Digits {
  constructor(text) {
    this.text = text;
  }
  toString() {
    return this.text;
  }
  toJSON() {
    return JSON.rawJSON?.(this.text) ?? Number(this.text);
  }
}

const rowsOf = json =>
  JSON.parse(json, (_key, value, context) =>
    typeof value === "number" && context && !Number.isSafeInteger(value) && /^-?\d+$/.test(context.source) ? new Digits(context.source) : value,
  );

function show(title, kind, ...content) {
  main.replaceChildren(make("header", {}, make("h2", {}, title), make("span", { class: "dim" }, kind)), ...content);
}

/** Rows that come page by page, found by a prefix. */
function pages(label, load) {
  const search = make("input", { type: "search", placeholder: label, "aria-label": label });
  const place = make("div");
  let shown = [];
  let heads = [];
  const more = async cursor => {
    const page = await load(search.value, cursor);
    heads = page.heads;
    shown = cursor ? shown.concat(page.rows) : page.rows;
    const next = page.cursor && make("button", { onclick: attempt(() => more(page.cursor)) }, "More");
    const content = shown.length ? table(heads, shown) : make("p", { class: "empty" }, "There is nothing here.");
    place.replaceChildren(content, ...(next ? [make("div", { class: "tools" }, next)] : []));
  };
  const again = () => more(undefined);
  let typed;
  search.addEventListener("input", () => {
    clearTimeout(typed);
    typed = setTimeout(attempt(again), 150);
  });
  return { search, place, again };
}

/** A button that asks once more before it does something that cannot be undone. */
function twice(label, work) {
  const button = make("button", { type: "button", class: "bad" }, label);
  button.addEventListener(
    "click",
    attempt(async () => {
      if (button.textContent === label) {
        button.textContent = "Really?";
        setTimeout(() => (button.textContent = label), 3000);
        return;
      }
      button.textContent = label;
      await work();
    }),
  );
  return button;
}

async function namespace({ id, name }) {
  const panel = make("div");
  const list = pages("Keys that begin with …", async (prefix, cursor) => {
    const found = await (await ask(path("kv", id, "keys"), { prefix, cursor, limit: 100 })).json();
    const rows = found.keys.map(key => [
      make("button", { onclick: attempt(() => open(key)) }, key.name),
      key.expiration ? time(key.expiration * 1000) : "",
      key.metadata === null ? "" : JSON.stringify(key.metadata),
    ]);
    return { heads: ["Key", "Expires", "Metadata"], rows, cursor: found.cursor };
  });
  async function open(key) {
    const bytes = new Uint8Array(await (await ask(path("kv", id, "value"), { key: key.name })).arrayBuffer());
    let text;
    try {
      text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch {
      return notice(`${key.name} is not text: ${size(bytes.length)}`, true);
    }
    edit(key.name, text, key);
  }
  function edit(name, text, before) {
    const key = make("input", { value: name, required: true, name: "key" });
    const value = make("textarea", { name: "value", spellcheck: "false" });
    value.value = text;
    const metadata = make("input", { name: "metadata", value: before && before.metadata !== null ? JSON.stringify(before.metadata) : "" });
    const save = attempt(async () => {
      const query = { key: key.value, metadata: metadata.value, expiration: before?.expiration };
      await ask(path("kv", id, "value"), query, { method: "PUT", body: value.value });
      notice(`Put ${key.value}`);
      panel.replaceChildren();
      await list.again();
    });
    const remove = async () => {
      await ask(path("kv", id, "value"), { key: name }, { method: "DELETE" });
      notice(`Removed ${name}`);
      panel.replaceChildren();
      await list.again();
    };
    panel.replaceChildren(
      make(
        "form",
        { class: "panel", onsubmit: save },
        make("label", {}, "Key", key),
        make("label", {}, "Value", value),
        make("label", {}, "Metadata, as JSON", metadata),
        make(
          "div",
          { class: "row" },
          make("button", { class: "main" }, "Put"),
          make("button", { type: "button", onclick: () => panel.replaceChildren() }, "Close"),
          before && twice("Remove", remove),
        ),
      ),
    );
    panel.scrollIntoView({ block: "nearest" });
  }
  const add = make("button", { onclick: () => edit("", "", null) }, "New key");
  show(name, `namespace ${id}`, make("div", { class: "tools" }, list.search, add), panel, list.place);
  await list.again();
}

async function bucket({ id, name }) {
  const list = pages("Keys that begin with …", async (prefix, cursor) => {
    const found = await (await ask(path("r2", id, "objects"), { prefix, cursor, delimiter: "/", limit: 100 })).json();
    const enter = group => {
      list.search.value = group;
      return list.again();
    };
    const groups = found.prefixes.map(group => [make("button", { onclick: attempt(() => enter(group)) }, group), "", "", "", ""]);
    const rows = found.objects.map(object => [
      make("button", { onclick: () => download(object.key) }, object.key),
      size(object.size),
      object.httpMetadata?.contentType ?? "",
      time(object.uploaded),
      twice("Remove", async () => {
        await ask(path("r2", id, "object"), { key: object.key }, { method: "DELETE" });
        notice(`Removed ${object.key}`);
        await list.again();
      }),
    ]);
    return { heads: ["Key", "Size", "Type", "Put", ""], rows: groups.concat(rows), cursor: found.cursor };
  });
  function download(key) {
    const url = `${API}${path("r2", id, "object")}?key=${encodeURIComponent(key)}`;
    make("a", { href: url, download: key.split("/").pop() || "object" }).click();
  }
  const put = attempt(async event => {
    for (const file of event.target.files) {
      const key = list.search.value + file.name;
      const headers = { "content-type": file.type || "application/octet-stream" };
      await ask(path("r2", id, "object"), { key }, { method: "PUT", body: file, headers });
      notice(`Put ${key}`);
    }
    event.target.value = "";
    await list.again();
  });
  const file = make("input", { type: "file", multiple: true, onchange: put, hidden: true });
  show(name, `bucket ${id}`, make("div", { class: "tools" }, list.search, make("label", { class: "file" }, "Put files", file)), list.place);
  await list.again();
}

async function database({ id, name }) {
  const sql = make("textarea", { name: "sql", spellcheck: "false", "aria-label": "SQL", placeholder: "SELECT …" });
  const place = make("section");
  const tables = make("div", { class: "tools" });
  const ran = async text => (await ask(path("d1", id, "query"), {}, { method: "POST", body: JSON.stringify({ sql: text }) })).json();
  const run = attempt(async () => {
    const done = await ran(sql.value);
    place.replaceChildren(
      ...done.flatMap(one => {
        const rows = rowsOf(one.rows);
        const said = `${rows.length} rows, ${one.rowsWritten} written, ${one.duration.toFixed(1)} ms`;
        return [...(one.columns.length ? [table(one.columns, rows)] : []), make("p", { class: "dim" }, said)];
      }),
    );
    await list();
  });
  const list = async () => {
    const [found] = await ran("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name");
    const choose = table => {
      sql.value = `SELECT * FROM "${table.replaceAll('"', '""')}" LIMIT 100`;
      return run();
    };
    tables.replaceChildren(...rowsOf(found.rows).map(([table]) => make("button", { type: "button", onclick: () => choose(table) }, table)));
  };
  sql.addEventListener("keydown", event => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void run(event);
  });
  const buttons = make("div", { class: "row" }, make("button", { class: "main" }, "Run"), make("span", { class: "dim" }, "Ctrl and Enter"));
  show(name, `database ${id}`, tables, make("form", { onsubmit: run }, sql, buttons), place);
  await list();
}

async function queue({ id, name }) {
  const place = make("section");
  const again = async () => {
    const [count, messages] = await Promise.all(
      [["count", {}], ["messages", { limit: 100 }]].map(async ([what, query]) => rowsOf(await (await ask(path("queues", id, what), query)).text())),
    );
    const rows = messages.map(message => {
      const { body } = message;
      const isBytes = message.content_type !== "json" && message.content_type !== "text";
      const shown = isBytes ? { b: body.base64 } : message.content_type === "text" ? body : JSON.stringify(body);
      return [time(message.sent_ms), message.content_type, message.deliveries, shown];
    });
    const said = `${count.messages} ${count.messages === 1 ? "message" : "messages"}, ${count.delayed} of them delayed${count.messages > rows.length ? `; the first ${rows.length}` : ""}`;
    const more = `${count.expired ? `; ${count.expired} have expired` : ""}${count.is_paused ? "; delivery is paused" : ""}`;
    const content = rows.length ? table(["Sent", "Type", "Deliveries", "Body"], rows) : make("p", { class: "empty" }, "There is nothing here.");
    place.replaceChildren(make("p", { class: "dim" }, said + more), content);
  };
  const body = make("textarea", { name: "body", spellcheck: "false" });
  const kind = make("select", { name: "type" }, ...["json", "text"].map(kind => make("option", {}, kind)));
  const delay = make("input", { name: "delay", type: "number", min: 0, max: 43200, placeholder: "the queue's" });
  const send = attempt(async () => {
    await ask(path("queues", id, "messages"), { type: kind.value, ...(delay.value && { delay: delay.value }) }, { method: "POST", body: body.value });
    notice(`Sent to ${name}`);
    await again();
  });
  const purge = twice("Remove all", async () => {
    const { removed } = await (await ask(path("queues", id, "messages"), {}, { method: "DELETE" })).json();
    notice(`Removed ${removed} messages`);
    await again();
  });
  const form = make(
    "form",
    { class: "panel", onsubmit: send },
    make("label", {}, "Body", body),
    make("div", { class: "row" }, make("label", {}, "Type", kind), make("label", {}, "Delay, in seconds", delay)),
    make("div", { class: "row" }, make("button", { class: "main" }, "Send")),
  );
  show(name, "queue", make("div", { class: "tools" }, make("button", { onclick: attempt(again) }, "Look again"), purge), place, form);
  await again();
}

async function dataset({ name }) {
  const sql = make("textarea", { name: "sql", spellcheck: "false", "aria-label": "SQL" });
  sql.value = `SELECT timestamp, index1, blob1, blob2, double1, double2\nFROM "${name.replaceAll('"', '""')}"\nORDER BY timestamp DESC LIMIT 100`;
  const place = make("section");
  const run = attempt(async () => {
    const answer = await ask("analytics/query", {}, { method: "POST", body: JSON.stringify({ sql: sql.value }) });
    const { columns, rows } = rowsOf(await answer.text());
    place.replaceChildren(rows.length ? table(columns, rows) : make("p", { class: "empty" }, "There is nothing here."));
  });
  sql.addEventListener("keydown", event => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void run(event);
  });
  const buttons = make("div", { class: "row" }, make("button", { class: "main" }, "Run"), make("span", { class: "dim" }, "Ctrl and Enter"));
  show(name, "dataset", make("form", { onsubmit: run }, sql, buttons), place);
  await run();
}

async function begin() {
  const stores = await (await ask("stores")).json();
  const place = document.getElementById("stores");
  const choose = (button, open, store) =>
    attempt(async () => {
      for (const other of place.querySelectorAll("button")) other.setAttribute("aria-current", String(other === button));
      await open(store);
    });
  for (const [kind, title, open] of KINDS) {
    if (!stores[kind].length) continue;
    place.append(make("h2", {}, title));
    for (const store of stores[kind]) {
      // A reload shows the same store again.
      const hash = `#${kind}/${encodeURIComponent(store.id)}`;
      const button = make("button", { "data-hash": hash, onclick: () => history.replaceState(null, "", hash) }, store.name);
      button.addEventListener("click", choose(button, open, store));
      place.append(button);
    }
  }
  const buttons = [...place.querySelectorAll("button")];
  const first = buttons.find(button => button.dataset.hash === location.hash) ?? buttons[0];
  if (first) first.click();
  else main.replaceChildren(make("p", { class: "empty" }, "The configuration has no data: no kv_namespaces, r2_buckets, d1_databases, queues or analytics_engine_datasets."));
}

attempt(begin)();
