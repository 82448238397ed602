// The event page: live numbers, and a form that stands in line. Without this file the form still works.
const form = document.getElementById("form");
const said = document.getElementById("said");
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (all, name) => (name in values ? values[name] : all));
const RETRIES = 8;
let retries = 0;

function watchSeats() {
  const list = document.getElementById("left");
  if (!list || !("EventSource" in window)) return;
  const source = new EventSource(list.dataset.stream);
  source.addEventListener("seats", (event) => {
    const seats = JSON.parse(event.data);
    const freeOf = Object.fromEntries(seats.pools.map((pool) => [pool.key, pool.free]));
    for (const item of list.children) {
      const free = Math.min(...item.dataset.pools.split(" ").map((pool) => freeOf[pool] ?? 0));
      item.querySelector(".left").textContent = free > 0 ? fill(list.dataset.left, { free }) : list.dataset.none;
    }
    document.getElementById("waiting").textContent = seats.waiting ? fill(list.dataset.waiting, { count: seats.waiting }) : "";
  });
}

function say(kind, ...lines) {
  said.className = `notice ${kind}`;
  said.replaceChildren(...lines.filter(Boolean).map((line) => Object.assign(document.createElement("div"), { textContent: line })));
  said.scrollIntoView({ block: "nearest" });
}

function newKey() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function answersOf(data, prefix) {
  const answers = {};
  for (const input of form.elements) {
    if (!input.name || !input.name.startsWith(prefix)) continue;
    const key = input.name.slice(prefix.length);
    if (input.type === "checkbox") answers[key] = input.checked;
    else if (input.value.trim() !== "") answers[key] = input.value;
  }
  return answers;
}

function bodyOf() {
  const data = new FormData(form);
  const seats = [];
  for (let index = 0; index < Number(data.get("seats")); index += 1) {
    const seat = { category: data.get(`s${index}.category`) };
    const attendee = (data.get(`s${index}.attendee`) || "").trim();
    if (attendee) seat.attendee = { name: attendee };
    const answers = answersOf(data, `s${index}.q.`);
    if (Object.keys(answers).length) seat.answers = answers;
    seats.push(seat);
  }
  const body = {
    contact: { name: data.get("name"), email: data.get("email"), locale: form.dataset.language },
    seats,
    form_version: Number(data.get("form_version")),
  };
  const answers = answersOf(data, "q.");
  if (Object.keys(answers).length) body.answers = answers;
  if (data.get("code")) body.access_code = data.get("code");
  return body;
}

// From a JSON pointer of the API to the field of this form that it is about.
function fieldOf(pointer) {
  const parts = pointer.split("/").slice(1);
  if (parts[0] === "contact") return parts[1];
  if (parts[0] === "answers") return `q.${parts[1]}`;
  if (parts[0] === "access_code") return "code";
  if (parts[0] === "seats" && parts.length > 2) {
    if (parts[2] === "answers") return `s${parts[1]}.q.${parts[3]}`;
    return `s${parts[1]}.${parts[2]}`;
  }
  return "";
}

function clearFaults() {
  for (const fault of form.querySelectorAll(".fault")) fault.textContent = "";
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
}

function showFaults(errors) {
  let first = null;
  for (const error of errors) {
    const name = fieldOf(error.field);
    const input = form.elements.namedItem(name);
    const place = document.getElementById(`${name}-error`);
    if (!input || !place) continue;
    input.setAttribute("aria-invalid", "true");
    place.textContent = `${error.fault}: ${error.remedy}`;
    first = first || input;
  }
  if (first) first.focus();
  return Boolean(first);
}

function busy(is) {
  for (const button of form.querySelectorAll("button")) button.disabled = is;
}

function refused(problem) {
  busy(false);
  // A decision is bound to its key: the next attempt is another request.
  if (problem.decision || problem.status < 500) form.elements.namedItem("key").value = newKey();
  const marked = problem.errors ? showFaults(problem.errors) : false;
  say("bad", problem.title, marked ? form.dataset.check : problem.detail);
  if (!marked) said.focus();
}

function arrived(registered) {
  location.assign(`/r/${registered.link}?lang=${form.dataset.language}`);
}

function standInLine(undecided) {
  const place = (count, seconds) =>
    say("", count > 0 ? fill(form.dataset.line, { place: count.toLocaleString(form.dataset.language) }) : form.dataset.soon,
      seconds ? fill(form.dataset.about, { seconds: Math.ceil(seconds) }) : "", form.dataset.keep);
  place(undecided.place_in_line, undecided.estimated_wait_s);
  const source = new EventSource(`${undecided.location}/stream`);
  source.addEventListener("place", (event) => {
    const line = JSON.parse(event.data);
    place(line.place_in_line, line.estimated_wait_s);
  });
  source.addEventListener("decision", (event) => {
    source.close();
    const decision = JSON.parse(event.data);
    if (decision.registration) arrived(decision);
    else refused(decision);
  });
}

function again(seconds) {
  retries += 1;
  if (retries > RETRIES) {
    busy(false);
    retries = 0;
    say("bad", form.dataset.gaveUp);
    return;
  }
  say("", form.dataset.retrying);
  setTimeout(send, 1000 * Math.max(seconds || 0, Math.min(2 ** retries, 20)) * (0.75 + Math.random() / 2));
}

async function send() {
  let answer;
  try {
    answer = await fetch(form.dataset.api, {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        "Idempotency-Key": form.elements.namedItem("key").value,
        "Accept-Language": form.dataset.language,
        Prefer: "wait=10",
      },
      body: JSON.stringify(bodyOf()),
    });
    const body = await answer.json();
    if (answer.status === 201) arrived(body);
    else if (answer.status === 202) standInLine(body);
    else if (answer.status === 429 || answer.status >= 500) again(Number(answer.headers.get("Retry-After")));
    else refused(body);
  } catch {
    again(0); // the same key: whatever became of the first attempt, it counts once
  }
}

function renumber(seat, index) {
  seat.querySelector("legend").textContent = fill(form.dataset.seat, { number: index + 1 });
  for (const each of seat.querySelectorAll("[id], [name], [for], [aria-describedby]")) {
    for (const attribute of ["id", "name", "for", "aria-describedby"]) {
      if (each.hasAttribute(attribute)) each.setAttribute(attribute, each.getAttribute(attribute).replace(/\bs\d+\./g, `s${index}.`));
    }
  }
}

function seatButtons() {
  const seats = document.getElementById("seats");
  const add = document.getElementById("add-seat");
  const remove = document.getElementById("remove-seat");
  if (!add) return;
  const count = form.elements.namedItem("seats");
  const show = () => {
    count.value = seats.children.length;
    add.hidden = seats.children.length >= Number(add.dataset.most);
    remove.hidden = seats.children.length <= 1;
  };
  add.addEventListener("click", (event) => {
    event.preventDefault();
    const seat = seats.lastElementChild.cloneNode(true);
    for (const input of seat.querySelectorAll("input:not([type=hidden]):not([type=checkbox])")) input.value = "";
    for (const input of seat.querySelectorAll("input[type=checkbox]")) input.checked = false;
    renumber(seat, seats.children.length);
    seats.append(seat);
    show();
    seat.querySelector("select, input:not([type=hidden])").focus();
  });
  remove.addEventListener("click", (event) => {
    event.preventDefault();
    seats.lastElementChild.remove();
    show();
  });
  for (const button of [add, remove]) button.setAttribute("role", "button");
  show();
}

watchSeats();
if (form) {
  seatButtons();
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearFaults();
    busy(true);
    retries = 0;
    say("", form.dataset.sending);
    send();
  });
}
