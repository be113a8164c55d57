const entries = document.getElementById("entries");
const live = document.getElementById("live");
const state = document.getElementById("live-state");
let version = entries.dataset.version;
let timer;

// The log is exchanged as a whole; what a person has opened stays open, and the focus stays where it is.
function show(html) {
  const open = [...entries.querySelectorAll("details[open]")].map((d) => d.id);
  const focused = document.activeElement.closest?.("#entries details")?.id;
  entries.innerHTML = html;
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focused) document.getElementById(focused)?.querySelector("summary").focus();
}

function busy() { // somebody is about to copy something
  const selection = getSelection();
  return !selection.isCollapsed && entries.contains(selection.anchorNode);
}

async function follow() {
  clearTimeout(timer);
  if (document.hidden || !live.checked) return;
  try {
    if (!busy()) {
      const answer = await fetch("/emulator/log", { headers: { "If-None-Match": version }, cache: "no-store" });
      if (answer.status === 200) {
        show(await answer.text());
        version = answer.headers.get("ETag");
      }
    }
    if (state.textContent) state.textContent = "";
  } catch {
    state.textContent = "The emulator does not answer.";
  }
  clearTimeout(timer);
  timer = setTimeout(follow, 1000);
}

document.getElementById("live-control").hidden = false;
live.addEventListener("change", follow);
document.addEventListener("visibilitychange", follow);
follow();
