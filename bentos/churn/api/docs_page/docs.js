// Renders openapi.json. All text goes in as text, never as markup, so nothing in it can run.
"use strict";

function element(name, text, ...children) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

function marked(name, kind, text) {
  const made = element(name, text);
  made.className = kind;
  return made;
}

function typeOf(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  const choices = schema.anyOf || schema.allOf;
  if (choices) return choices.map(typeOf).join(schema.anyOf ? " or " : " and ");
  if (schema.enum) return schema.enum.map((label) => JSON.stringify(label)).join(", ");
  if (schema.type === "array") return "list of " + typeOf(schema.items || {});
  const limits = "minimum" in schema && Math.abs(schema.minimum) < 1e300
    ? ` ${schema.minimum} to ${"maximum" in schema ? schema.maximum : "any"}` : "";
  return [].concat(schema.type || "anything").join(" or ") + limits;
}

function fieldsOf(schema) {
  const table = element("table");
  for (const [name, field] of Object.entries(schema.properties || {})) {
    const needed = (schema.required || []).includes(name) ? "" : " (optional)";
    table.append(element("tr", "", marked("td", "path", name + needed),
      element("td", typeOf(field)), element("td", field.description || "")));
  }
  return table;
}

function bodyOf(page, content) {
  const part = element("section");
  for (const [media, described] of Object.entries(content || {})) {
    part.append(element("p", `${media}: ${typeOf(described.schema)}`));
    for (const name of typeOf(described.schema).split(" or ")) {
      const schema = page.components.schemas[name];
      if (!schema) continue;
      part.append(element("details", "", element("summary", name),
        element("p", schema.description || ""), fieldsOf(schema)));
    }
  }
  return part;
}

function asked(parameter) {
  const choices = parameter.schema.enum
    || (parameter.schema.type === "boolean" ? ["true", "false"] : null);
  const input = element(choices ? "select" : "input");
  if (choices) input.append(...["", ...choices].map((choice) => element("option", choice)));
  input.name = parameter.name;
  const needed = parameter.required ? " " : " (optional) ";
  return element("label", "", marked("span", "path", parameter.name + needed), input,
    element("span", parameter.description || ""));
}

function bodyForm(contents) {
  const kind = element("select");
  kind.append(...contents.map(([media]) => element("option", media)));
  kind.setAttribute("aria-label", "type of the request body");
  const body = element("textarea");
  body.setAttribute("aria-label", "request body");
  function example() {
    const found = Object.values(contents[kind.selectedIndex][1].examples)[0].value;
    body.value = typeof found === "string" ? found : JSON.stringify(found, null, 2);
  }
  kind.addEventListener("change", example);
  example();
  return { kind, body };
}

function trial(path, method, operation) {
  const part = element("section");
  const labels = (operation.parameters || []).map(asked);
  const contents = Object.entries(operation.requestBody?.content || {})
    .filter(([, content]) => content.examples);
  const form = contents.length ? bodyForm(contents) : null;
  const button = element("button", "Send");
  const answer = element("pre");
  button.addEventListener("click", async () => {
    const headers = form ? { "content-type": form.kind.value } : {};
    const key = document.getElementById("key").value;
    if (key) headers["x-api-key"] = key;
    const given = labels.map((label) => label.querySelector("input, select"))
      .filter((input) => input.value).map((input) => [input.name, input.value]);
    const query = given.length ? `?${new URLSearchParams(given)}` : "";
    const sent = { method: method.toUpperCase(), headers };
    if (form) sent.body = form.body.value;
    try {
      const response = await fetch((path.slice(1) || "./") + query, sent);
      const text = await response.text();
      answer.textContent = `${response.status}\n${pretty(text)}`;
    } catch (error) {
      answer.textContent = String(error);
    }
  });
  part.append(...labels);
  if (contents.length > 1) part.append(form.kind);
  if (form) part.append(form.body);
  part.append(button, answer);
  return part;
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function shown(page, path, method, operation) {
  const head = element("summary", "", marked("span", "method", method),
    marked("span", "path", path), element("span", operation.summary));
  const part = element("details", "", head, element("p", operation.description || ""));
  if (operation.requestBody) {
    part.append(element("h4", "Body"), bodyOf(page, operation.requestBody.content));
  }
  for (const [status, response] of Object.entries(operation.responses)) {
    part.append(element("h4", `${status} ${response.description}`));
    if (status === "200") part.append(bodyOf(page, response.content));
  }
  part.append(trial(path, method, operation));
  return part;
}

async function show() {
  const page = await (await fetch("openapi.json")).json();
  document.getElementById("title").textContent = page.info.title;
  document.getElementById("about").textContent = page.info.description;
  const sections = new Map();
  for (const [path, methods] of Object.entries(page.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = operation.tags[0];
      if (!sections.has(tag)) sections.set(tag, element("section", "", element("h2", tag)));
      sections.get(tag).append(shown(page, path, method, operation));
    }
  }
  document.getElementById("operations").append(...sections.values());
}

show().catch((error) => {
  document.getElementById("about").textContent = `openapi.json cannot be shown: ${error}`;
});
