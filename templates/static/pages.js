// An answer that no longer follows from what is typed says so, until it is assessed anew; nothing typed is lost.
"use strict";
(() => {
  const form = document.getElementById("screening");
  const result = document.getElementById("result");
  const note = document.getElementById("stale");
  if (!form || !result || !note) return;
  const mark = (text) => { result.classList.toggle("stale", text !== ""); note.textContent = text; };
  const failed = () => mark("Not assessed anew: what stands here is not about what is typed. Press Assess.");
  const { upload, paste } = form.elements;
  const isWaiting = () => upload.files.length > 0 || paste.value.trim() !== "";
  const settled = () => mark(isWaiting() ? "An export is chosen and not loaded: what stands here is without it. Press Load." : "");
  for (const kind of ["input", "change"]) {
    form.addEventListener(kind, (event) => {
      if (event.target === upload || event.target === paste) { settled(); return; }
      if (event.target.closest(".save")) return;
      mark("Being assessed anew …");
    });
  }
  document.addEventListener("htmx:afterSwap", settled);
  const halted = () => mark("Not assessed anew: a field with a dashed outline is filled in by half. Complete it or empty it.");
  document.addEventListener("htmx:validation:halted", halted);
  const loggedOut = () => mark("You were logged out. Log in again in another tab, then go on here: what you typed is still here.");
  document.addEventListener("htmx:responseError", (event) => (event.detail.xhr.status === 401 ? loggedOut() : failed()));
  for (const kind of ["htmx:sendError", "htmx:timeout"]) document.addEventListener(kind, failed);

  // Nothing that was typed is sent to a login page, or left behind, without a word.
  let isUnsaved = false;
  form.addEventListener("input", () => { isUnsaved = true; });
  window.addEventListener("beforeunload", (event) => { if (isUnsaved) event.preventDefault(); });
  let isLeaving = false;
  let isChecked = false;
  document.addEventListener("htmx:beforeRequest", (event) => { if (isLeaving) event.preventDefault(); });
  form.addEventListener("submit", async (event) => {
    if (isChecked) { isUnsaved = false; isChecked = false; return; }
    event.preventDefault();
    isLeaving = true;
    const reply = await fetch("/session", { redirect: "manual" }).catch(() => null);
    isLeaving = isChecked = reply !== null && reply.status === 204;
    if (!isChecked) { loggedOut(); return; }
    form.requestSubmit(event.submitter);
  });
})();
