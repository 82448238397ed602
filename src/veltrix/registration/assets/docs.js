// The page to try the API: sends what its forms say, and shows what comes back.
const key = document.getElementById("key");
key.form.addEventListener("submit", (event) => event.preventDefault());

function requestOf(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  const headers = {};
  for (const input of form.elements) {
    const [where, name] = [input.name.slice(0, input.name.indexOf(":")), input.name.slice(input.name.indexOf(":") + 1)];
    if (where === "path") path = path.replace(`{${name}}`, encodeURIComponent(input.value.trim()));
    else if (where === "query" && input.value !== "") query.append(name, input.value);
    else if (where === "header" && input.value !== "") headers[name] = input.value;
  }
  if (key.value.trim()) headers.Authorization = `Bearer ${key.value.trim()}`;
  const options = { method: form.dataset.method, headers };
  if (form.elements.body) {
    headers["Content-Type"] = form.elements.type.value;
    options.body = form.elements.body.value;
  }
  return [query.size ? `${path}?${query}` : path, options];
}

function pretty(text, type) {
  if (!/json/.test(type || "") || /ndjson/.test(type)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

async function follow(answer, show) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text = (text + value).slice(-20000);
    show(text);
  }
}

for (const form of document.querySelectorAll(".operation form")) {
  const shown = form.parentElement.querySelector(".answer");
  const text = shown.querySelector("pre");
  let running = null;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (running) running.abort();
    running = new AbortController();
    const [path, options] = requestOf(form);
    shown.hidden = false;
    text.textContent = `${options.method} ${path} …`;
    try {
      const answer = await fetch(path, { ...options, signal: running.signal });
      const head = [`${answer.status} ${answer.statusText}`];
      for (const [name, value] of answer.headers) head.push(`${name}: ${value}`);
      const show = (body) => { text.textContent = `${head.join("\n")}\n\n${body}`; };
      if (form.dataset.stream && answer.ok) await follow(answer, show);
      else show(pretty(await answer.text(), answer.headers.get("Content-Type")));
    } catch (error) {
      if (error.name !== "AbortError") text.textContent = String(error);
    }
  });
  if (form.elements.type) {
    form.elements.type.addEventListener("change", () => {
      form.elements.body.value = form.elements.type.selectedOptions[0].dataset.example;
    });
  }
}
