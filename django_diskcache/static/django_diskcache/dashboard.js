/* Refreshes the figures of the page without a reload, while the box is ticked. */
"use strict";
(function () {
  const EVERY = 5000; // milliseconds
  const STORED = "django_diskcache.refresh";
  const form = document.getElementById("dc-refresh");
  if (!form) {
    return;
  }
  const box = document.getElementById("dc-refresh-on");
  const status = document.getElementById("dc-refresh-status");
  let timer = null;

  function remembered(value) {
    try {
      if (value === undefined) {
        return sessionStorage.getItem(STORED) === "on";
      }
      sessionStorage.setItem(STORED, value ? "on" : "off");
    } catch (error) {
      // Storage is forbidden here: the box is just not remembered.
    }
    return false;
  }

  async function refresh() {
    const response = await fetch(location.href, { credentials: "same-origin" });
    if (!response.ok || response.redirected) {
      throw new Error(String(response.status)); // such as a login page
    }
    const text = await response.text();
    const page = new DOMParser().parseFromString(text, "text/html");
    for (const old of document.querySelectorAll("[data-live]")) {
      const fresh = page.querySelector('[data-live="' + old.dataset.live + '"]');
      // What the reader is in stays until the next time.
      if (fresh && (old === document.activeElement || !old.contains(document.activeElement))) {
        old.replaceChildren(...fresh.childNodes);
      }
    }
    const time = new Date().toLocaleTimeString(document.documentElement.lang || undefined);
    status.textContent = form.dataset.updated + " " + time;
  }

  async function step() {
    timer = null;
    try {
      if (!document.hidden) {
        await refresh();
      }
    } catch (error) {
      status.textContent = form.dataset.failed;
      box.checked = false;
      return;
    }
    plan(EVERY);
  }

  function plan(wait) {
    if (box.checked && timer === null) {
      timer = setTimeout(step, wait);
    }
  }

  box.addEventListener("change", function () {
    remembered(box.checked);
    clearTimeout(timer);
    timer = null;
    plan(0);
  });
  form.addEventListener("submit", function (event) {
    event.preventDefault();
  });
  form.hidden = false;
  box.checked = remembered();
  plan(EVERY);
})();
