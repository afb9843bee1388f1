"use strict";
/* Says at the top of a page whether it is live. A list that has silently stopped must not look like a quiet day. */
(() => {
  const show = (state, text) => {
    const element = document.getElementById("live");
    if (!element) return;
    element.dataset.state = state;
    if (element.textContent !== text) element.textContent = text;
  };
  document.addEventListener("htmx:sseOpen", () => show("open", "live"));
  document.addEventListener("htmx:sseError", () => show("lost", "connection lost, trying again"));
  document.addEventListener("htmx:sendError", () => show("lost", "connection lost, trying again"));
})();
