// The page of a registration: shows it anew when it changes. Without this file one reloads by hand.
const page = document.querySelector("article[data-stream]");

function anew() {
  location.replace(page.dataset.page);
}

// An open confirmation is somebody's: what they are about to do is not taken from under their hands.
function busy() {
  return Boolean(page.querySelector("details[open]"));
}

function watch() {
  if (!page || !("EventSource" in window)) return;
  let shown = null;
  const source = new EventSource(page.dataset.stream);
  source.addEventListener("registration", (event) => {
    const changed = shown === null ? String(JSON.parse(event.data).registration.version) !== page.dataset.version : event.data !== shown;
    if (changed && !busy()) anew();
    if (!changed) shown = event.data;
  });
  source.addEventListener("gone", () => {
    source.close();
    anew();
  });
}

watch();
